// Figures of the page: prints one JSON object as its last line. Against a scripted node, whose answers have a known pace.
import { gzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ask, done, launch, last, violations } from "./browser.mjs";
import { CONVERSATION, history, keep } from "./history.mjs";
import { startScripted, usualWorld } from "./scripted.mjs";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const ROUNDS = 5;
const RATE_PER_S = 200;
const TOKENS = 2_000;
/** About as many tokens as the words have. */
const OPEN_TOKENS = 20_000;

const world = usualWorld();
const node = await startScripted(world);
const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB" });

const report = {
  first_paint_ms: await firstPaint(),
  ...(await scripts()),
  ...(await longTasks()),
  first_token_over_provider_ms: await firstToken(),
  axe_violations: await axe(),
};
await browser.close();
await node.stop();
console.log(JSON.stringify(report));

/** Median of first contentful paints, each with an empty cache. */
async function firstPaint() {
  const times = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const fresh = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    const page = await fresh.newPage();
    await page.goto(node.url);
    times.push(
      await page.evaluate(
        () =>
          new Promise((resolve) => {
            new PerformanceObserver((list) => list.getEntriesByName("first-contentful-paint").forEach(({ startTime }) => resolve(startTime))).observe({ type: "paint", buffered: true });
          }),
      ),
    );
    await fresh.close();
  }
  return median(times);
}

/** What is fetched before anybody does anything, as the server of a runtime would send it. */
async function scripts() {
  const fresh = await browser.newContext();
  const page = await fresh.newPage();
  const names = new Set();
  page.on("request", (request) => request.resourceType() === "script" && names.add(new URL(request.url()).pathname));
  await page.goto(node.url);
  await page.getByRole("status").filter({ hasText: /Ready/ }).waitFor();
  await fresh.close();
  const bytes = [...names].map((name) => gzipSync(readFileSync(join(DIST, name)), { level: 9 }).length);
  return { script_gzip_kb: Number((bytes.reduce((sum, one) => sum + one, 0) / 1_000).toFixed(1)), script_files: names.size };
}

/** The longest task while an answer comes at 200 tokens a second into a conversation of 20,000 tokens. */
async function longTasks() {
  const page = await context.newPage();
  await page.goto(node.url);
  await page.getByRole("status").filter({ hasText: "Ready" }).waitFor();
  const words = Array.from({ length: 400 }, (_, at) => (at % 40 === 39 ? "end.\n\n" : at % 11 === 0 ? "`code` " : "word ")).join("");
  await keep(page, history(OPEN_TOKENS / 400, () => words));
  await page.goto(`${node.url}#/c/${CONVERSATION}`);
  await page.reload();
  await page.locator("article").last().waitFor();
  await page.waitForTimeout(1_000);
  const kinds = ["A sentence of words that go on and on. ", "More **bold** text with `code` in it. ", "And\n\n- one\n- two\n\n", "| a | b |\n|---|---|\n| 1 | 2 |\n\n", "```js\nconst a = 1;\nconst b = 2;\n```\n\n"];
  const pieces = Array.from({ length: TOKENS }, (_, at) => kinds[at % kinds.length]).join("").match(/[\s\S]{1,4}/g).slice(0, TOKENS);
  world.answer = () => ({ pieces, everyMs: 1_000 / RATE_PER_S });
  await page.evaluate(() => {
    globalThis.tasks = [];
    new PerformanceObserver((list) => globalThis.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });
    globalThis.frames = [];
    let before = performance.now();
    const frame = (now) => {
      globalThis.frames.push(now - before);
      before = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await ask(page, "Go on.");
  await done(page, 60_000);
  const { tasks, frames } = await page.evaluate(() => ({ tasks: globalThis.tasks, frames: globalThis.frames }));
  const text = await page.evaluate(() => document.querySelector(".answer:last-of-type") !== null);
  await page.close();
  if (!text) throw new Error("no answer was shown");
  frames.sort((a, b) => a - b);
  return {
    // Chromium reports tasks of 50 ms and more; without one the worst is below that.
    worst_long_task_ms: Math.round(Math.max(0, ...tasks)),
    long_tasks: tasks.length,
    frame_p99_ms: Number(frames[Math.floor(frames.length * 0.99)].toFixed(1)),
    streamed_tokens: TOKENS,
    open_tokens: OPEN_TOKENS,
  };
}

/** From the provider's first token to its words in the page, median. Both clocks are this machine's. */
async function firstToken() {
  const page = await context.newPage();
  await page.goto(node.url);
  await page.getByRole("status").filter({ hasText: "Ready" }).waitFor();
  world.answer = () => ({ beforeMs: 150, pieces: ["First", " words", "."], everyMs: 20 });
  const times = [];
  for (let round = 0; round < 2 * ROUNDS; round += 1) {
    const shown = page.evaluate(
      (count) =>
        new Promise((resolve) => {
          const look = () => {
            const text = document.querySelectorAll(".answer").item(count)?.querySelector(".text")?.textContent ?? "";
            if (!text.includes("First")) return;
            observer.disconnect();
            requestAnimationFrame(() => resolve(Date.now()));
          };
          const observer = new MutationObserver(look);
          observer.observe(document.body, { subtree: true, childList: true, characterData: true });
        }),
      await page.locator(".answer").count(),
    );
    await ask(page, `Question ${round}`);
    times.push((await shown) - world.firstTokenMs);
    await done(page);
  }
  await page.close();
  return median(times);
}

async function axe() {
  let found = 0;
  for (const colorScheme of ["light", "dark"]) {
    const fresh = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme, locale: "en-GB" });
    const page = await fresh.newPage();
    await page.goto(node.url);
    await page.getByRole("status").filter({ hasText: "Ready" }).waitFor();
    found += (await violations(page)).length;
    await ask(page, "What?");
    await done(page);
    await last(page).locator("details.facts summary").click();
    found += (await violations(page)).length;
    for (const view of ["network", "node", "settings"]) {
      await page.goto(`${node.url}#/${view}`);
      await page.locator("section.view dl").first().waitFor();
      found += (await violations(page)).length;
    }
    await fresh.close();
  }
  return found;
}

function median(times) {
  return Math.round(times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]);
}
