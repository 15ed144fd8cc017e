// The page in a real browser. Prints one line a test, and `N passed, N failed` at the end.
//
// AINONYMOUS_BIN       the binary `ainonymous`: its nodes are started for the tests against real ones; without it and
//                      AINONYMOUS_UI_URL only the tests against a scripted node run
// AINONYMOUS_UI_URL    page of a running node that has a provider as its peer, instead of AINONYMOUS_BIN
// AINONYMOUS_UI_SHOTS  directory for screenshots, if they are wanted
// AINONYMOUS_UI_PART   `page`: only against a scripted node; `nodes`: only against real ones
// AINONYMOUS_UI_TESTS  only tests whose name contains this
// CHROMIUM             browser; default /usr/bin/chromium
import { mkdirSync } from "node:fs";
import { launch } from "./browser.mjs";
import { tests as chatTests } from "./chat.mjs";
import { tests as circleTests } from "./circle.mjs";
import { tests as compareTests } from "./compare.mjs";
import { startNetwork } from "./network.mjs";
import { tests as pageTests } from "./page.mjs";

const TEST_LIMIT_MS = 240_000;

const { AINONYMOUS_UI_URL, AINONYMOUS_BIN, AINONYMOUS_UI_SHOTS, AINONYMOUS_UI_TESTS, AINONYMOUS_UI_PART } = process.env;
const hasNodes = AINONYMOUS_UI_URL !== undefined || AINONYMOUS_BIN !== undefined;
if (AINONYMOUS_UI_SHOTS) mkdirSync(AINONYMOUS_UI_SHOTS, { recursive: true });

let network = null;
let browser = null;
let passed = 0;
let failed = 0;

async function runAll(tests, context) {
  for (const { name, needsNetwork, run } of tests) {
    if ((needsNetwork && network === null) || (AINONYMOUS_UI_TESTS && !name.includes(AINONYMOUS_UI_TESTS))) continue;
    const startedMs = Date.now();
    try {
      await withLimit(run(context), TEST_LIMIT_MS);
      passed += 1;
      console.log(`ok     ${name} (${Date.now() - startedMs} ms)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}\n${indent(error.stack ?? String(error))}`);
      for (const way of ["node", "happ"]) await context.shot(context[way], `failed-${failed}-${way}`);
    }
  }
}

const shot = async (page, name) => {
  if (AINONYMOUS_UI_SHOTS && page) await page.screenshot({ path: `${AINONYMOUS_UI_SHOTS}/${name}.png` }).catch(() => undefined);
};
try {
  browser = await launch();
  if (AINONYMOUS_UI_PART !== "nodes") await runAll(pageTests, { browser, shot });
  if (hasNodes && AINONYMOUS_UI_PART !== "page") {
    network = AINONYMOUS_UI_URL ? null : await startNetwork(AINONYMOUS_BIN);
    await runAll(chatTests, { browser, network, url: AINONYMOUS_UI_URL ?? network.page, shot });
    await network?.stop();
    if (AINONYMOUS_BIN) await runAll([...compareTests, ...circleTests], { browser, binary: AINONYMOUS_BIN, shot });
  } else if (!hasNodes) {
    console.log("without AINONYMOUS_BIN and AINONYMOUS_UI_URL: not tried against real nodes");
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
