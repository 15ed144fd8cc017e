// The chat page in a real browser against real nodes. Prints one line a test, and `N passed, N failed` at the end.
//
// AINONYMOUS_UI_URL    page of a running node that has a provider as its peer; without it nodes are started from
// AINONYMOUS_BIN       the binary `ainonymous`
// AINONYMOUS_UI_SHOTS  directory for screenshots, if they are wanted
// CHROMIUM             browser; default /usr/bin/chromium
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";
import { startNetwork } from "./network.mjs";
import { tests } from "./chat.mjs";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const TEST_LIMIT_MS = 90_000;

const { AINONYMOUS_UI_URL, AINONYMOUS_BIN, AINONYMOUS_UI_SHOTS, CHROMIUM } = process.env;
if (!AINONYMOUS_UI_URL && !AINONYMOUS_BIN) {
  console.error("set AINONYMOUS_UI_URL (a served page) or AINONYMOUS_BIN (the binary `ainonymous`)");
  process.exit(2);
}
if (AINONYMOUS_UI_SHOTS) mkdirSync(AINONYMOUS_UI_SHOTS, { recursive: true });

let network = null;
let browser = null;
let passed = 0;
let failed = 0;
try {
  network = AINONYMOUS_UI_URL ? null : await startNetwork(AINONYMOUS_BIN);
  browser = await chromium.launch({ executablePath: CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
  const page = await browser.newPage({ viewport: { width: 1100, height: 720 }, colorScheme: "light" });
  const context = { page, network, url: AINONYMOUS_UI_URL ?? network.page, shots: AINONYMOUS_UI_SHOTS ?? null };
  for (const { name, needsNetwork, run } of tests) {
    if (needsNetwork && network === null) continue;
    const startedMs = Date.now();
    try {
      await withLimit(run(context), TEST_LIMIT_MS);
      passed += 1;
      console.log(`ok     ${name} (${Date.now() - startedMs} ms)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}\n${indent(error.stack ?? String(error))}`);
      if (context.shots) await page.screenshot({ path: `${context.shots}/failed-${failed}.png` }).catch(() => undefined);
    }
  }
} catch (error) {
  failed += 1;
  console.log(`FAILED to start\n${indent(error.stack ?? String(error))}`);
} finally {
  await browser?.close();
  await network?.stop();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function withLimit(promise, ms) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function indent(text) {
  return text.replace(/^/gm, "       ");
}
