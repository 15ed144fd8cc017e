// A network of one's own, from making it to shutting somebody out, by nothing but what two people see in their browsers.
import assert from "node:assert/strict";
import { ask, done, last, noViolations, watch } from "./browser.mjs";
import { SERVES, startNone } from "./network.mjs";

const READY_MS = 60_000;
const NAME = "Reading circle";

export const tests = [
  {
    name: "a network is made, somebody is invited, joins, asks, and is shut out",
    run: async (context) => {
      const nodes = await startNone(context.binary);
      const opened = [];
      try {
        await walk(context, nodes, opened);
      } catch (error) {
        for (const [at, { page }] of opened.entries()) await context.shot(page, `failed-circle-${at}`);
        throw error;
      } finally {
        await Promise.all(opened.map(({ close }) => close()));
        await nodes.stop();
      }
    },
  },
];

async function walk({ browser, shot }, { up }, opened) {
  /** Starts a node and opens its page at the networks. */
  const begin = async (name, more) => {
    const node = up(name, more);
    const { chat } = await node.event("listening");
    const ready = node.event("ready");
    const own = await browser.newContext({ viewport: { width: 1100, height: 760 }, colorScheme: "light", locale: "en-GB" });
    const page = await own.newPage();
    const { outside } = watch(page);
    const close = async () => {
      await own.close();
      assert.deepEqual(outside, []);
    };
    opened.push({ page, close });
    await page.goto(chat);
    await ready;
    await page.getByRole("link", { name: "Network" }).click();
    return { page, node };
  };
  /** What the page says to start the network with. */
  const toStart = async (page) => (await page.getByText(/^ainonymous up --network /).last().textContent()).trim().split(" ").slice(2);

  const founder = await begin("founder", []);
  await founder.page.getByRole("button", { name: "New network" }).click();
  await founder.page.getByLabel("Name, as every member sees it").fill(NAME);
  await founder.page.getByRole("button", { name: "Make it" }).click();
  const started = await toStart(founder.page.getByRole("dialog"));
  await noViolations(founder.page, "made");
  await founder.node.stop();
  const circle = await begin("founder", [...started, ...SERVES]);
  await circle.page.getByText("runs here").waitFor({ timeout: READY_MS });

  await circle.page.getByRole("button", { name: "Invite", exact: true }).click();
  await circle.page.getByRole("button", { name: "Make the invite" }).click();
  const dialog = circle.page.getByRole("dialog");
  await dialog.getByRole("img", { name: "The invite as a QR code" }).waitFor();
  const invite = await dialog.locator(".text code").textContent();
  assert.match(invite, /^ainonymous-invite:/);
  await noViolations(circle.page, "invited");
  await shot(circle.page, "circle-invite");
  await circle.page.keyboard.press("Escape");

  const stranger = await begin("guest", []);
  await stranger.page.getByRole("button", { name: "Join with an invite" }).click();
  const field = stranger.page.getByLabel("The invite that you were sent");
  await field.fill(`${invite.slice(0, -9)}AAAAAAAAA`);
  await stranger.page.getByRole("button", { name: "Join", exact: true }).click();
  await stranger.page.getByRole("dialog").getByRole("alert").waitFor();
  await field.fill(invite);
  await stranger.page.getByRole("button", { name: "Join", exact: true }).click();
  const joined = await toStart(stranger.page.getByRole("dialog"));
  await stranger.node.stop();
  const guest = await begin("guest", joined);
  await guest.page.goto(`${guest.page.url().split("#")[0]}#/`);
  await guest.page.getByText(/One stranger reads this: uhCAk/).waitFor({ timeout: READY_MS });
  await ask(guest.page, "What is the capital of France?");
  await done(guest.page, READY_MS);
  await last(guest.page).locator(".text").filter({ hasText: "Paris" }).waitFor();

  const row = circle.page.getByRole("row").filter({ hasText: "uhCAk" });
  await row.getByText("member", { exact: true }).waitFor({ timeout: READY_MS });
  await shot(circle.page, "circle-members");
  await row.getByRole("button", { name: /Shut out/ }).click();
  await circle.page.getByRole("dialog").getByRole("button", { name: "Shut out" }).click();
  await circle.page.getByText("shut out").first().waitFor({ timeout: READY_MS });
  const deadline = Date.now() + READY_MS;
  for (;;) {
    await ask(guest.page, "And of Italy?");
    await last(guest.page).and(guest.page.locator("[data-phase=done], [data-phase=failed]")).waitFor({ timeout: READY_MS });
    if (await last(guest.page).locator(".failure").count() > 0) break;
    assert.ok(Date.now() < deadline, "whoever is shut out is still answered");
    await guest.page.waitForTimeout(1_000);
  }
  await shot(guest.page, "circle-shut-out");
}
