// @vitest-environment jsdom
// What is published about a provider, as people see it.
import { flushSync, mount, unmount } from "svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Findings } from "../chat/backend";
import { TestBackend } from "../chat/testing";
import { words } from "../words/words.svelte";
import FindingsView from "./FindingsView.svelte";

const nothing: Findings = { reports: [], accusations: [], convictions: [], equivocations: [], hasMore: false };
let backend: TestBackend;
let shown: ReturnType<typeof mount> | null;

beforeEach(() => {
  words.language = "en";
  backend = new TestBackend();
  shown = null;
});

afterEach(async () => {
  if (shown !== null) await unmount(shown);
  document.body.replaceChildren();
});

async function show(): Promise<string> {
  shown = mount(FindingsView, { target: document.body, props: { backend, provider: "uhCAkSOMEBODY" } });
  await new Promise((resolve) => setTimeout(resolve, 10));
  flushSync();
  return document.body.textContent ?? "";
}

it("says so where nothing is published, asking about the right one", async () => {
  const asked = vi.spyOn(backend, "findings");
  expect(await show()).toContain("Nobody has published an audit");
  expect(asked).toHaveBeenCalledWith("uhCAkSOMEBODY");
});

it("shows a conviction with everything that it rests on, and whether it is believed", async () => {
  const about = (action: string) => ({ action, author: "uhCAkAUTHOR", atMs: Date.now() - 3_600_000 });
  backend.findings = () =>
    Promise.resolve({
      reports: [{ ...about("uhCkkREPORT"), audit: "disputed", why: "other_answer", isCanary: true, tokens: 64, distance: 1.25, impossible: 2 }],
      accusations: [{ ...about("uhCkkACCUSED"), reports: ["uhCkkREPORT"] }],
      convictions: [{ ...about("uhCkkCONVICTED"), accusation: "uhCkkACCUSED", confirmations: ["uhCkkJUROR1", "uhCkkJUROR2", "uhCkkJUROR3"], appeal: { ...about("uhCkkAPPEAL"), passed: ["uhCkkPASS1", "uhCkkPASS2"], failed: ["uhCkkFAIL"], isOverturned: false }, isBelieved: false }],
      equivocations: [about("uhCkkPROOF")],
      hasMore: true,
    });
  const text = await show();
  for (const part of ["Of the newest: 0 passed · 1 failed", "Convicted 60 minutes ago: 3 jurors", "does not know enough", "uhCkkCONVICTED", "uhCkkJUROR3", "second jury 60 minutes ago: 2 jurors find the promised model, 1 what the first jury found", "uhCkkPASS2", "uhCkkFAIL", "uhCkkACCUSED", "uhCkkPROOF", "uhCkkREPORT", "belongs to another answer", "1.25 nats a token apart", "2 impossible tokens", "Older ones"]) expect(text).toContain(part);
  expect(document.querySelector('[data-audit="disputed"]')?.textContent).toBe("disputed");
});

it("says that a second jury found otherwise, and nothing of believing the first", async () => {
  const about = { author: "uhCAkA", atMs: Date.now() };
  const appeal = { ...about, action: "uhCkkAPPEAL", passed: ["uhCkkP1", "uhCkkP2", "uhCkkP3"], failed: [], isOverturned: true };
  const conviction = { ...about, action: "uhCkkC", accusation: "uhCkkX", confirmations: ["uhCkkJ"], appeal, isBelieved: false };
  backend.findings = () => Promise.resolve({ ...nothing, convictions: [conviction] });
  const text = await show();
  expect(text).toContain("to disbelieve the conviction");
  expect(text).not.toContain("does not know enough");
});

it("leaves open what no node judges, and says when nothing can be read", async () => {
  const conviction = { action: "uhCkkC", author: "uhCAkA", atMs: Date.now(), accusation: "uhCkkX", confirmations: ["uhCkkJ"], appeal: null, isBelieved: null };
  backend.findings = () => Promise.resolve({ ...nothing, convictions: [conviction] });
  const text = await show();
  expect(text).toContain("1 juror has confirmed");
  expect(text).not.toContain("enough of these jurors");
  if (shown !== null) await unmount(shown);
  document.body.replaceChildren();
  backend.findings = () => Promise.reject(new Error("offline"));
  await show();
  expect(document.querySelector('[role="alert"]')?.textContent).toContain("could not be read");
});
