// Formatting of times, and the range of time in view.

/** A duration in a short form. */
function shownDuration(microseconds) {
  const seconds = microseconds / 1e6;
  const whole = (value) => Math.floor(value);
  if (microseconds < 1) return "0 s";
  if (seconds < 1e-3) return `${trimmed(microseconds, 0)} µs`;
  if (seconds < 1) return `${trimmed(seconds * 1e3, 3)} ms`;
  if (seconds < 60) return `${trimmed(seconds, 3)} s`;
  if (seconds < 3600) return `${whole(seconds / 60)} min ${whole(seconds % 60)} s`;
  if (seconds < 86400) return `${whole(seconds / 3600)} h ${whole((seconds / 60) % 60)} min`;
  return `${whole(seconds / 86400)} d ${whole((seconds / 3600) % 24)} h`;
}

/** A number with at most this many significant digits. */
function trimmed(value, digits) {
  return digits === 0 ? `${Math.round(value)}` : `${Number(value.toPrecision(digits))}`;
}

function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

const SECOND = 1e6;
const STEPS = [
  ...[1, 10, 100, 1e3, 1e4, 1e5].flatMap((unit) => [unit, 2 * unit, 5 * unit]),
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200].map((step) => step * SECOND),
  ...[1, 2, 7, 14, 30, 90, 365, 730, 1825, 3650].map((step) => step * 86400 * SECOND),
];

/** Round times in view with their labels, at most about `count`. */
function ticks(view, count) {
  const step = STEPS.find((each) => (view.to - view.from) / each <= count) ?? STEPS.at(-1);
  const out = [];
  for (let index = Math.ceil(view.from / step); index * step <= view.to; index++) {
    out.push({ time: index * step, text: tickText(index * step, step) });
  }
  return out;
}

/** A time since the start, with enough digits to distinguish neighboring ticks. */
function tickText(time, step) {
  if (time === 0) return "0";
  const seconds = time / SECOND;
  if (step >= 86400 * SECOND) return `${Math.round(seconds / 86400)} d`;
  if (seconds >= 120 || step >= 60 * SECOND) {
    const days = Math.floor(seconds / 86400);
    const hours = Math.floor(seconds / 3600) % 24;
    const minutes = Math.floor(seconds / 60) % 60;
    const rest = (seconds % 60).toFixed(digitsOf(step / SECOND)).padStart(2, "0");
    const clock = days + hours > 0 ? `${hours}:${`${minutes}`.padStart(2, "0")}` : `${minutes}`;
    return `${days > 0 ? `${days} d ` : ""}${clock}:${rest}`;
  }
  if (seconds >= 1 || step >= 0.1 * SECOND) return `${seconds.toFixed(digitsOf(step / SECOND))} s`;
  return time >= 1000 || step >= 100 ? `${(time / 1e3).toFixed(digitsOf(step / 1e3))} ms` : `${Math.round(time)} µs`;
}

function digitsOf(step) {
  return Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
}

/** The range of time in view, always within the session. */
class View {
  constructor(span, changed) {
    this.span = span;
    this.changed = changed;
    [this.from, this.to] = [0, span];
  }

  /** The shortest range that can be in view. */
  get least() {
    return Math.min(this.span, 20);
  }

  get isWhole() {
    return this.to - this.from >= this.span;
  }

  set(from, to) {
    const length = Math.min(Math.max(to - from, this.least), this.span);
    this.from = Math.min(Math.max(from, 0), this.span - length);
    this.to = this.from + length;
    this.changed();
  }

  /** Zooms around a time that keeps its position. */
  zoom(factor, around = (this.from + this.to) / 2) {
    const length = Math.min(Math.max((this.to - this.from) * factor, this.least), this.span);
    const before = (around - this.from) / (this.to - this.from);
    this.set(around - length * before, around + length * (1 - before));
  }

  pan(time) {
    const length = this.to - this.from;
    const from = Math.min(Math.max(this.from + time, 0), this.span - length);
    this.set(from, from + length);
  }

  /** Moves to a range in an animation, unless the user prefers reduced motion. */
  glide(from, to) {
    cancelAnimationFrame(this.frame);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.set(from, to);
    const [begin, first, last] = [performance.now(), this.from, this.to];
    const move = (now) => {
      const share = Math.min((now - begin) / 160, 1);
      const eased = 1 - (1 - share) ** 3;
      this.set(first + (from - first) * eased, last + (to - last) * eased);
      if (share < 1) this.frame = requestAnimationFrame(move);
    };
    this.frame = requestAnimationFrame(move);
  }

  glideZoom(factor) {
    const middle = (this.from + this.to) / 2;
    const half = ((this.to - this.from) * factor) / 2;
    const [from, to] = [Math.max(middle - half, 0), Math.min(middle + half, this.span)];
    this.glide(from, to);
  }
}
