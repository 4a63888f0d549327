// The details of one thread, in a panel beside the chart.

/** At most this many stretches and links are listed. */
const LISTED = 200;

class Details {
  constructor(page) {
    this.page = page;
    this.element = document.getElementById("details");
  }

  get isOpen() {
    return !this.element.hidden;
  }

  /** Shows a thread. With `focus`, the keyboard focus moves to its heading. */
  show(thread, focus) {
    this.element.hidden = false;
    this.element.scrollTop = 0;
    this.element.replaceChildren(this.head(thread), ...this.body(thread));
    if (focus) this.element.querySelector("h2").focus();
    this.page.resized();
  }

  close() {
    if (!this.isOpen) return;
    this.element.hidden = true;
    this.page.resized();
    this.page.focusThreads();
  }

  head(thread) {
    const close = make("button", { type: "button", className: "plain", ariaLabel: "Close the details" }, ["✕"]);
    close.addEventListener("click", () => this.close());
    const zoom = make("button", { type: "button" }, ["Zoom to it"]);
    zoom.addEventListener("click", () => this.page.zoomTo(thread));
    const kind = make("p", { className: "kind" }, [`Thread ${thread.thread}, ${ENDS[thread.end]}`]);
    const name = make("h2", { tabIndex: -1, dir: "auto" }, [thread.name]);
    return make("header", {}, [make("div", {}, [kind, name]), zoom, close]);
  }

  body(thread) {
    const facts = make("dl", { className: "pairs" }, [
      ...pair("Lasted", `${shownDuration(lasted(thread))}${thread.end === "open" ? " so far" : ""}`),
      ...pair("Began", `after ${shownDuration(thread.from)}`),
    ]);
    if (thread.losses.length > 0) facts.append(...pair("Lost workers", thread.losses.length.toLocaleString("en")));
    if (thread.above) facts.append(...pair("Started by", this.chip(thread.above)));
    return [
      shares(thread),
      facts,
      ...section("Arguments", thread.arguments && block(thread.arguments.slice(1, -1))),
      ...section("Result", thread.result && block(thread.result)),
      ...section("Error", thread.error && block(thread.error, `is-${thread.end}`)),
      ...this.links("Waited for", thread.waits.map(({ awaited, future }) => awaited ?? future), unnamed(thread)),
      ...this.links("Waited for by", thread.waiters.map(({ waiter }) => waiter)),
      ...this.links("Started", thread.children),
      ...history(thread),
    ];
  }

  /** A section with a chip for each thread or promise. */
  links(title, all, more = 0) {
    const each = [...new Set(all)];
    const omitted = more + Math.max(each.length - LISTED, 0);
    const chips = each.slice(0, LISTED).map((one) => (typeof one === "object" ? this.chip(one) : make("span", { className: "chip" }, [`${one}`])));
    if (omitted > 0) chips.push(`and ${omitted.toLocaleString("en")} more`);
    return section(title, chips.length > 0 && make("div", { className: "chips" }, chips));
  }

  chip(thread) {
    const button = make("button", { type: "button", className: "chip", title: thread.call }, [`${thread.thread} ${thread.name}`]);
    button.addEventListener("click", () => this.page.choose(thread, true));
    return button;
  }
}

/** How many more Futures a thread has waited for at once: an event names only the first few. */
function unnamed(thread) {
  return thread.stretches.reduce((most, { more }) => Math.max(most, more), 0);
}

function pair(name, value) {
  return [make("dt", {}, [name]), make("dd", {}, [value])];
}

function section(title, content) {
  return content ? [make("h3", {}, [title]), content] : [];
}

function block(text, className = "") {
  // A long text scrolls, and must then be reachable by keyboard.
  return make("pre", { dir: "auto", tabIndex: text.length > 400 ? 0 : -1, className }, [text]);
}

/** A bar with the share of time spent in each kind of stretch. */
function shares(thread) {
  const sums = sumsOf(thread);
  const parts = Object.keys(KINDS).filter((kind) => sums[kind] > 0);
  const text = parts.map((kind) => `${KINDS[kind]} ${shownDuration(sums[kind])}`).join(", ");
  const bar = make("div", { className: "share", role: "img", ariaLabel: text, title: text });
  for (const kind of parts) {
    const part = make("i", { className: kind });
    part.style.flexGrow = `${sums[kind] / lasted(thread)}`;
    bar.append(part);
  }
  return bar;
}

function sumsOf(thread) {
  const sums = { call: 0, run: 0, wait: 0, sleep: 0 };
  for (const { kind, from, to } of thread.stretches) sums[kind] += to - from;
  return sums;
}

function history(thread) {
  const seen = thread.stretches.filter(({ from, to }) => to > from || thread.stretches.length === 1);
  const rows = seen.slice(0, LISTED).map(({ kind, from, to, what }) =>
    make("tr", {}, [
      make("td", { className: "number" }, [`+${shownDuration(from)}`]),
      make("td", { className: "number" }, [shownDuration(to - from)]),
      make("td", {}, [KINDS[kind], what ? make("div", { className: "only-code" }, [make("code", { dir: "auto" }, [what])]) : ""]),
    ]),
  );
  const titles = ["Since start", "For", "About"].map((title, index) =>
    make("th", { scope: "col", className: index < 2 ? "number" : "" }, [title]),
  );
  const more = seen.length > LISTED ? [make("p", { className: "kind" }, [`and ${(seen.length - LISTED).toLocaleString("en")} more`])] : [];
  return [
    make("h3", {}, ["History"]),
    make("table", {}, [make("thead", {}, [make("tr", {}, titles)]), make("tbody", {}, rows)]),
    ...more,
  ];
}
