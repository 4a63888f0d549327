// The bars: a row for each visible thread, and the links between threads that wait for each other.

const ROW = 28;
const BAR = 16;
const RADIUS = 3.5;
/** The strokes of the signs in round marks, each from a point to a point. */
const SIGNS = {
  broken: [[-2.5, -2.5, 2.5, 2.5], [2.5, -2.5, -2.5, 2.5]],
  cancelled: [[-3, 0, 3, 0]],
  lost: [[0, -3.5, 0, 1], [0, 2.5, 0, 3.5]],
};
const RANK = { sleep: 1, wait: 2, run: 3, call: 4 };

class Bars {
  constructor(page) {
    this.page = page;
    this.surface = new Surface("bars");
  }

  draw() {
    const { page, surface } = this;
    const { view, colors, rows, scrollTop } = page;
    const context = surface.begin();
    context.textBaseline = "middle";
    const first = Math.max(Math.floor(scrollTop / ROW), 0);
    const last = Math.min(Math.ceil((scrollTop + surface.height) / ROW), rows.length);
    const focus = page.focus;
    for (let index = first; index < last; index++) {
      const color = rows[index] === page.selected ? colors.chosen : rows[index] === page.hovered ? colors.hover : undefined;
      if (!color) continue;
      context.fillStyle = color;
      context.fillRect(0, index * ROW - scrollTop, surface.width, ROW);
    }
    context.fillStyle = colors.line;
    for (const { time } of ticks(view, Math.max(surface.width / 110, 2))) {
      context.fillRect(Math.round(surface.x(view, time)), 0, 1, surface.height);
    }
    for (let index = first; index < last; index++) {
      const thread = rows[index];
      // Threads without a link to the selected one are dimmed.
      const isAside = focus === page.selected && page.related.size > 0 && thread !== focus && !page.related.has(thread);
      context.globalAlpha = isAside ? 0.45 : 1;
      this.drawThread(context, thread, index * ROW - scrollTop + (ROW - BAR) / 2);
    }
    context.globalAlpha = 1;
    if (focus) this.drawLinks(context, focus, first, last);
  }

  drawThread(context, thread, top) {
    const { surface, page } = this;
    const { view } = page;
    let [pixel, rank] = [-1, 0];
    const stretches = thread.stretches;
    // The margins show a little of the time outside the view.
    const beside = (view.to - view.from) * (MARGIN / surface.room);
    for (let index = firstAt(stretches, view.from - beside); index < stretches.length; index++) {
      const { kind, from, to, what } = stretches[index];
      if (from > view.to + beside) break;
      if (to <= from && stretches.length > 1) continue;
      const left = Math.max(surface.x(view, from), -20);
      const right = Math.min(surface.x(view, to), surface.width + 20);
      // If several stretches share a pixel, only the most important one is drawn.
      const isThin = right - left < 1;
      if (isThin && Math.floor(left) === pixel && RANK[kind] <= rank) continue;
      [pixel, rank] = isThin ? [Math.floor(left), RANK[kind]] : [-1, 0];
      this.drawStretch(context, kind, left, Math.max(right - left, 1), top);
      if (right - left > 44 && what && (kind === "call" || kind === "wait")) this.drawText(context, kind, what, left, right, top);
    }
    for (const time of thread.losses) this.drawMark(context, "lost", time, top);
    this.drawEnd(context, thread, top);
  }

  drawStretch(context, kind, left, width, top) {
    const { colors } = this.page;
    context.beginPath();
    if (kind === "sleep") {
      context.strokeStyle = colors.sleep;
      context.lineWidth = 2;
      context.setLineDash([4, 3]);
      context.moveTo(left + 1, top + BAR / 2);
      context.lineTo(left + Math.max(width - 1, 2), top + BAR / 2);
      context.stroke();
      context.setLineDash([]);
    } else if (kind === "wait" && width >= 3) {
      context.strokeStyle = colors.wait;
      context.fillStyle = colors.surface;
      context.lineWidth = 1;
      context.roundRect(left + 0.5, top + 0.5, width - 1, BAR - 1, Math.min(RADIUS, width / 2));
      context.fill();
      context.stroke();
    } else {
      context.fillStyle = colors[kind];
      context.roundRect(left, top, width, BAR, Math.min(RADIUS, width / 2));
      context.fill();
      if (kind === "call" && width > 8) this.drawStripes(context, left, width, top);
    }
  }

