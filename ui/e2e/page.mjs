// What the page does with a node that says what it is told: hostile text, long histories, two tabs, every view.
import assert from "node:assert/strict";
import { ask, done, fitsItsWidth, last, noViolations, watch } from "./browser.mjs";
import { CONVERSATION, history, keep } from "./history.mjs";
import { startScripted, usualWorld } from "./scripted.mjs";

const HOSTILE = [
  "# Title\n\n<script>window.harmed = 1</script>\n\n<img src='https://evil.example/beacon.png' onerror='window.harmed = 2'>\n\n",
  "![beacon](https://evil.example/beacon.png)\n\n[click](javascript:window.harmed=3) and [fine](https://ok.example)\n\n",
  "<iframe src='https://evil.example'></iframe>\n\n<svg onload='window.harmed = 4'>\n\n<style>@import url(https://evil.example/x.css);</style>\n\n",
  "```html\n<img src=x onerror='window.harmed = 5'>\n```\n\n| a | b |\n|---|---|\n| <img src=https://evil.example/t.png> | 2 |\n\n",
  "$$\\href{javascript:alert(1)}{x} + \\includegraphics{https://evil.example/m.png}$$\n\nand $E = mc^2$ is drawn.\n",
];

/** Where answers take 40 seconds: longer than any of what is done meanwhile. */
function storyWorld() {
  const pieces = Array.from({ length: 2_000 }, (_, at) => `word${at} `);
  return { ...usualWorld(), answer: () => ({ pieces, everyMs: 20 }) };
}

/** A page with a fresh store, on a node with that world. */
async function open(browser, world = usualWorld(), options = {}) {
  const node = await startScripted(world);
  const context = await browser.newContext({ viewport: { width: 1100, height: 720 }, colorScheme: "light", locale: "en-GB", ...options });
  const page = await context.newPage();
  const seen = watch(page);
  await page.goto(node.url);
  const close = async () => {
    await context.close();
    await node.stop();
  };
  return { node, context, page, close, ...seen };
}

async function withPage(browser, run, world, options) {
  const opened = await open(browser, world, options);
  try {
    await run(opened);
    assert.deepEqual(opened.outside, [], "requests to the outside");
  } finally {
    await opened.close();
  }
}

