// The threads as a table: an alternative for screen readers, and for reading and copying.

/** The number of rows on a page. A table of thousands of rows would take seconds to appear. */
const PAGE = 200;

class Table {
  constructor(page) {
    this.page = page;
    this.element = document.getElementById("table");
    this.first = 0;
  }

  /** Returns to the first page. */
  rewind() {
    this.first = 0;
    this.draw();
  }

  draw() {
    if (this.element.hidden) return;
    const { rows } = this.page;
    const some = rows.slice(this.first, this.first + PAGE);
    const columns = ["Thread", "Call", "State", "Began", "Lasted", "Calls", "Waits", "Sleeps", "Waits for", "Result or error"];
    const isNumber = (index) => index >= 3 && index <= 7;
    const head = columns.map((title, index) => make("th", { scope: "col", className: isNumber(index) ? "number" : "" }, [title]));
    const last = this.first + some.length;
    const range = rows.length > PAGE ? `Threads ${this.first + 1} to ${last} of ${rows.length.toLocaleString("en")}` : counted(rows.length, "thread");
    this.element.replaceChildren(
      make("table", {}, [
        make("caption", {}, [range]),
        make("thead", {}, [make("tr", {}, head)]),
        make("tbody", {}, some.map((thread) => this.row(thread))),
      ]),
      ...(rows.length > PAGE ? [this.pages(rows.length)] : []),
    );
    this.element.scrollTop = 0;
  }

  row(thread) {
    const sums = sumsOf(thread);
    const time = (microseconds) => make("td", { className: "number" }, [microseconds > 0 ? shownDuration(microseconds) : "–"]);
    const awaited = [...new Set(thread.waits.map(({ future }) => future))];
    const more = awaited.length > 5 ? ` and ${(awaited.length - 5).toLocaleString("en")} more` : "";
    const show = make("button", { type: "button", className: "chip" }, [`${thread.thread}`]);
    show.setAttribute("aria-label", `Details of thread ${thread.thread}`);
    show.addEventListener("click", () => this.page.choose(thread, true, true));
    return make("tr", {}, [
      make("td", {}, [show]),
      make("th", { scope: "row", dir: "auto" }, [thread.call]),
      make("td", {}, [ENDS[thread.end]]),
      make("td", { className: "number" }, [shownDuration(thread.from)]),
      time(lasted(thread)),
      time(sums.call),
      time(sums.wait),
      time(sums.sleep),
      make("td", { className: "code", dir: "auto" }, [awaited.slice(0, 5).join(", ") + more]),
      make("td", { className: "code", dir: "auto" }, [thread.error ?? thread.result ?? ""]),
    ]);
  }

  pages(count) {
    const turn = (text, first, isThere) => {
      const button = make("button", { type: "button", disabled: !isThere }, [text]);
      button.addEventListener("click", () => {
        this.first = first;
        this.draw();
        this.element.focus();
      });
      return button;
    };
    return make("nav", { className: "pages", ariaLabel: "Pages of the table" }, [
      turn("Previous", Math.max(this.first - PAGE, 0), this.first > 0),
      turn("Next", this.first + PAGE, this.first + PAGE < count),
      `Page ${Math.floor(this.first / PAGE) + 1} of ${Math.ceil(count / PAGE)}`,
    ]);
  }
}
