// Whether to believe an answer, on three real nodes: two that answer the same question, and the asker's own model, which computes it again.
import { ask, done, last, noViolations } from "./browser.mjs";
import { SERVES, startNone } from "./network.mjs";

const READY_MS = 60_000;

export const tests = [
  {
    name: "two providers are compared, and the answer is computed again with one's own model",
    run: async ({ browser, binary, shot }) => {
      const { up, stop } = await startNone(binary);
      try {
        const providers = [up("one", SERVES), up("two", SERVES)];
        const asker = up("asker", [...SERVES, "--no-share"]);
        await Promise.all(providers.map((node) => node.event("ready")));
        const { chat } = await asker.event("listening");
        await asker.event("ready");
        const page = await (await browser.newContext({ viewport: { width: 1100, height: 900 }, colorScheme: "light", locale: "en-GB" })).newPage();
        try {
          await page.goto(chat);
          await page.getByText("Only your own node reads this.").waitFor({ timeout: READY_MS });
          await page.getByRole("button", { name: "System prompt and parameters" }).click();
          await page.getByLabel("Ask several and compare").selectOption("2");
          await page.getByRole("spinbutton", { name: "Seed" }).fill("7");
          await page.keyboard.press("Escape");
          await page.getByText(/Read at once by 2 of 2 nodes/).waitFor({ timeout: READY_MS });
          await ask(page, "What is the capital of France?");
          await done(page);
          const answer = last(page);
          await answer.locator("details.facts summary").click();
          await answer.getByText("2 of 2 say exactly this.").waitFor();
          await answer.locator(".receipt[data-receipt=checked]").waitFor({ timeout: READY_MS });
          const check = answer.getByRole("button", { name: "Check this answer" });
          if (await check.isEnabled()) await check.click();
          // Nobody has measured this pair of machines for the node: it computes, and says that nothing follows.
          await answer.locator(".badge[data-audit=inconclusive]").waitFor();
          await answer.getByText("has not been measured").waitFor();
          await noViolations(page, "compared");
          await shot(page, "compared");
        } catch (error) {
          await shot(page, "failed-compared");
          throw error;
        } finally {
          await page.context().close();
        }
      } finally {
        await stop();
      }
    },
  },
];