export const tests = [
  {
    name: "hostile answers do nothing, and nothing is fetched for them",
    run: ({ browser }) => {
      const world = usualWorld();
      world.answer = () => ({ pieces: HOSTILE.join("").match(/[\s\S]{1,7}/g), everyMs: 1 });
      return withPage(browser, async ({ page, outside }) => {
        await ask(page, "Do harm.");
        await done(page);
        await last(page).locator(".katex").last().waitFor();
        const text = last(page).locator(".markdown");
        assert.equal(await text.locator("script, img, iframe, svg:not(.icon svg), style, form").evaluateAll((all) => all.filter((one) => !one.closest("button, .katex")).length), 0);
        assert.deepEqual(await text.locator("a").evaluateAll((all) => all.map((one) => one.getAttribute("href"))), ["https://evil.example/beacon.png", "https://ok.example"]);
        assert.equal(await page.evaluate(() => globalThis.harmed), undefined);
        assert.ok((await text.textContent()).includes("<script>window.harmed"), "it stays readable");
        await page.waitForTimeout(300);
        assert.deepEqual(outside, []);
      }, world);
    },
  },
  {
    name: "ten thousand messages open at once, and only those near the screen exist",
    run: ({ browser }) =>
      withPage(browser, async ({ node, page }) => {
        await page.getByRole("status").filter({ hasText: "Ready" }).waitFor();
        await keep(page, history(5_000, (at) => `Answer number ${at + 1}.\n\n${"Some words. ".repeat(at % 40)}`));
        const startedMs = Date.now();
        await page.goto(`${node.url}#/c/${CONVERSATION}`);
        await page.reload();
        await last(page).locator(".text").getByText("Answer number 5000.").waitFor();
        const tookMs = Date.now() - startedMs;
        assert.ok(tookMs < 5_000, `after ${tookMs} ms`);
        assert.ok((await page.locator("article").count()) < 40);
        const log = page.getByRole("log");
        // Whoever opens it is led to its end first.
        await page.waitForTimeout(1_000);
        await log.focus();
        await page.keyboard.press("Home");
        await page.locator(".text").getByText("Answer number 1.").first().waitFor();
        await ask(page, "One more?");
        await done(page);
        await last(page).locator(".text").getByText("Paris is the capital.").waitFor();
        const { messages } = node.world.asked[0];
        assert.equal(messages.length, 2_047, "as many as a question can hold");
        await page.getByText(/were not sent along/).waitFor();
      }),
  },
  {
    name: "two tabs show the same, also while an answer is written; a tab that dies leaves no answer that looks alive",
    run: ({ browser }) => {
      const world = storyWorld();
      return withPage(browser, async ({ context, page, node }) => {
        await ask(page, "Tell a long story.");
        await last(page).locator(".text").getByText("word5 ").waitFor();
        const second = await context.newPage();
        await second.goto(page.url());
        await last(second).locator(".text").getByText("word40 ").waitFor();
        assert.equal(await last(second).getAttribute("data-phase"), "writing");
        assert.equal(await second.getByRole("button", { name: "Stop" }).isDisabled(), true, "only the tab that asks can stop");
        await page.close();
        await last(second).getByText("This answer was interrupted.").waitFor();
        await second.reload();
        await last(second).getByText("This answer was interrupted.").waitFor();
        await second.goto(node.url);
        const third = await context.newPage();
        await third.goto(node.url);
        await third.getByRole("link", { name: "Tell a long story." }).waitFor();
        await second.getByRole("button", { name: "Delete Tell a long story." }).click();
        await second.getByRole("button", { name: "Delete", exact: true }).click();
        await third.getByRole("link", { name: "Tell a long story." }).waitFor({ state: "detached" });
      }, world);
    },
  },
  {
    name: "an answer that ended in another tab, while this one looked elsewhere, is shown as it ended",
    run: ({ browser }) => {
      const world = storyWorld();
      return withPage(browser, async ({ context, page }) => {
        await ask(page, "Tell a long story.");
        await last(page).locator(".text").getByText("word40 ").waitFor();
        const second = await context.newPage();
        await second.goto(page.url());
        await last(second).and(second.locator("[data-phase=writing]")).waitFor();
        await second.getByRole("button", { name: "New chat" }).click();
        await page.bringToFront();
        await page.getByRole("button", { name: "Stop" }).click();
        await last(page).and(page.locator("[data-phase=stopped]")).waitFor();
        await second.bringToFront();
        await second.getByRole("link", { name: "Tell a long story." }).click();
        await last(second).and(second.locator("[data-phase=stopped]")).waitFor();
        await second.getByRole("button", { name: "Send" }).waitFor();
      }, world);
    },
  },
  {
    name: "an answer whose dead tab is still held to be alive is shown as interrupted once it is not",
    run: ({ browser }) => {
      const world = storyWorld();
      return withPage(browser, async ({ context, page, node }) => {
        await ask(page, "Tell a long story.");
        await last(page).locator(".text").getByText("word60 ").waitFor();
        const url = page.url();
        // A browser lets go of what a closed tab held when it comes to it: here this page sees to when that is.
        const slow = await context.newPage();
        await slow.goto(node.url);
        await slow.evaluate(async () => {
          const { held } = await navigator.locks.query();
          const [{ name }] = held.filter(({ name }) => name.startsWith("ainonymous.turn."));
          globalThis.holds = new Promise((held) => {
            void navigator.locks.request(name, () => {
              held(true);
              return new Promise((letGo) => (globalThis.letGo = letGo));
            });
          });
        });
        // A tab that is killed writes nothing down.
        await page.evaluate(() => {
          IDBObjectStore.prototype.put = () => {
            throw new Error("killed");
          };
        });
        await page.close();
        await slow.evaluate(() => globalThis.holds);
        const second = await context.newPage();
        await second.goto(url);
        await last(second).and(second.locator("[data-phase=writing]")).waitFor();
        await slow.evaluate(() => globalThis.letGo());
        await last(second).getByText("This answer was interrupted.").waitFor();
      }, world);
    },
  },
  {
    name: "phases have words: queued, reading, writing; and stop stops",
    run: ({ browser }) => {
      const world = usualWorld();
      world.answer = () => ({ queued: [[3, 2_000], [1, 2_000], [0, 0]], beforeMs: 2_000, pieces: Array.from({ length: 1_000 }, (_, at) => `A longer word${at} ${at % 9 === 0 ? "\n\n" : ""}`), everyMs: 5 });
      return withPage(browser, async ({ page }) => {
        await ask(page, "What?");
        await page.getByText("Queued: 3 questions are before yours.").waitFor();
        await page.getByText("Queued: 1 question is before yours.").waitFor();
        await page.getByText("The model reads…").waitFor();
        await page.getByText(/\d+ tokens · [\d.]+ tok\/s/).waitFor();
        await page.waitForTimeout(1_500);
        const below = await page.getByRole("log").evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
        assert.ok(below < 60, `the end is ${below} px below the screen`);
        await page.keyboard.press("Escape");
        await last(page).and(page.locator("[data-phase=stopped]")).waitFor();
        const text = await last(page).locator(".text").textContent();
        await page.waitForTimeout(400);
        assert.equal(await last(page).locator(".text").textContent(), text);
      }, world);
    },
  },
  {
    name: "an answer that breaks off is named, and what came stays",
    run: ({ browser }) => {
      const world = usualWorld();
      world.answer = () => ({ pieces: Array.from({ length: 50 }, (_, at) => `word${at} `), everyMs: 5, breaksAfter: 20 });
      return withPage(browser, async ({ page }) => {
        await ask(page, "Tell a story.");
        await page.getByRole("alert").filter({ hasText: "The connection to your node broke." }).waitFor();
        // The browser may drop what it had not handed over yet.
        assert.match(await last(page).locator(".text").textContent(), /^\s*word0 word1 /);
        world.answer = usualWorld().answer;
        await page.getByRole("button", { name: "Ask another provider" }).click();
        await done(page);
        assert.equal(world.asked[1].messages.length, 1, "half an answer is not built upon");
        await page.getByText("2 / 2").waitFor();
      }, world);
    },
  },
  {
    name: "a conversation survives a reload with its branches, its options and its draft",
    run: ({ browser }) =>
      withPage(browser, async ({ page, node }) => {
        await page.getByRole("button", { name: "System prompt and parameters" }).click();
        await page.getByLabel("System prompt", { exact: true }).fill("Be brief.");
        await page.getByLabel("Temperature").fill("0.5");
        await page.getByRole("button", { name: "Close", exact: true }).click();
        await ask(page, "One?");
        await done(page);
        await page.getByRole("button", { name: "Edit and ask again" }).click();
        await page.getByText("You are editing an earlier question").waitFor();
        await ask(page, "Uno?");
        await done(page);
        await page.getByText("2 / 2").waitFor();
        assert.deepEqual(node.world.asked.map(({ messages, temperature }) => [messages[0].content, messages.at(-1).content, temperature]), [["Be brief.", "One?", 0.5], ["Be brief.", "Uno?", 0.5]]);
        await page.getByRole("textbox", { name: "Your question" }).fill("not yet sent");
        await page.reload();
        await page.getByText("2 / 2").waitFor();
        assert.equal(await page.getByRole("textbox", { name: "Your question" }).inputValue(), "not yet sent");
        await page.getByRole("button", { name: "Earlier branch" }).click();
        await page.locator(".question").filter({ hasText: "One?" }).waitFor();
        await page.getByRole("button", { name: "Answer again" }).click();
        await done(page);
        assert.equal(node.world.asked.length, 3);
      }),
  },
  {
    name: "text files go along, images only to models that see them",
    run: ({ browser }) => {
      const world = usualWorld();
      return withPage(browser, async ({ page }) => {
        const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
        const chooser = page.locator("input[type=file]");
        await page.getByRole("status").filter({ hasText: "Ready" }).waitFor();
        await chooser.setInputFiles({ name: "a.png", mimeType: "image/png", buffer: png });
        await page.getByText("a.png is an image, and this model").waitFor();
        await chooser.setInputFiles([{ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("remember the milk") }, { name: "x.bin", mimeType: "", buffer: Buffer.from([0, 255]) }]);
        await page.getByText("x.bin is neither text nor an image.").waitFor();
        await ask(page, "What is in it?");
        await done(page);
        assert.match(world.asked[0].messages.at(-1).content, /^notes\.txt\n```\nremember the milk\n```\n\nWhat is in it\?$/);
        world.takesImages = true;
        await page.reload();
        await page.getByRole("status").filter({ hasText: "Ready" }).waitFor();
        await chooser.setInputFiles({ name: "a.png", mimeType: "image/png", buffer: png });
        await ask(page, "What is this?");
        await done(page);
        assert.match(world.asked[1].messages.at(-1).content[1].image_url.url, /^data:image\/png;base64,/);
      }, world);
    },
  },
  {
    name: "the stages of joining are shown with what to do, and a node that is gone is named",
    run: ({ browser }) => {
      const world = usualWorld();
      Object.assign(world, { network: { state: "joining", stage: "relay" }, models: [], peers: [] });
      return withPage(browser, async ({ page }) => {
        await page.getByRole("status").filter({ hasText: "Joining" }).waitFor();
        await page.locator("[aria-current=step]").filter({ hasText: "Relay" }).waitFor();
        await noViolations(page, "joining");
        world.network = { state: "ready", peers: 1 };
        await page.locator("[aria-current=step]").filter({ hasText: "Models" }).waitFor();
        Object.assign(world, usualWorld());
        await page.getByRole("status").filter({ hasText: "Ready · 4 models" }).waitFor();
        world.stopped = true;
        await page.getByRole("status").filter({ hasText: "Offline" }).waitFor();
        await page.getByText("Your node does not answer").waitFor();
        await noViolations(page, "offline");
        // Once the node is back the page finds it by itself, so whoever clicks does it before.
        await page.getByRole("button", { name: "Try now" }).click();
        world.stopped = false;
        await page.getByRole("status").filter({ hasText: "Ready" }).waitFor();
      }, world);
    },
  },
  {
    name: "the owner pulls, pauses and stops from the page",
    run: ({ browser }) =>
      withPage(browser, async ({ page, node }) => {
        await page.getByRole("link", { name: "My node" }).click();
        await page.getByRole("heading", { name: "Models on this machine" }).waitFor();
        await page.getByLabel("Name").fill("gemma-4-e2b");
        await page.getByRole("button", { name: "Pull" }).click();
        await page.getByText(/Coming: 1.1 GiB of 2.7 GiB/).waitFor();
        await page.getByRole("button", { name: "Pause sharing" }).click();
        await page.getByText("Paused: questions of peers are refused.").waitFor();
        await page.getByRole("button", { name: "Load", exact: true }).click();
        await page.getByRole("button", { name: "Unload" }).nth(1).waitFor();
        await page.getByRole("button", { name: "Stop the node" }).click();
        await page.getByRole("dialog").getByRole("button", { name: "Stop the node" }).click();
        await page.getByText("The node was stopped.").waitFor();
        assert.deepEqual(node.world.orders.map(([path]) => path), ["/ainonymous/v1/pulls", "/ainonymous/v1/pause", "/models/load", "/ainonymous/v1/stop"]);
      }),
  },
  {
    name: "conversations leave as a file, come back, and are deleted for good",
    run: ({ browser }) =>
      withPage(browser, async ({ page }) => {
        await ask(page, "What is the capital of France?");
        await done(page);
        await page.getByRole("link", { name: "Settings" }).click();
        const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export as JSON" }).click()]);
        const path = await download.path();
        await page.getByRole("button", { name: "Delete all conversations" }).click();
        await page.getByRole("dialog").getByRole("button", { name: "Delete all conversations" }).click();
        await page.getByText("All conversations were deleted.").waitFor();
        assert.equal(await page.getByRole("link", { name: "What is the capital of France?" }).count(), 0);
        await page.locator("input[type=file]").setInputFiles(path);
        await page.getByText("1 conversation was imported.").waitFor();
        await page.getByRole("link", { name: "What is the capital of France?" }).click();
        await last(page).locator(".text").getByText("Paris is the capital.").waitFor();
      }),
  },
  {
    name: "every view passes the accessibility checker, light and dark, phone and desktop, in both languages",
    run: ({ browser }) => {
      const world = usualWorld();
      world.answer = () => ({ pieces: ["## Heading\n\nText with `code`.\n\n", "| a | b |\n|---|---|\n| 1 | 2 |\n\n", "```js\nconst a = 1;\n```\n\n- one\n- two\n\n$x^2$\n"], everyMs: 1 });
      return everyView(browser, world);
    },
  },
  {
    name: "screen readers find one main region, named landmarks, and answers that are announced when they are complete",
    run: ({ browser }) =>
      withPage(browser, async ({ page }) => {
        await page.getByRole("main").waitFor();
        assert.equal(await page.getByRole("main").count(), 1);
        await page.getByRole("complementary", { name: "Menu" }).waitFor();
        await page.getByRole("navigation", { name: "Conversations" }).waitFor({ state: "attached" });
        await page.getByRole("navigation", { name: "Views" }).waitFor();
        await ask(page, "What is the capital of France?");
        await done(page);
        await page.getByRole("log", { name: "Conversation" }).waitFor();
        await page.getByRole("status").filter({ hasText: "Answer complete. Paris is the capital." }).waitFor({ state: "attached" });
        const described = await page.getByRole("textbox", { name: "Your question" }).getAttribute("aria-describedby");
        assert.match(await page.locator(`#${described}`).textContent(), /reads this/);
        await page.keyboard.press("Tab");
        await page.getByRole("button", { name: "New chat" }).focus();
        await page.keyboard.press("Enter");
        assert.equal(await page.evaluate(() => document.activeElement?.id), "question");
      }),
  },
  {
    name: "a reader of German finds no English in any view, nor in any dialog",
    run: async ({ browser }) =>
      withPage(browser, async ({ page, node }) => {
        const german = async (where) => assert.deepEqual(await englishIn(page), [], where);
        await page.locator(".state[data-state=ready]").waitFor({ state: "attached" });
        await german("welcome");
        await page.locator(".picker").click();
        await page.getByRole("dialog").waitFor();
        await german("models");
        await page.keyboard.press("Escape");
        await page.getByRole("button", { name: /Systemprompt/ }).click();
        await page.getByLabel("Mehrere fragen und vergleichen").selectOption("3");
        await page.getByRole("dialog").waitFor();
        await german("options");
        await page.keyboard.press("Escape");
        await german("composer");
        await page.getByRole("button", { name: /Systemprompt/ }).click();
        await page.getByRole("button", { name: "Zurück zum Üblichen" }).click();
        await page.keyboard.press("Escape");
        await ask(page, "Was ist die Hauptstadt von Frankreich?");
        await done(page);
        await last(page).locator(".receipt[data-receipt=checked]").waitFor();
        await last(page).locator("details.facts summary").click();
        await german("answer");
        await last(page).getByRole("button", { name: "Diese Antwort prüfen" }).click();
        await last(page).locator(".badge[data-audit=audited]").waitFor();
        await german("checked");
        await last(page).getByRole("button", { name: "So prüft man das" }).click();
        await page.getByRole("dialog").waitFor();
        await german("how to verify");
        await page.keyboard.press("Escape");
        for (const view of ["network", "node", "settings"]) {
          await page.goto(`${node.url}#/${view}`);
          await page.locator("section.view h1").waitFor();
          if (view !== "settings") await page.locator("section.view dl").first().waitFor();
          await german(view);
        }
        await page.goto(`${node.url}#/network`);
        await page.getByRole("button", { name: "Was veröffentlicht ist", exact: true }).last().click();
        await page.getByText(/^Verurteilt vor/).waitFor();
        for (const folded of await page.getByRole("dialog").locator("summary").all()) await folded.click();
        await german("what is published");
        await page.keyboard.press("Escape");
        for (const dialog of ["Neues Netz", "Mit Einladung beitreten", "Einladen"]) {
          await page.getByRole("button", { name: dialog, exact: true }).first().click();
          await page.getByRole("dialog").waitFor();
          await german(dialog);
          await page.keyboard.press("Escape");
        }
      }, { ...usualWorld(), answer: () => ({ pieces: ["Paris", "."], everyMs: 1 }) }, { locale: "de-DE" }),
  },
];

