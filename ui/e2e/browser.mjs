// What every program here needs of a browser: how it is started, what it complained about, what a checker finds.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ...["--disable-component-update", "--disable-sync"],
  // A page that the harness of the runtime serves has no address, which counts as public: it could not reach a local socket.
  "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets",
];
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/** Everything that a page says in the console or asks for from elsewhere. */
export function watch(page) {
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  const outside = [];
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol !== "data:" && protocol !== "blob:" && hostname !== "127.0.0.1" && hostname !== "localhost") outside.push(request.url());
  });
  page.on("websocket", (socket) => {
    const { hostname } = new URL(socket.url());
    if (hostname !== "127.0.0.1" && hostname !== "localhost") outside.push(socket.url());
  });
  return { complaints, outside };
}

/** What axe finds, one line each. */
export async function violations(page) {
  // Half-transparent text in mid-motion is nobody's colour.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter((one) => Number.isFinite(one.effect?.getComputedTiming().endTime)).map((one) => one.finished)));
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axeSource);
  const found = await page.evaluate((values) => globalThis.axe.run({ runOnly: { type: "tag", values } }), RULES);
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes[0].html} ${nodes[0].failureSummary}`);
}

export async function noViolations(page, where) {
  assert.deepEqual(await violations(page), [], where);
}

export async function fitsItsWidth(page, where) {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${overflow} px too wide: ${where}`);
}

export async function ask(page, question) {
  await page.getByRole("textbox", { name: /Your question|Deine Frage/ }).fill(question);
  await page.getByRole("button", { name: /^(Send|Senden)$/ }).click();
}

/** The answer to the newest question. */
export function last(page) {
  return page.locator(".answer").last();
}

export async function done(page, ms = 60_000) {
  await last(page).and(page.locator("[data-phase=done]")).waitFor({ timeout: ms });
}
