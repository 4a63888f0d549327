// Canvases with one pixel per device pixel, in the colors of the page.

const COLORS = [
  "page", "surface", "line", "control-line", "text", "muted", "accent", "chosen", "hover", "run", "call", "call-stripe",
  "on-call", "wait", "sleep", "broken", "cancelled", "lost", "on-mark", "link",
];

/** The current colors. A variable's own value would contain both the light and the dark color. */
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

/** The margin on both sides, so that marks at the ends are not cut off. */
const MARGIN = 12;

/** A canvas at the resolution of the screen. */
class Surface {
  constructor(id) {
    this.canvas = document.getElementById(id);
    this.context = this.canvas.getContext("2d");
  }

  /** Starts a drawing: adapts the size if necessary and clears the canvas. */
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

  /** The width of a view in pixels. */
  get room() {
    return Math.max(this.canvas.clientWidth - 2 * MARGIN, 1);
  }

  /** The position of a time. */
  x(view, time) {
    return MARGIN + ((time - view.from) / (view.to - view.from)) * this.room;
  }

  /** The time at a position. */
  time(view, x) {
    return view.from + ((x - MARGIN) / this.room) * (view.to - view.from);
  }
}

/** Draws the time axis: a tick and a label for each round time. */
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
