// Opens the pages in Chromium and uses them with mouse, touch and keyboard: `check.mjs CHROMIUM FOLDER`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [executablePath, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const THREADS = { few: 10, many: 5001 };

let browser;

async function check(name, theme) {
  const context = await browser.newContext({
    viewport: { width: 1360, height: 820 }, colorScheme: theme, reducedMotion: "reduce", hasTouch: true,
  });
  await context.addInitScript(axe);
  const page = await context.newPage();
  const [complaints, requests] = [[], []];
  const url = `file://${folder}/${name}.html`;
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url);
  await page.locator(`#names [aria-setsize="${THREADS[name]}"]`).first().waitFor();
  const picture = (what) => page.screenshot({ path: `${name}-${theme}${what}.png` });
  const tool = new Tool(page, THREADS[name]);
  await picture("");
  await tool.isAccessible("the chart");
  await zooms(tool);
  await picture("-zoomed");
  await movesByKeys(tool);
  await searches(tool);
  if (name === "few") await showsDetails(tool, picture);
  else await isFast(tool);
  await isTable(tool);
  await picture("-table");
  await changesColors(tool, theme);
  await helps(tool);
  assert.deepEqual(complaints, [], "the page complains, or breaks its own policy");
  assert.deepEqual(requests, [url], "the page asks for something else");
  console.log(`${name}, ${theme}: ${THREADS[name]} threads`);
  await context.close();
}

/** A page, and what is often asked of it. */
class Tool {
  constructor(page, threads) {
    Object.assign(this, { page, threads });
  }

  text(selector) {
    return this.page.locator(selector).innerText();
  }

  /** What is in sight must be so in the end; pages draw with the next frame. */
  async becomes(selector, expected) {
    const test = ([selector, expected]) => document.querySelector(selector)?.textContent === expected;
    await this.page.waitForFunction(test, [selector, expected]).catch(async () => {
      assert.equal(await this.page.locator(selector).textContent(), expected, selector);
    });
  }

  /** Does something, after which another range of time is in view; answers how it is named. */
  async rangeAfter(action) {
    const before = await this.text("#range");
    await action();
    await this.page.waitForFunction((before) => document.getElementById("range").innerText !== before, before);
    return this.text("#range");
  }

  /** How much time is in view by now, as a share of the session. */
  share() {
    return this.page.evaluate(() => {
      const units = { µs: 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600 };
      const seconds = (text) => [...text.matchAll(/([\d.]+) (µs|ms|s|min|h)/g)].reduce((sum, [, number, unit]) => sum + number * units[unit], 0);
      const took = [...document.querySelectorAll("#facts dt")].find((each) => each.textContent === "Took").nextSibling;
      return seconds(document.getElementById("range").textContent) / seconds(took.textContent);
    });
  }

  /** So much is in view in the end. */
  async comesToShow(least, most, why) {
    const begun = Date.now();
    let share = await this.share();
    while (!(share >= least && share <= most)) {
      assert.ok(Date.now() - begun < 30_000, `${why}: ${share} of the session is in view`);
      await this.page.waitForTimeout(20);
      share = await this.share();
    }
  }

