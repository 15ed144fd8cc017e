// Pictures of every view, light and dark, phone and desktop: `node e2e/shots.mjs DIR`. Against a scripted node, so that they show
// a network that is worth looking at.
import { mkdirSync } from "node:fs";
import { ask, done, launch, last } from "./browser.mjs";
import { startScripted, usualWorld } from "./scripted.mjs";

const dir = process.argv[2];
if (!dir) {
  console.error("usage: node e2e/shots.mjs DIR");
  process.exit(2);
}
mkdirSync(dir, { recursive: true });

const ANSWER = [
  "Two keys belong together: a **public** one that everybody may know, and a **private** one that never leaves you.\n\n",
  "| key | who has it | does |\n|---|---|---|\n| public | everybody | seals, checks signatures |\n| private | you alone | opens, signs |\n\n",
  "With RSA the sealed text is $c = m^e \\bmod n$, and\n\n$$m = c^d \\bmod n.$$\n\n",
  "```python\ndef seal(message: int, key: tuple[int, int]) -> int:\n    exponent, modulus = key\n    return pow(message, exponent, modulus)\n```\n\n",
  "1. Whoever wants to write to you takes your public key.\n2. Only your private key opens what it sealed.\n",
];
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1280, height: 800 };

const browser = await launch();
const taken = [];
for (const [colorScheme, viewport, locale] of [
  ["light", DESK, "en-GB"],
  ["dark", DESK, "de-DE"],
  ["light", PHONE, "de-DE"],
  ["dark", PHONE, "en-GB"],
]) {
  const world = usualWorld();
  world.answer = () => ({ pieces: ANSWER.join("").match(/[\s\S]{1,5}/g), everyMs: 1 });
  const node = await startScripted(world);
  const context = await browser.newContext({ viewport, colorScheme, locale, deviceScaleFactor: viewport === PHONE ? 2 : 1 });
  const page = await context.newPage();
  const shot = async (name) => {
    const path = `${dir}/${name}-${colorScheme}-${viewport === PHONE ? "phone" : "desktop"}.png`;
    await page.waitForTimeout(250);
    await page.screenshot({ path });
    taken.push(path);
  };
  world.network = { state: "joining", stage: "bootstrap" };
  const { models, peers } = world;
  Object.assign(world, { models: [], peers: [] });
  await page.goto(node.url);
  await page.locator("[aria-current=step]").waitFor();
  await shot("joining");
  Object.assign(world, { models, peers, network: { state: "ready", peers: 6 } });
  await page.reload();
  await page.locator(".state[data-state=ready]").waitFor({ state: "attached" });
  await shot("welcome");
  await page.locator(".picker").click();
  await page.getByRole("dialog").waitFor();
  await shot("models");
  await page.getByText("27b").click();
  await page.keyboard.press("Escape");
  await ask(page, locale === "de-DE" ? "Erkläre öffentliche Schlüssel." : "Explain public keys.");
  await done(page);
  await last(page).locator(".receipt[data-receipt=checked]").waitFor();
  await last(page).locator(".katex").first().waitFor();
  await shot("answer");
  await last(page).locator("details.facts summary").click();
  await page.locator(".log").evaluate((log) => (log.scrollTop = log.scrollHeight));
  await shot("receipt");
  world.answer = () => ({ queued: [[2, 4_000]], pieces: ["x"], everyMs: 1 });
  await ask(page, locale === "de-DE" ? "Und wer hat es erfunden?" : "And who invented it?");
  await page.locator(".phase").waitFor();
  await shot("queued");
  await done(page);
  world.answer = () => ({ error: { code: "provider_gone", message: "m", hint: "h" } });
  await ask(page, locale === "de-DE" ? "Wirklich?" : "Really?");
  await last(page).locator(".failure").waitFor();
  await shot("failure");
  if (viewport === PHONE) {
    await page.locator(".menu").click();
    await shot("menu");
    await page.keyboard.press("Escape");
  }
  await page.getByRole("button", { name: /System/ }).click();
  await page.getByRole("dialog").waitFor();
  await shot("options");
  await page.keyboard.press("Escape");
  world.pulls.push({ id: 1, model: "gemma-4-e2b", state: "running", phase: "downloading", bytes_done: 1_200_000_000, bytes_total: 2_900_000_000, problem: null, hint: null });
  for (const view of ["network", "node", "settings"]) {
    await page.goto(`${node.url}#/${view}`);
    await page.locator("section.view dl").first().waitFor();
    await shot(view);
  }
  await page.goto(`${node.url}#/network`);
  await page.getByRole("button", { name: /^(What is published|Was veröffentlicht ist)$/ }).last().click();
  await page.getByText(/^(Convicted|Verurteilt) /).waitFor();
  await shot("published");
  await page.keyboard.press("Escape");
  await page.locator("section.view table").last().scrollIntoViewIfNeeded();
  await shot("members");
  for (const [name, button] of [["make-network", /^(New network|Neues Netz)$/], ["join", /^(Join with an invite|Mit Einladung beitreten)$/], ["invite", /^(Invite|Einladen)$/]]) {
    await page.getByRole("button", { name: button }).first().click();
    await page.getByRole("dialog").waitFor();
    await shot(name);
    await page.keyboard.press("Escape");
  }
  await context.close();
  await node.stop();
}
await browser.close();
for (const path of taken) console.log(path);
