// Sets up the page: the facts about the session, the controls and the colors.

/** Sets which of several buttons is pressed. */
function press(selector, isPressed) {
  for (const button of document.querySelectorAll(selector)) button.setAttribute("aria-pressed", `${isPressed(button)}`);
}

/** Shows the session's name, state and facts. */
function describe(session) {
  document.title = `${session.call} · Hark timeline`;
  document.getElementById("call").textContent = session.call;
  document.getElementById("call").title = session.call;
  const state = document.getElementById("state");
  state.textContent = session.state;
  state.className = `state is-${session.state in ENDS && session.state !== "open" ? session.state : "open"}`;
  const fact = (name, value, className = "") => make("div", {}, [make("dt", {}, [name]), make("dd", { className, dir: "auto" }, [value])]);
  const facts = [fact("Session", session.session, "id")];
  if (session.key) facts.push(fact("Key", session.key, "id"));
  facts.push(fact("Program", session.file), fact("Started", session.started.replace("T", " ").replace(/\.\d+Z$/, " UTC")));
  facts.push(fact("Took", `${shownDuration(session.to)}${session.is_over ? "" : " so far"}`));
  if (session.tags.length > 0) facts.push(fact("Tags", session.tags.join(" ")));
  document.getElementById("facts").append(...facts);
  document.getElementById("lost-sign").hidden = session.threads.every((thread) => thread.losses.length === 0);
  document.getElementById("note").textContent =
    session.omitted > 0 ? `${counted(session.omitted, "thread")} left out; --limit takes more in` : "";
}

/** Adds a filter button for each way that threads have ended. */
function offerEnds(page) {
  const { threads } = page.session;
  const group = document.getElementById("ends");
  for (const [end, text] of [["", "All"], ...Object.entries(ENDS)]) {
    const count = end ? threads.filter((thread) => thread.end === end).length : threads.length;
    if (count === 0) continue;
    const name = text[0].toUpperCase() + text.slice(1);
    const button = make("button", { type: "button", ariaPressed: `${end === ""}` }, [name, make("span", { className: "number" }, [count.toLocaleString("en")])]);
    button.dataset.end = end;
    button.addEventListener("click", () => {
      page.end = end;
      press("#ends button", (each) => each === button);
      page.filter();
    });
    group.append(button);
  }
}

/** Shows the chart or the table. */
function show(page, isTable) {
  document.getElementById("chart").hidden = isTable;
  document.getElementById("table").hidden = !isTable;
  document.getElementById("zoom").hidden = isTable;
  document.getElementById("as-chart").setAttribute("aria-pressed", `${!isTable}`);
  document.getElementById("as-table").setAttribute("aria-pressed", `${isTable}`);
  page.table.draw();
  page.resized();
}

/** Switches between light, dark and the colors of the system. */
function chooseTheme(page, theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  press("[data-theme-choice]", (button) => button.dataset.themeChoice === theme);
  page.colors = palette();
  page.changed();
}

const THEME = "hark-timeline-theme";

function watchTheme(page) {
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.addEventListener("click", () => {
      chooseTheme(page, button.dataset.themeChoice);
      try { localStorage.setItem(THEME, button.dataset.themeChoice); } catch { /* Some browsers allow no storage for local files. */ }
    });
  }
  let remembered;
  try { remembered = localStorage.getItem(THEME); } catch { /* As above. */ }
  chooseTheme(page, ["light", "dark"].includes(remembered) ? remembered : "system");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    page.colors = palette();
    page.changed();
  });
}

/** Connects the controls. */
function watchControls(page) {
  const on = (id, event, action) => document.getElementById(id).addEventListener(event, action);
  on("search", "input", (event) => {
    page.search = event.target.value;
    page.filter();
  });
  on("search", "keydown", (event) => {
    if (event.key !== "Enter" || page.rows.length === 0) return;
    page.focusThreads();
    page.choose(page.rows[0]);
  });
  on("order", "change", (event) => {
    page.order = event.target.value;
    page.filter();
  });
  on("zoom-in", "click", () => page.view.glideZoom(0.5));
  on("zoom-out", "click", () => page.view.glideZoom(2));
  on("zoom-all", "click", () => page.view.glide(0, page.session.span));
  on("as-chart", "click", () => show(page, false));
  on("as-table", "click", () => show(page, true));
  on("help-button", "click", () => document.getElementById("help").showModal());
  on("scroll", "scroll", () => page.draw());
  on("names", "pointermove", (event) => page.point({ offsetY: event.clientY - page.names.element.getBoundingClientRect().top, pointerType: "touch" }));
  on("names", "pointerleave", () => page.point());
  on("names", "click", (event) => {
    const thread = page.threadAt(event.clientY - page.names.element.getBoundingClientRect().top);
    if (thread) page.choose(thread, true);
  });
  const names = [...new Set(page.session.threads.map((thread) => thread.name))].slice(0, 200);
  document.getElementById("functions").append(...names.map((value) => make("option", { value })));
}

function start() {
  const session = readSession();
  const page = new Page(session);
  describe(session);
  offerEnds(page);
  watchTheme(page);
  watchControls(page);
  page.filter();
  page.resized();
  watchBars(page);
  watchRange(page, page.axis, () => page.view);
  watchRange(page, page.overview.surface, () => ({ from: 0, to: session.span }));
  watchKeys(page);
  new ResizeObserver(() => page.resized()).observe(page.scroll);
}

start();