  async isAccessible(where) {
    const { violations, passes } = await this.page.evaluate(() => axe.run());
    const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`);
    assert.deepEqual(told, [], where);
    assert.ok(passes.length > 10, "axe has looked at nothing");
  }

  async middle() {
    const box = await this.page.locator("#bars").boundingBox();
    return { x: box.x + box.width / 2, y: box.y + 40, width: box.width };
  }
}

/** Wheel, buttons, keys, drags and two fingers change what is in view. */
async function zooms(tool) {
  const { page } = tool;
  const whole = await tool.text("#range");
  const { x, y } = await tool.middle();
  await page.mouse.move(x, y);
  await page.keyboard.down("Control");
  await tool.rangeAfter(() => page.mouse.wheel(0, -300));
  await page.keyboard.up("Control");
  await tool.comesToShow(0, 0.9, "the wheel zooms");
  const before = await tool.share();
  await tool.rangeAfter(() => page.locator("#zoom-in").click());
  await tool.comesToShow(0, before * 0.6, "the button zooms");
  assert.equal(await tool.rangeAfter(() => page.locator("#zoom-all").click()), whole);
  assert.ok(await page.locator("#zoom-out").isDisabled(), "there is no more than the whole session");
  // Two fingers that move apart.
  const touch = await page.context().newCDPSession(page);
  const fingers = (type, apart) =>
    touch.send("Input.dispatchTouchEvent", {
      type, touchPoints: apart ? [{ x: x - apart, y, id: 1 }, { x: x + apart, y, id: 2 }] : [],
    });
  await tool.rangeAfter(async () => {
    await fingers("touchStart", 40);
    for (let apart = 50; apart <= 160; apart += 10) await fingers("touchMove", apart);
    await fingers("touchEnd");
  });
  await tool.comesToShow(0, 0.5, "two fingers zoom");
  // A drag moves what is in view, and leaves how much it is.
  const share = await tool.share();
  const ticks = () => page.evaluate(() => document.getElementById("axis").toDataURL());
  const axis = await ticks();
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x - 150, y, { steps: 5 });
  await page.mouse.up();
  await page.waitForFunction((axis) => document.getElementById("axis").toDataURL() !== axis, axis);
  await tool.comesToShow(share - 0.02, share + 0.02, "a drag does not zoom");
  // A drag over the activity is a range.
  await page.locator("#zoom-all").click();
  await tool.becomes("#range", whole);
  const overview = await page.locator("#overview").boundingBox();
  await tool.rangeAfter(async () => {
    await page.mouse.move(overview.x + overview.width * 0.2, overview.y + 20);
    await page.mouse.down();
    await page.mouse.move(overview.x + overview.width * 0.5, overview.y + 20, { steps: 4 });
    await page.mouse.up();
  });
  await tool.comesToShow(0.25, 0.36, "a drag over 0.3 of the activity takes that");
}

/** All of it works without a mouse. */
async function movesByKeys(tool) {
  const { page, threads } = tool;
  const names = page.locator("#names");
  const active = () => names.getAttribute("aria-activedescendant");
  const place = async () => page.locator(`#${await active()}`).getAttribute("aria-posinset");
  await names.focus();
  await page.keyboard.press("0");
  await page.waitForFunction(() => document.getElementById("zoom-out").disabled);
  await page.keyboard.press("Home");
  assert.equal(await active(), "thread-0");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  assert.equal(await place(), "3");
  await page.keyboard.press("ArrowUp");
  assert.equal(await active(), "thread-1");
  await page.keyboard.press("PageDown");
  assert.ok(Number(await place()) > 2, "a page is more than a row");
  await page.keyboard.press("End");
  assert.equal(await place(), `${threads}`);
  assert.ok((await page.locator("#names [role=option]").count()) <= 60, "only rows in sight are elements");
  await page.keyboard.press("Home");
  await tool.rangeAfter(() => page.keyboard.press("+"));
  await tool.comesToShow(0, 0.6, "a key zooms");
  await page.keyboard.press("f");
  await page.keyboard.press("Enter");
  await tool.becomes("#details h2", "main");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "main");
  await tool.isAccessible("the details");
  await page.keyboard.press("Escape");
  await page.locator("#details").waitFor({ state: "hidden" });
  assert.equal(await page.evaluate(() => document.activeElement.id), "names");
  await page.keyboard.press("0");
}

async function searches(tool) {
  const { page, threads } = tool;
  const all = threads.toLocaleString("en");
  await page.keyboard.press("/");
  await page.keyboard.type(threads === 10 ? "RESERVE" : "(7,");
  await tool.becomes("#count", threads === 10 ? `3 of ${all} threads` : `48 of ${all} threads`);
  // What was found is marked.
  await page.locator("#names mark").first().waitFor();
  await page.keyboard.press("Escape");
  await tool.becomes("#count", `${all} threads`);
  await page.locator("#ends [data-end=broken]").click();
  await tool.becomes("#count", `${threads === 10 ? 1 : 96} of ${all} threads`);
  await page.locator('#ends [data-end=""]').click();
  await page.locator("#order").selectOption("duration");
  assert.equal(await page.locator('#names [aria-posinset="1"]').getAttribute("id"), "thread-0");
  await page.locator("#order").selectOption("tree");
}

