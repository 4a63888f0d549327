// The names beside the bars: a list box for keyboard and screen readers. Only visible rows are elements.

class Names {
  constructor(page) {
    this.page = page;
    this.element = document.getElementById("names");
    this.rows = new Map();
  }

  draw() {
    const { page, element } = this;
    const height = element.clientHeight;
    const first = Math.max(Math.floor(page.scrollTop / ROW), 0);
    const last = Math.min(Math.ceil((page.scrollTop + height) / ROW), page.rows.length);
    const seen = new Set(page.rows.slice(first, last));
    for (const [thread, row] of this.rows) {
      if (seen.has(thread)) continue;
      row.remove();
      this.rows.delete(thread);
    }
    for (let index = first; index < last; index++) {
      const thread = page.rows[index];
      const row = this.rows.get(thread) ?? this.add(thread);
      row.style.transform = `translateY(${index * ROW - page.scrollTop}px)`;
      row.setAttribute("aria-posinset", `${index + 1}`);
      row.setAttribute("aria-setsize", `${page.rows.length}`);
      row.setAttribute("aria-selected", `${thread === page.selected}`);
      row.classList.toggle("is-hovered", thread === page.hovered);
      row.classList.toggle("is-related", page.related.has(thread));
    }
    const active = this.rows.get(page.selected);
    if (active) element.setAttribute("aria-activedescendant", active.id);
    else element.removeAttribute("aria-activedescendant");
  }

  add(thread) {
    const indent = this.page.order === "tree" ? Math.min(thread.depth, 8) * 12 : 0;
    const name = make("span", { className: "name", dir: "auto" }, [
      ...marked(thread.name, this.page.search, "b"),
      ...marked(thread.arguments, this.page.search, "span"),
    ]);
    name.style.paddingLeft = `${indent}px`;
    const row = make("div", { className: "row", id: `thread-${thread.thread}`, role: "option", title: thread.call }, [
      make("span", { className: "number" }, [`${thread.thread}`]),
      name,
      thread.end === "finished"
        ? make("span", { className: "only-read" }, [`, ${ENDS[thread.end]}`])
        : make("span", { className: `sign is-${thread.end}` }, [ENDS[thread.end]]),
      make("span", { className: "only-read" }, [`, ${shownDuration(lasted(thread))}`]),
    ]);
    this.rows.set(thread, row);
    this.element.append(row);
    return row;
  }

  /** Removes all rows, because names will look different. */
  clear() {
    this.element.replaceChildren();
    this.rows.clear();
  }
}

/** Creates an element. Strings become text nodes and are never parsed as markup. */
function make(name, properties = {}, children = []) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element && key !== "role") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** A text in an element, with the first match of the search marked. */
function marked(text, search, element) {
  if (!text) return [];
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const lower = text.toLowerCase();
  // Lowercasing changes the length of some letters, which would shift positions.
  const word = lower.length === text.length ? words.find((each) => lower.includes(each)) : undefined;
  if (!word) return [make(element, {}, [text])];
  const at = lower.indexOf(word);
  const middle = make("mark", {}, [text.slice(at, at + word.length)]);
  return [make(element, {}, [text.slice(0, at), middle, text.slice(at + word.length)])];
}