  /** Stripes distinguish a call from a run without color. */
  drawStripes(context, left, width, top) {
    context.save();
    context.clip();
    context.beginPath();
    // Their positions are fixed to the screen, so that they do not flicker while the bar moves.
    for (let x = Math.floor((left - BAR) / 9) * 9; x < left + width + BAR; x += 9) {
      context.moveTo(x, top + BAR);
      context.lineTo(x + BAR * 0.7, top);
    }
    context.strokeStyle = this.page.colors["call-stripe"];
    context.lineWidth = 3;
    context.stroke();
    context.restore();
  }

  drawText(context, kind, what, left, right, top) {
    const { colors } = this.page;
    const from = Math.max(left, 0) + 6;
    const room = Math.min(right, this.surface.width) - from - 6;
    if (room < 30) return;
    context.font = "11px ui-monospace, Menlo, Consolas, monospace";
    const text = fitted(context, what, room);
    const width = context.measureText(text).width;
    if (kind === "call") {
      // Plain background behind the text.
      context.fillStyle = colors.call;
      context.beginPath();
      context.roundRect(from - 3, top + 2, width + 6, BAR - 4, 3);
      context.fill();
    }
    context.fillStyle = kind === "call" ? colors["on-call"] : colors.muted;
    context.fillText(text, from, top + BAR / 2 + 0.5);
  }

  /** A mark for how the thread ended, or an arrow if it has not. */
  drawEnd(context, thread, top) {
    if (thread.end === "finished") return;
    if (thread.end !== "open") return this.drawMark(context, thread.end, thread.to, top);
    const x = this.surface.x(this.page.view, thread.to);
    const y = top + BAR / 2;
    context.strokeStyle = this.page.colors.accent;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x - 5, y - 4);
    context.lineTo(x - 1, y);
    context.lineTo(x - 5, y + 4);
    context.stroke();
  }

  /** A round mark with a sign, at a time. */
  drawMark(context, name, time, top) {
    const { surface, page } = this;
    const x = surface.x(page.view, time);
    if (x < -10 || x > surface.width + 10) return;
    const { colors } = page;
    const y = top + BAR / 2;
    context.fillStyle = colors[name];
    context.strokeStyle = colors.surface;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(x, y, 7, 0, 7);
    context.stroke();
    context.fill();
    context.strokeStyle = colors["on-mark"];
    context.lineWidth = 1.5;
    context.beginPath();
    for (const [x1, y1, x2, y2] of SIGNS[name]) {
      context.moveTo(x + x1, y + y1);
      context.lineTo(x + x2, y + y2);
    }
    context.stroke();
  }

  /** Draws an arrow from each waiting thread to those it waits for. */
  drawLinks(context, focus, first, last) {
    const { page } = this;
    context.strokeStyle = page.colors.link;
    context.fillStyle = page.colors.link;
    context.lineWidth = 1.5;
    for (const { stretch, awaited } of focus.waits) {
      if (awaited) this.drawLink(context, focus, awaited, stretch, first, last);
    }
    for (const { stretch, waiter } of focus.waiters) this.drawLink(context, waiter, focus, stretch, first, last);
  }

  drawLink(context, waiter, awaited, stretch, first, last) {
    const { surface, page } = this;
    const [from, to] = [page.rowOf.get(waiter), page.rowOf.get(awaited)];
    const isApart = Math.max(from, to) < first || Math.min(from, to) >= last;
    if (from === undefined || to === undefined || from === to || isApart) return;
    if (stretch.to < page.view.from || stretch.from > page.view.to) return;
    const y = (row) => row * ROW - page.scrollTop + ROW / 2;
    const x = Math.min(Math.max(surface.x(page.view, stretch.from), 5), surface.width - 16);
    const [begin, end] = [y(from), y(to)];
    const sign = Math.sign(end - begin);
    const bound = (value) => Math.min(Math.max(value, -ROW), surface.height + ROW);
    context.beginPath();
    context.moveTo(x, bound(begin + (sign * BAR) / 2));
    context.lineTo(x, bound(end - sign * 6));
    if (to >= first && to < last) context.arcTo(x, end, x + 9, end, 5);
    if (to >= first && to < last) context.lineTo(x + 9, end);
    context.stroke();
    if (to < first || to >= last) return;
    context.beginPath();
    context.moveTo(x + 13, end);
    context.lineTo(x + 6, end - 4.5);
    context.lineTo(x + 6, end + 4.5);
    context.fill();
  }
}

/** The text, cut to a width. The width of a digit is a good first guess for the length, so few texts are measured. */
function fitted(context, text, room) {
  const most = Math.floor(room / context.measureText("0").width);
  if (text.length <= most && context.measureText(text).width <= room) return text;
  const letters = [...text.slice(0, 2 * most)].slice(0, Math.max(most - 1, 1));
  while (letters.length > 1 && context.measureText(`${letters.join("")}…`).width > room) letters.pop();
  return `${letters.join("")}…`;
}
