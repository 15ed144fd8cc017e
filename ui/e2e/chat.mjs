// What a person does with the page against real nodes, through the sidecar and through the conductor alone, and what they must
// see. The tests share two pages and run in this order.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { ask, done, fitsItsWidth, last, noViolations, watch } from "./browser.mjs";
import { MODEL } from "./network.mjs";
import { openInRuntime } from "./runtime.mjs";

const runFile = promisify(execFile);

const READY_MS = 60_000;
const ANSWER_MS = 60_000;
const RECEIPT_MS = 60_000;
/** Whatever goes wrong has a name by then. */
const NAMED_MS = 5_500;

/** The same expectations for both ways. */
function onEitherWay(way, { route }) {
  const named = (name) => `${name}, ${way === "node" ? "through the node" : "as a runtime shows it"}`;
  return [
    {
      name: named("the provider and its model are found, and whoever will read the question is named"),
      run: async (context) => {
        const page = context[way];
        await page.getByRole("status").filter({ hasText: "Ready" }).waitFor({ timeout: READY_MS });
        await page.locator(".picker").filter({ hasText: "q8_0" }).waitFor();
        await page.getByText(/One stranger reads this: uhCAk/).waitFor();
        await context.shot(page, `${way}-ready`);
      },
    },
    {
      name: named("a question is answered by a named provider, and the receipt is fetched and checked"),
      run: async (context) => {
        const page = context[way];
        await ask(page, "What is the capital of France?");
        const answer = last(page);
        await answer.locator(".text").filter({ hasText: "Paris" }).waitFor({ timeout: ANSWER_MS });
        await done(page, ANSWER_MS);
        await answer.locator(".receipt[data-receipt=checked]").waitFor({ timeout: RECEIPT_MS });
        await answer.getByText("unaudited", { exact: true }).waitFor();
        await answer.locator("details.facts summary").click();
        const facts = await answer.locator("details.facts dl").textContent();
        assert.match(facts, /uhCAk[\w-]{48}/);
        assert.match(facts, /stands in the published batch uhCkk/);
        assert.ok(facts.includes(route), facts);
        assert.match(facts, /\d+ tokens read · \d+ tokens? written · first after [\d,]+ ms/);
        await context.shot(page, `${way}-receipt`);
      },
    },
    {
      name: named("the receipt is saved as a file, and whoever has the model computes the answer again from it"),
      run: async (context) => {
        const page = context[way];
        const [download] = await Promise.all([page.waitForEvent("download"), last(page).getByRole("button", { name: "Receipt", exact: true }).click()]);
        const file = await download.path();
        const text = readFileSync(file, "utf8");
        assert.ok(text.includes("What is the capital of France?") && text.includes("Paris"));
        if (process.env.AINONYMOUS_BIN === undefined) return;
        const { stdout } = await runFile(process.env.AINONYMOUS_BIN, ["verify", file, "--model", MODEL, "--json"]);
        const { verdict, level, findings, replay } = JSON.parse(stdout);
        assert.deepEqual([verdict, level, replay.same_choice], ["pass", 2, replay.tokens]);
        // Signals carry no fingerprint.
        const unknown = way === "node" ? [] : ["fingerprint"];
        assert.deepEqual(findings.filter(({ found }) => found !== "fits").map(({ part }) => part), unknown);
      },
    },
    {
      name: named("stop ends a long answer"),
      run: async (context) => {
        const page = context[way];
        // The tiny model is fast: the button is pressed in the page as soon as there is text.
        const pressed = page.evaluate(() => {
          const count = document.querySelectorAll(".answer").length;
          return new Promise((resolve) => {
            const look = () => {
              const text = document.querySelectorAll(".answer").item(count)?.querySelector(".text");
              const button = document.querySelector("button.stop:not(:disabled)");
              if (!text || !button) return;
              observer.disconnect();
              button.click();
              resolve(true);
            };
            const observer = new MutationObserver(look);
            observer.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
          });
        });
        await ask(page, "Tell me a long story.");
        await pressed;
        await last(page).and(page.locator("[data-phase=stopped]")).waitFor();
        const text = await last(page).locator(".text").textContent();
        await page.waitForTimeout(1_000);
        assert.equal(await last(page).locator(".text").textContent(), text);
        await page.getByRole("button", { name: "Send" }).waitFor();
      },
    },
    {
      name: named("the keyboard is enough"),
      run: async (context) => {
        const page = context[way];
        const field = page.getByRole("textbox", { name: "Your question" });
        await field.focus();
        await page.keyboard.type("one");
        await page.keyboard.press("Shift+Enter");
        await page.keyboard.type("two");
        assert.equal(await field.inputValue(), "one\ntwo");
        await field.fill("What is the capital of France?");
        const count = await page.locator("article").count();
        await page.keyboard.press("Enter");
        await page.locator("article").nth(count).waitFor();
        await page.keyboard.press("Escape");
        await last(page).and(page.locator("[data-phase=stopped], [data-phase=done]")).waitFor();
        assert.equal(await field.inputValue(), "");
      },
    },
    {
      name: named("the network view names who serves what"),
      run: async (context) => {
        const page = context[way];
        await page.getByRole("link", { name: "Network" }).click();
        await page.getByRole("row").filter({ hasText: /q8_0/ }).first().waitFor({ timeout: READY_MS });
        assert.match(await page.locator("section.view dl").textContent(), /uhCAk[\w-]{48}.*uhC0k[\w-]{48}/s);
        await noViolations(page, "network");
        await context.shot(page, `${way}-network`);
        // What is published is read from the DHT, either way: nobody has audited here.
        await page.getByRole("row").filter({ hasText: /q8_0/ }).first().getByRole("button").click();
        await page.getByRole("dialog").getByText("Nobody has published an audit").waitFor();
        await page.keyboard.press("Escape");
        await page.goBack();
        await page.locator("article").first().waitFor();
      },
    },
  ];
}

