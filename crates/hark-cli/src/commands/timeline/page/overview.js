// The activity of the whole session, with the range in view.

class Overview {
  constructor(page) {
    this.page = page;
    this.surface = new Surface("overview");
  }

  draw() {
    const { surface, page } = this;
    const { view, colors } = page;
    const context = surface.begin();
    const bottom = surface.height - 1;
    const columns = Math.max(Math.round(surface.room), 1);
    if (this.rows !== page.rows || this.columns !== columns) {
      [this.rows, this.columns] = [page.rows, columns];
      this.counts = countActivity(page.rows, page.session.span, columns);
    }
    const { layers, most } = this.counts;
    const scale = (surface.height - 10) / Math.max(most, 1);
    const below = new Float32Array(columns);
    for (const [kind, counts] of layers) {
      context.fillStyle = colors[kind];
      context.globalAlpha = kind === "wait" || kind === "sleep" ? 0.4 : 1;
      for (let column = 0; column < columns; column++) {
        const height = counts[column] * scale;
        if (height === 0) continue;
        context.fillRect(MARGIN + column, bottom - below[column] - Math.max(height, 0.5), 1, Math.max(height, 0.5));
        below[column] += height;
      }
    }
    context.globalAlpha = 1;
    if (view.isWhole) return;
    const full = { from: 0, to: page.session.span };
    const [left, right] = [surface.x(full, view.from), Math.max(surface.x(full, view.to), surface.x(full, view.from) + 2)];
    context.fillStyle = colors.surface;
    context.globalAlpha = 0.75;
    context.fillRect(0, 0, left, bottom);
    context.fillRect(right, 0, surface.width - right, bottom);
    context.globalAlpha = 1;
    context.strokeStyle = colors.accent;
    context.lineWidth = 1.5;
    context.beginPath();
    context.roundRect(left - 1, 1, right - left + 2, bottom - 2, 4);
    context.stroke();
  }
}

/** The average number of threads in each kind of stretch, for each column. */
function countActivity(threads, span, columns) {
  const layers = new Map(Object.keys(KINDS).map((kind) => [kind, new Float64Array(columns + 2)]));
  for (const thread of threads) {
    for (const { kind, from, to } of thread.stretches) {
      const counts = layers.get(kind);
      if (counts) addStretch(counts, (from / span) * columns, (to / span) * columns, columns);
    }
  }
  let most = 0;
  for (const counts of layers.values()) sumUp(counts, columns);
  for (let column = 0; column < columns; column++) {
    let sum = 0;
    for (const counts of layers.values()) sum += counts[column];
    most = Math.max(most, sum);
  }
  return { layers, most };
}

/** Adds a stretch as two changes, at its ends, so that the cost does not depend on its length. `sumUp` turns changes into counts. */
function addStretch(changes, from, to, columns) {
  const edge = (at, amount) => {
    const column = Math.min(Math.floor(at), columns);
    const share = at - column;
    changes[column] += amount * (1 - share);
    changes[column + 1] += amount * share;
  };
  edge(from, 1);
  edge(to, -1);
}

function sumUp(changes, columns) {
  for (let column = 1; column < columns; column++) changes[column] += changes[column - 1];
}
