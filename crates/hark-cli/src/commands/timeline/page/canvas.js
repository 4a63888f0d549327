// Canvases: sharp on any screen, in the colors of the page.

const COLORS = [
  "page", "surface", "line", "control-line", "text", "muted", "accent", "chosen", "hover", "run", "call", "call-stripe",
  "on-call", "wait", "sleep", "broken", "cancelled", "on-mark", "link",
];

/** The page's colors as they are now; a variable itself would say both the light and the dark one. */
function palette() {
  const probe = document.body.appendChild(document.createElement("i"));
  const out = {};
  for (const name of COLORS) {
    probe.style.color = `var(--${name})`;
    out[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return out;
}

/** What is left free on both sides, so that marks at the ends are whole. */
const MARGIN = 12;

/** A canvas that has a pixel for each of the screen's. */
class Surface {
  constructor(id) {
    this.canvas = document.getElementById(id);
    this.context = this.canvas.getContext("2d");
  }

  /** Begins a drawing: clears it, after its size was set anew if that has changed. */
  begin() {
    const ratio = devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    const [width, height] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    return this.context;
  }

  /** The pixels that a view takes. */
  get room() {
    return Math.max(this.canvas.clientWidth - 2 * MARGIN, 1);
  }

  /** Where a time is. */
  x(view, time) {
    return MARGIN + ((time - view.from) / (view.to - view.from)) * this.room;
  }

  /** The time at a place. */
  time(view, x) {
    return view.from + ((x - MARGIN) / this.room) * (view.to - view.from);
  }
}

/** The axis of time: round times, and a line for each. */
function drawAxis(surface, view, colors) {
  const context = surface.begin();
  context.font = "11px ui-monospace, Menlo, Consolas, monospace";
  context.textBaseline = "middle";
  let free = 0;
  for (const { time, text } of ticks(view, Math.max(surface.width / 110, 2))) {
    const x = surface.x(view, time);
    context.fillStyle = colors["control-line"];
    context.fillRect(Math.round(x), surface.height - 6, 1, 6);
    const width = context.measureText(text).width;
    if (x + 5 < free || x + 5 + width > surface.width) continue;
    context.fillStyle = colors.muted;
    context.fillText(text, x + 5, surface.height / 2);
    free = x + width + 18;
  }
}