export const tests = [
  {
    name: "the page loads without complaints and without requests to the outside",
    run: async (context) => {
      const { browser, url } = context;
      context.node = await (await browser.newContext({ viewport: { width: 1100, height: 720 }, colorScheme: "light", locale: "en-GB" })).newPage();
      context.seen = watch(context.node);
      const response = await context.node.goto(url);
      assert.equal(response.status(), 200);
      await context.node.getByRole("heading", { name: /Ask a model/ }).waitFor();
      assert.deepEqual(context.seen, { complaints: [], outside: [] });
    },
  },
  ...onEitherWay("node", { route: "Directly" }),
  {
    name: "what this node is and does is shown to its owner",
    run: async (context) => {
      const page = context.node;
      await page.getByRole("link", { name: "My node" }).click();
      await page.getByText(/running for \d+ seconds?/).waitFor();
      await page.getByText("Asked from here").first().waitFor();
      await noViolations(page, "node");
      await fitsItsWidth(page, "node");
      await context.shot(page, "node-own");
      await page.goBack();
    },
  },
  {
    name: "the page runs under the launcher contract: the runtime signs, and nothing but the conductor is asked",
    run: async (context) => {
      const runtime = await context.browser.newContext({ viewport: { width: 1100, height: 720 }, colorScheme: "dark", locale: "en-GB" });
      const opened = await openInRuntime(runtime, context.url, watch);
      context.happ = opened.page;
      context.happSeen = opened.seen;
      await opened.page.getByRole("status").filter({ hasText: "Ready" }).waitFor({ timeout: READY_MS }).catch((error) => {
        throw new Error(`${error.message}\n${opened.seen.complaints.join("\n")}\n${opened.signed()} calls signed`);
      });
      assert.equal(await opened.page.getByRole("link", { name: "My node" }).count(), 0, "a runtime has no sidecar");
      assert.ok(opened.signed() > 0);
      assert.deepEqual(opened.refused, []);
      const keys = await opened.page.evaluate(() => Object.keys(window).filter((name) => name.startsWith("__AINONYMOUS")));
      assert.deepEqual(keys, []);
    },
  },
  ...onEitherWay("happ", { route: "By signals" }),
  {
    name: "nothing was complained about until here",
    run: async ({ seen, happSeen }) => {
      assert.deepEqual(seen, { complaints: [], outside: [] });
      assert.deepEqual(happSeen, { complaints: [], outside: [] });
    },
  },
  {
    name: "a provider that dies in mid-answer is named, and what came stays",
    needsNetwork: true,
    run: async (context) => {
      const page = context.happ;
      const killed = page.evaluate(
        (count) =>
          new Promise((resolve) => {
            const observer = new MutationObserver(() => document.querySelectorAll(".answer").item(count)?.querySelector(".text") && (observer.disconnect(), resolve(true)));
            observer.observe(document.body, { subtree: true, childList: true });
          }),
        await page.locator(".answer").count(),
      );
      await ask(page, "Tell me a very long story.");
      await killed;
      await context.network.serving.kill();
      await page.getByRole("alert").filter({ hasText: /fell silent in the middle|does not answer/ }).or(last(page).and(page.locator("[data-phase=done]"))).first().waitFor({ timeout: 2 * NAMED_MS });
      await context.shot(page, "happ-gone");
    },
  },
  {
    name: "a provider that is gone is named as such in time",
    needsNetwork: true,
    run: async (context) => {
      const page = context.happ;
      const startedMs = Date.now();
      await ask(page, "Is anybody there?");
      await page.getByRole("alert").filter({ hasText: "The provider does not answer." }).last().waitFor({ timeout: 2 * NAMED_MS });
      const tookMs = Date.now() - startedMs;
      assert.ok(tookMs <= NAMED_MS, `after ${tookMs} ms`);
      await ask(context.node, "Is anybody there?");
      await context.node.getByRole("alert").last().waitFor({ timeout: 30_000 });
      await context.shot(context.node, "node-silent");
    },
  },
  {
    name: "a conductor that is gone is named as such in time, and one that comes back is used again",
    needsNetwork: true,
    run: async (context) => {
      await context.network.asking.kill();
      await context.happ.getByRole("status").filter({ hasText: /Offline|Connecting/ }).waitFor({ timeout: NAMED_MS });
      await context.happ.getByText("Your node does not answer").waitFor({ timeout: NAMED_MS });
      await context.node.getByRole("status").filter({ hasText: /Offline|Connecting/ }).waitFor({ timeout: 15_000 });
      await context.shot(context.node, "node-offline");
      await context.network.restart();
      // The same port, another start: the page asks on, and only its token is old.
      await context.node.getByRole("status").filter({ hasText: /Joining|Ready/ }).waitFor({ timeout: READY_MS });
    },
  },
];