/** English that is nobody's name, outside of what is marked as English or is code. */
async function englishIn(page) {
  return page.evaluate(() => {
    const shown = document.body.cloneNode(true);
    for (const foreign of shown.querySelectorAll("[lang=en], code, pre, script, noscript, style, textarea")) foreign.remove();
    const names = [...document.querySelectorAll("[aria-label], [title], [placeholder]")].flatMap((one) => ["aria-label", "title", "placeholder"].map((name) => one.getAttribute(name) ?? ""));
    const said = [shown.textContent, ...names].join("\n");
    return said.match(/.{0,30}\b(the|and|your|this|with|which|nobody|from|reads|not)\b.{0,30}/gi) ?? [];
  });
}

async function everyView(browser, world) {
  for (const [colorScheme, viewport] of [
    ["light", { width: 1100, height: 720 }],
    ["dark", { width: 360, height: 640 }],
  ]) {
    for (const locale of ["en-GB", "de-DE"]) {
      await withPage(browser, async ({ page, node }) => {
        const where = `${colorScheme} ${viewport.width} ${locale}`;
        await page.locator(".state[data-state=ready]").waitFor({ state: "attached" });
        assert.equal(await page.locator("html").getAttribute("lang"), locale.slice(0, 2));
        await noViolations(page, `${where} welcome`);
        await ask(page, "What is the capital of France?");
        await done(page);
        await last(page).locator(".receipt[data-receipt=checked]").waitFor();
        await last(page).locator("details.facts summary").click();
        await noViolations(page, `${where} answer`);
        await fitsItsWidth(page, `${where} answer`);
        for (const view of ["network", "node", "settings"]) {
          await page.goto(`${node.url}#/${view}`);
          await page.locator("section.view h1").waitFor();
          if (view !== "settings") await page.locator("section.view dl").first().waitFor();
          await noViolations(page, `${where} ${view}`);
          await fitsItsWidth(page, `${where} ${view}`);
        }
        await page.goto(`${node.url}#/network`);
        await page.getByRole("button", { name: /^(What is published|Was veröffentlicht ist)$/ }).last().click();
        await page.getByText(/^(Convicted|Verurteilt) /).waitFor();
        for (const folded of await page.getByRole("dialog").locator("summary").all()) await folded.click();
        await noViolations(page, `${where} what is published`);
        await fitsItsWidth(page, `${where} what is published`);
        await page.keyboard.press("Escape");
        await page.goto(`${node.url}#/`);
        await page.locator(".picker").click();
        await page.getByRole("dialog").waitFor();
        await noViolations(page, `${where} models`);
        await page.keyboard.press("Escape");
        await page.getByRole("button", { name: /System/ }).click();
        await page.getByRole("dialog").waitFor();
        await noViolations(page, `${where} options`);
        const beyond = await page.getByRole("dialog").evaluate((dialog) => [dialog, ...dialog.querySelectorAll("*")].filter((one) => getComputedStyle(one).overflowX !== "visible").map((one) => one.scrollWidth - one.clientWidth));
        assert.deepEqual(beyond.filter((width) => width > 0), [], `${where}: the options are too wide`);
      }, world, { colorScheme, viewport, locale });
    }
  }
}
