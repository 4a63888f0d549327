// The state of the page: which threads are shown and selected, the range in view, and when to draw.

class Page {
  constructor(session) {
    this.session = session;
    this.rows = [];
    this.rowOf = new Map();
    this.related = new Set();
    [this.search, this.order, this.end] = ["", "tree", ""];
    this.scroll = document.getElementById("scroll");
    this.view = new View(session.span, () => this.changed());
    this.axis = new Surface("axis");
    this.overview = new Overview(this);
    this.bars = new Bars(this);
    this.names = new Names(this);
    this.details = new Details(this);
    this.table = new Table(this);
    this.tip = document.getElementById("tip");
    this.colors = palette();
  }

  get scrollTop() {
    return this.scroll.scrollTop;
  }

  /** The thread whose links are drawn. */
  get focus() {
    return this.hovered ?? this.selected;
  }

  /** Draws everything in the next frame. */
  changed() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  draw() {
    const { view } = this;
    drawAxis(this.axis, view, this.colors);
    this.overview.draw();
    this.bars.draw();
    this.names.draw();
    if (this.range) this.drawRange();
    document.getElementById("range").textContent = `${shownDuration(view.to - view.from)} in view`;
    document.getElementById("zoom-out").disabled = view.isWhole;
    document.getElementById("zoom-all").disabled = view.isWhole;
    document.getElementById("zoom-in").disabled = view.to - view.from <= view.least;
  }

  /** Updates the rows after the search, the order or the filter has changed. */
  filter() {
    const fits = matcher(this.search);
    this.rows = ordered(this.session, this.order, (thread) => (!this.end || thread.end === this.end) && fits(thread));
    this.rowOf = new Map(this.rows.map((thread, index) => [thread, index]));
    if (!this.rowOf.has(this.selected)) this.selected = undefined;
    this.hovered = undefined;
    this.names.clear();
    document.getElementById("space").style.height = `${this.rows.length * ROW}px`;
    document.getElementById("empty").hidden = this.rows.length > 0;
    const [some, all] = [this.rows.length, this.session.threads.length];
    document.getElementById("count").textContent =
      some === all ? counted(all, "thread") : `${some.toLocaleString("en")} of ${counted(all, "thread")}`;
    this.relate();
    this.table.rewind();
  }

  /** Updates the set of threads that have links with the focused one. */
  relate() {
    const { focus } = this;
    this.related = new Set(focus ? [...focus.waits.map(({ awaited }) => awaited), ...focus.waiters.map(({ waiter }) => waiter)] : []);
    this.related.delete(undefined);
    this.changed();
  }

  resized() {
    document.getElementById("pane").style.height = `${this.scroll.clientHeight}px`;
    this.changed();
  }

  /** The thread of the visible row at a position. */
  threadAt(y) {
    return this.rows[Math.floor((y + this.scrollTop) / ROW)];
  }

  /** Selects a thread and scrolls to it. Shows its details if wanted, or already open. */
  choose(thread, details, focus = false) {
    // A link may lead to a thread that the search hides.
    if (!this.rowOf.has(thread)) this.reset();
    this.selected = thread;
    const top = this.rowOf.get(thread) * ROW;
    if (top < this.scrollTop) this.scroll.scrollTop = top;
    if (top + ROW > this.scrollTop + this.scroll.clientHeight) this.scroll.scrollTop = top + ROW - this.scroll.clientHeight;
    this.relate();
    if (details || this.details.isOpen) this.details.show(thread, focus);
    this.draw();
  }

  move(count) {
    if (this.rows.length === 0) return;
    const now = this.rowOf.get(this.selected) ?? (count > 0 ? -1 : 0);
    this.hovered = undefined;
    this.choose(this.rows[Math.min(Math.max(now + count, 0), this.rows.length - 1)]);
  }

  reset() {
    document.getElementById("search").value = "";
    [this.search, this.end] = ["", ""];
    press("#ends button", (button) => button.dataset.end === "");
    this.filter();
  }

  zoomTo(thread) {
    const margin = Math.max(lasted(thread) * 0.06, 5);
    this.view.glide(thread.from - margin, thread.to + margin);
  }

  find() {
    document.getElementById("search").focus();
    document.getElementById("search").select();
  }

  focusThreads() {
    (this.table.element.hidden ? this.names.element : this.table.element).focus({ preventScroll: true });
  }

  /** Closes the details, then clears the search, then the selection. */
  escape(event) {
    if (this.details.isOpen) this.details.close();
    else if (event.target.id === "search" || this.search || this.end) {
      this.reset();
      this.focusThreads();
    } else if (this.selected) {
      this.selected = undefined;
      this.relate();
    }
  }

  /** Handles the position of the pointer; without `event`, it has left. */
  point(event) {
    const thread = event && this.threadAt(event.offsetY);
    if (thread !== this.hovered) {
      this.hovered = thread;
      this.relate();
    }
    if (!thread || event.pointerType === "touch") return this.hideTip();
    const { surface } = this.bars;
    const slack = (3 / surface.room) * (this.view.to - this.view.from);
    const stretch = stretchAt(thread, surface.time(this.view, event.offsetX), slack);
    if (!stretch) return this.hideTip();
    this.tip.replaceChildren(
      make("b", {}, [KINDS[stretch.kind]]),
      ...(stretch.what ? [make("code", { dir: "auto" }, [stretch.what])] : []),
      make("p", {}, [`${shownDuration(stretch.to - stretch.from)}, from +${shownDuration(stretch.from)}`]),
    );
    this.tip.hidden = false;
    const [width, height] = [this.tip.offsetWidth, this.tip.offsetHeight];
    const left = event.clientX + 14 + width > innerWidth ? event.clientX - width - 10 : event.clientX + 14;
    const top = event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18;
    this.tip.style.transform = `translate(${Math.max(left, 4)}px, ${Math.max(top, 4)}px)`;
  }

  hideTip() {
    this.tip.hidden = true;
  }

  /** Shows the range covered by a drag; without arguments, none. */
  showRange(from, to, surface) {
    this.range = surface && { from, to, surface, view: surface === this.axis ? { ...this.view } : { from: 0, to: this.session.span } };
    this.changed();
  }

  drawRange() {
    const { from, to, surface, view } = this.range;
    const left = surface.x(view, from);
    surface.context.fillStyle = this.colors.accent;
    surface.context.globalAlpha = 0.3;
    surface.context.fillRect(left, 0, surface.x(view, to) - left, surface.height);
    surface.context.globalAlpha = 1;
  }
}
