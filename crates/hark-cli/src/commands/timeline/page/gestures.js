// Mouse, touch and keyboard input.

/** How far a pointer may move during a click. */
const CLICK_SLACK = 4;

/** Handles dragging, pinching, wheel and clicks on the bars. */
function watchBars(page) {
  const { surface } = page.bars;
  const canvas = surface.canvas;
  const pointers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    if (pointers.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return page.point(event);
    const apart = () => {
      const [one, other] = [...pointers.values()].map((each) => surface.time(page.view, each.offsetX));
      return { middle: (one + other) / 2, distance: Math.abs(one - other) };
    };
    const pinch = pointers.size === 2 && apart();
    pointers.set(event.pointerId, event);
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    moved += Math.abs(dx) + Math.abs(dy);
    if (pinch) {
      const now = apart();
      if (now.distance > 0) page.view.zoom(pinch.distance / now.distance, pinch.middle);
    } else if (moved > CLICK_SLACK) {
      canvas.classList.add("is-dragged");
      page.hideTip();
      page.view.pan((-dx / surface.room) * (page.view.to - page.view.from));
      // For touch, the browser scrolls.
      if (event.pointerType === "mouse") page.scroll.scrollTop -= dy;
    }
  });
  const release = (event) => {
    const isClick = pointers.delete(event.pointerId) && moved <= CLICK_SLACK && event.type === "pointerup";
    canvas.classList.remove("is-dragged");
    const thread = isClick && page.threadAt(event.offsetY);
    if (thread) page.choose(thread, true);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => page.point());
  canvas.addEventListener("dblclick", (event) => page.view.zoom(0.4, surface.time(page.view, event.offsetX)));
  for (const each of [surface, page.axis]) {
    each.canvas.addEventListener("wheel", (event) => wheel(page, each, event), { passive: false });
  }
}

/** The wheel scrolls the threads. With Ctrl (a touchpad pinch) it zooms, sideways or with Shift it moves in time. */
function wheel(page, surface, event) {
  const unit = event.deltaMode === 1 ? 20 : 1;
  const length = page.view.to - page.view.from;
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    const factor = Math.exp(Math.min(Math.max(event.deltaY * unit, -60), 60) * 0.008);
    return page.view.zoom(factor, surface.time(page.view, event.offsetX));
  }
  const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
  if (Math.abs(sideways) > (event.shiftKey ? 0 : Math.abs(event.deltaY))) {
    event.preventDefault();
    page.view.pan((sideways * unit * length) / surface.room);
  }
}

/** Dragging over an axis zooms to the covered range. Dragging the range in view within the activity moves it. */
function watchRange(page, surface, axis) {
  const { canvas } = surface;
  let drag;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    const time = surface.time(axis(), event.offsetX);
    const isInView = time > page.view.from && time < page.view.to;
    const takesView = surface === page.overview.surface && isInView && !page.view.isWhole;
    drag = { time, x: event.offsetX, axis: { ...axis() }, view: takesView ? { ...page.view } : undefined };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag || Math.abs(event.offsetX - drag.x) < CLICK_SLACK) return;
    const time = surface.time(drag.axis, event.offsetX);
    if (drag.view) {
      const from = Math.min(Math.max(drag.view.from + time - drag.time, 0), page.session.span - (drag.view.to - drag.view.from));
      page.view.set(from, from + drag.view.to - drag.view.from);
    } else {
      page.showRange(Math.min(time, drag.time), Math.max(time, drag.time), surface);
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const [begun, range] = [drag, page.range];
    drag = undefined;
    page.showRange();
    if (range) page.view.glide(range.from, range.to);
    else if (begun && !begun.view && surface === page.overview.surface && !page.view.isWhole) {
      const half = (page.view.to - page.view.from) / 2;
      page.view.set(begun.time - half, begun.time + half);
    }
  });
  canvas.addEventListener("pointercancel", () => {
    drag = undefined;
    page.showRange();
  });
}

/** Handles the keys of the list, and those that work everywhere except in text fields. */
function watchKeys(page) {
  const screenful = () => Math.max(Math.floor(page.scroll.clientHeight / ROW) - 1, 1);
  const moves = {
    ArrowDown: () => 1,
    ArrowUp: () => -1,
    PageDown: () => screenful(),
    PageUp: () => -screenful(),
    Home: () => -Infinity,
    End: () => Infinity,
  };
  page.names.element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in moves) page.move(moves[event.key]());
    else if (event.key === "Enter" || event.key === " ") page.selected && page.details.show(page.selected, true);
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return page.escape(event);
    // In these elements, keys type, choose or scroll.
    if (event.target.closest("input, select") || (event.target.closest("pre, .table") && event.key.startsWith("Arrow"))) return;
    const length = page.view.to - page.view.from;
    const actions = {
      "+": () => page.view.glideZoom(0.5),
      "=": () => page.view.glideZoom(0.5),
      "-": () => page.view.glideZoom(2),
      0: () => page.view.glide(0, page.session.span),
      f: () => page.selected && page.zoomTo(page.selected),
      "/": () => page.find(),
      "?": () => document.getElementById("help").showModal(),
      ArrowLeft: () => page.view.pan(-length * (event.shiftKey ? 0.5 : 0.1)),
      ArrowRight: () => page.view.pan(length * (event.shiftKey ? 0.5 : 0.1)),
    };
    const action = actions[event.key] ?? actions[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