/** What others wrote is text, whatever is in it; links lead from thread to thread. */
async function showsDetails(tool, picture) {
  const { page } = tool;
  await page.locator("#thread-8").click();
  await tool.becomes("#details h2", "reserve");
  const error = page.locator("#details pre.is-broken");
  assert.match(await error.innerText(), /there is no <b>nothing<\/b> in stock\nlook for something/);
  assert.equal(await page.locator("#details b").count(), 0);
  assert.match(await tool.text("#details .kind"), /Thread 8, broken/);
  await page.locator("#thread-5").click();
  assert.match(await tool.text("#details"), /<\/script><script>document\.title = 'owned'<\/script><!-- .* \\u\{2028\} \\u\{202e\}/);
  assert.equal(await page.title(), 'main("1001") · Hark timeline');
  assert.match(await page.locator("#thread-6").innerText(), /שלום עולם, مرحبا بالعالم/);
  await page.locator("#thread-2").click();
  // Who waits is marked.
  await page.locator("#thread-0.is-related").waitFor();
  await picture("-details");
  await page.locator("#details .chip", { hasText: "0 main" }).first().click();
  await tool.becomes("#details h2", "main");
  await page.waitForFunction(() => document.querySelectorAll("#names .is-related").length === 4);
  await page.keyboard.press("Escape");
  await page.mouse.move(0, 0);
}

/** A worker that was lost while it computed is in the details, in the history and in the legend. */
async function showsLoss(theme) {
  const page = await browser.newPage({ viewport: { width: 1360, height: 820 }, colorScheme: theme, reducedMotion: "reduce" });
  await page.addInitScript(axe);
  await page.goto(`file://${folder}/lost.html`);
  await page.locator("#thread-0").click();
  const tool = new Tool(page, 1);
  await tool.becomes("#details h2", "main");
  assert.match(await tool.text("#details .pairs"), /Lost workers\s*1/);
  assert.match(await tool.text("#details table"), /taken over from a lost worker/);
  assert.match(await tool.text(".legend"), /its worker was lost/);
  await page.screenshot({ path: `lost-${theme}.png` });
  await tool.isAccessible("a lost worker");
  await page.goto(`file://${folder}/few.html`);
  assert.doesNotMatch(await tool.text(".legend"), /its worker was lost/);
  await page.close();
  console.log(`lost, ${theme}: a lost worker`);
}

/** Tells how long it takes to draw; a machine may be slow, so nothing is expected of it. */
async function isFast(tool) {
  const [begun, step] = await tool.page.evaluate(async () => {
    const canvas = document.getElementById("bars");
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const first = performance.getEntriesByName("first-contentful-paint")[0].startTime;
    const from = performance.now();
    for (let index = 0; index < 40; index++) {
      const deltaY = index < 20 ? -30 : 30;
      canvas.dispatchEvent(new WheelEvent("wheel", { ctrlKey: true, deltaY, clientX: 800, clientY: 400, cancelable: true }));
      await frame();
    }
    return [first, (performance.now() - from) / 40];
  });
  console.log(`seen after ${begun.toFixed(0)} ms; a frame of zooming takes ${step.toFixed(1)} ms`);
}

/** The same threads as a table. */
async function isTable(tool) {
  const { page, threads } = tool;
  await page.locator("#as-table").click();
  await page.locator("#table tbody tr").first().waitFor();
  assert.equal(await page.locator("#table tbody tr").count(), Math.min(threads, 200));
  assert.match(await tool.text("#table tbody tr >> nth=0"), /^0\tmain/);
  await tool.isAccessible("the table");
  if (threads > 200) {
    await page.locator(".pages button", { hasText: "Next" }).click();
    await tool.becomes("#table caption", `Threads 201 to 400 of ${threads.toLocaleString("en")}`);
    assert.equal(await page.evaluate(() => document.activeElement.id), "table");
  }
  // Details open from the table, and give the focus back to it.
  await page.locator("#table tbody button").first().click();
  await page.locator("#details h2").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#details").waitFor({ state: "hidden" });
  assert.equal(await page.evaluate(() => document.activeElement.id), "table");
}

async function changesColors(tool, theme) {
  const { page } = tool;
  await page.locator("#as-chart").click();
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const before = await background();
  const other = theme === "light" ? "dark" : "light";
  await page.locator(`[data-theme-choice=${other}]`).click();
  assert.notEqual(await background(), before);
  await tool.isAccessible(`the chart, ${other} by choice`);
  await page.locator("[data-theme-choice=system]").click();
  assert.equal(await background(), before);
}

async function helps(tool) {
  const { page } = tool;
  await page.keyboard.press("?");
  await page.locator("#help[open]").waitFor();
  await tool.isAccessible("the help");
  await page.keyboard.press("Escape");
  await page.locator("#help").waitFor({ state: "hidden" });
}

browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
for (const name of Object.keys(THREADS)) {
  for (const theme of ["light", "dark"]) await check(name, theme);
}
for (const theme of ["light", "dark"]) await showsLoss(theme);
await browser.close();
