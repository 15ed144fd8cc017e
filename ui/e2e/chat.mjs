// What a person does with the chat page, and what they must see. The tests share one page and run in this order.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const READY_MS = 60_000;
const ANSWER_MS = 60_000;
const RECEIPT_MS = 60_000;
/** Whatever goes wrong has a name by then. */
const NAMED_MS = 5_500;

/** Everything that the page says in the console or asks for from outside. */
const complaints = [];

export const tests = [
  {
    name: "the page loads without complaints and without requests to the outside",
    run: async ({ page, url }) => {
      const home = new URL(url);
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(String(error)));
      page.on("request", (request) => {
        const { protocol, host } = new URL(request.url());
        if (host !== home.host && protocol !== "data:") complaints.push(`request to ${request.url()}`);
      });
      page.on("websocket", (socket) => {
        const { hostname } = new URL(socket.url());
        if (!["localhost", "127.0.0.1"].includes(hostname)) complaints.push(`socket to ${socket.url()}`);
      });
      const response = await page.goto(url);
      assert.equal(response.status(), 200);
      await page.getByRole("heading", { name: "AInonymous" }).waitFor();
      assert.deepEqual(complaints, []);
    },
  },
  {
    name: "it finds the provider and its model, and names who will read the question",
    run: async ({ page, shots }) => {
      await page.getByRole("status").filter({ hasText: "Ready" }).waitFor({ timeout: READY_MS });
      const option = await page.getByRole("combobox", { name: "Model" }).locator("option").first().textContent();
      assert.match(option, /\S+ \S+ · \d+ providers?/);
      await page.getByText(/can read your question: uhCAk/).waitFor();
      await shot(page, shots, "1-ready");
    },
  },
  {
    name: "a question is answered by a named provider",
    run: async ({ page, shots }) => {
      await ask(page, "What is the capital of France?");
      const answer = last(page);
      await answer.locator(".text").filter({ hasText: "Paris" }).waitFor({ timeout: ANSWER_MS });
      await answer.and(page.locator("[data-phase=done]")).waitFor({ timeout: ANSWER_MS });
      assert.match(await answer.locator(".provider").getAttribute("title"), /^uhCAk[\w-]{48}$/);
      assert.match(await answer.locator(".figures").textContent(), /^\d+ tokens · first token [\d,]+ ms/);
      await shot(page, shots, "2-answered");
    },
  },
  {
    name: "the receipt is fetched from the DHT and checked",
    run: async ({ page, shots }) => {
      const receipt = last(page).locator(".receipt");
      await receipt.filter({ hasText: "checked ✓ uhCkk" }).waitFor({ timeout: RECEIPT_MS });
      await shot(page, shots, "3-receipt");
    },
  },
  {
    name: "stop ends a long answer",
    run: async ({ page, shots }) => {
      // The tiny model is fast: the button is pressed in the page as soon as there is text.
      const pressed = page.evaluate(() => {
        const count = document.querySelectorAll(".answer").length;
        return new Promise((resolve) => {
          const look = () => {
            const text = document.querySelectorAll(".answer").item(count)?.querySelector(".text");
            const button = document.querySelector("button.stop");
            if (!text || !button) return;
            observer.disconnect();
            button.click();
            resolve(true);
          };
          const observer = new MutationObserver(look);
          observer.observe(document.body, { subtree: true, childList: true, characterData: true });
        });
      });
      await ask(page, "Tell me a long story.");
      await pressed;
      const answer = last(page);
      await answer.getByText("Stopped.").waitFor();
      const text = await answer.locator(".text").textContent();
      await page.waitForTimeout(1_000);
      assert.equal(await answer.locator(".text").textContent(), text);
      await page.getByRole("button", { name: "Send" }).waitFor();
      await shot(page, shots, "4-stopped");
    },
  },
  {
    name: "the keyboard is enough",
    run: async ({ page }) => {
      const field = page.getByRole("textbox", { name: "Your question" });
      await field.focus();
      await page.keyboard.type("one");
      await page.keyboard.press("Shift+Enter");
      await page.keyboard.type("two");
      assert.equal(await field.inputValue(), "one\ntwo");
      await field.fill("What is the capital of France?");
      const count = await page.locator(".answer").count();
      await page.keyboard.press("Enter");
      await page.keyboard.press("Escape");
      assert.equal(await page.locator(".answer").count(), count + 1);
      assert.match(await last(page).getAttribute("data-phase"), /^(stopped|done)$/);
      assert.equal(await field.inputValue(), "");
    },
  },
  {
    name: "a draft survives a reload",
    run: async ({ page, url }) => {
      const field = page.getByRole("textbox", { name: "Your question" });
      await field.fill("not yet sent");
      await page.goto(url);
      assert.equal(await field.inputValue(), "not yet sent");
      await field.fill("");
      await page.getByRole("status").filter({ hasText: "Ready" }).waitFor({ timeout: READY_MS });
    },
  },
  {
    name: "an accessibility checker finds nothing, light or dark, and a phone's width suffices",
    run: async ({ page, shots }) => {
      await ask(page, "What is the capital of France?");
      await last(page).locator(".receipt").filter({ hasText: "checked" }).waitFor({ timeout: RECEIPT_MS });
      await page.evaluate(axeSource);
      for (const [colorScheme, viewport] of [
        ["light", { width: 1100, height: 720 }],
        ["dark", { width: 1100, height: 720 }],
        ["dark", { width: 360, height: 640 }],
        ["light", { width: 360, height: 640 }],
      ]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize(viewport);
        await page.waitForTimeout(200);
        const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
        const { violations } = await page.evaluate((values) => globalThis.axe.run({ runOnly: { type: "tag", values } }), tags);
        assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), []);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${overflow} px too wide at ${viewport.width}`);
        await shot(page, shots, `5-${colorScheme}-${viewport.width}`);
      }
      await page.setViewportSize({ width: 1100, height: 720 });
    },
  },
  {
    name: "nothing was complained about until here",
    run: async () => assert.deepEqual(complaints, []),
  },
  {
    name: "a provider that is gone is named as such in time",
    needsNetwork: true,
    run: async ({ page, network, shots }) => {
      await network.serving.kill();
      const startedMs = Date.now();
      await ask(page, "Is anybody there?");
      await page.getByRole("alert").filter({ hasText: "The provider does not answer." }).waitFor({ timeout: 2 * NAMED_MS });
      const tookMs = Date.now() - startedMs;
      assert.ok(tookMs <= NAMED_MS, `after ${tookMs} ms`);
      await shot(page, shots, "6-silent");
    },
  },
  {
    name: "a conductor that is gone is named as such in time",
    needsNetwork: true,
    run: async ({ page, network, shots }) => {
      await network.asking.kill();
      await page.getByRole("status").filter({ hasText: /Offline|Connecting/ }).waitFor({ timeout: NAMED_MS });
      await page.getByText("The conductor does not answer").waitFor({ timeout: NAMED_MS });
      await shot(page, shots, "7-offline");
    },
  },
];

async function ask(page, question) {
  await page.getByRole("textbox", { name: "Your question" }).fill(question);
  await page.getByRole("button", { name: "Send" }).click();
}

/** The answer to the newest question. */
function last(page) {
  return page.locator(".answer").last();
}

async function shot(page, shots, name) {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png` });
}
