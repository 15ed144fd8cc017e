// @vitest-environment jsdom
// What the chat's components say of a conversation, and what their buttons do.
import { flushSync, mount, unmount } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryStore } from "../store/store";
import { words } from "../words/words.svelte";
import AnswerView from "./AnswerView.svelte";
import type { AnswerEvent } from "./backend";
import { Chat } from "./chat.svelte";
import { usual } from "./conversation";
import Composer from "./Composer.svelte";
import { asked, model, provider, statement, TestBackend } from "./testing";
import TurnView from "./TurnView.svelte";

let backend: TestBackend;
let chat: Chat;
let shown: ReturnType<typeof mount>[];

beforeEach(() => {
  vi.stubGlobal("matchMedia", () => ({ matches: false }));
  words.language = "en";
  backend = new TestBackend();
  chat = new Chat(backend, new MemoryStore());
  shown = [];
});

afterEach(async () => {
  for (const one of shown) await unmount(one);
  document.body.replaceChildren();
});

async function say(...events: AnswerEvent[]): Promise<void> {
  for (const event of events) backend.events.push(event);
  await new Promise((resolve) => setTimeout(resolve, 40));
  flushSync();
}

function compose(): { field: HTMLTextAreaElement; go: HTMLButtonElement } {
  shown.push(mount(Composer, { target: document.body, props: { chat } }));
  flushSync();
  return { field: document.querySelector("textarea")!, go: document.querySelector("button.go")! };
}

const last = () => chat.path.at(-1)!;
const text = () => document.body.textContent?.replace(/\s+/g, " ") ?? "";

describe("where the question is written", () => {
  it("names the reader before anything is sent, and sends on Enter", async () => {
    const { field, go } = compose();
    expect(document.getElementById(field.getAttribute("aria-describedby")!)?.textContent).toContain("One stranger reads this: a. If it does not answer, 1 other may be asked. Price not told.");
    expect(go.disabled).toBe(true);
    field.value = "What?";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    flushSync();
    expect(go.disabled).toBe(false);
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", shiftKey: true, bubbles: true, cancelable: true }));
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true }));
    expect(backend.asked).toHaveLength(0);
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
    flushSync();
    expect(backend.asked).toHaveLength(1);
    expect(document.querySelector("button.go")?.getAttribute("aria-label")).toBe("Stop");
    await say(asked("a"), { type: "answered", statement }, { type: "receipt", receipt: { at: "unpublished" } });
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp", bubbles: true, cancelable: true }));
    flushSync();
    expect(field.value).toBe("What?");
    expect(text()).toContain("You are editing an earlier question");
  });

  it("refuses by one's own policy before anything is sent, and says the way out", () => {
    const { field, go } = compose();
    chat.setOptions({ ...chat.current.options, only: "friends" });
    field.value = "What?";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    flushSync();
    expect(text()).toContain("Nobody whom you allow to answer serves this model.");
    expect(go.disabled).toBe(true);
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
    expect(backend.asked).toHaveLength(0);
    [...document.querySelectorAll("button")].find((button) => button.textContent === "Allow anybody")?.click();
    flushSync();
    expect(text()).toContain("One stranger reads this: a.");
    expect(go.disabled).toBe(false);
    go.click();
    expect(backend.asked[0]).toMatchObject({ only: null, hides: false });
  });

  it("hands the policy on with the question", async () => {
    backend.move({ at: "ready", models: [{ ...model, providers: [{ ...provider("f"), kinship: "friend" }] }] });
    chat.setOptions({ ...chat.current.options, only: "friends", hides: true });
    chat.draft = "What?";
    chat.send();
    expect(backend.asked[0]).toMatchObject({ only: "friends", hides: true, prefer: "f" });
    await say(asked("f"), { type: "answered", statement });
  });

  it("speaks the chosen language", () => {
    compose();
    words.language = "de";
    flushSync();
    expect(text()).toContain("Ein Fremder liest das: a.");
  });
});

describe("an answer on screen", () => {
  it("has words for each phase, then who wrote it and what that is worth", async () => {
    chat.draft = "What?";
    chat.send();
    shown.push(mount(AnswerView, { target: document.body, props: { chat, turn: last(), isLast: true } }));
    flushSync();
    expect(text()).toContain("Finding a peer…");
    await say(asked("b"), { type: "queued", before: 2 });
    expect(text()).toContain("Queued: 2 questions are before yours.");
    await say({ type: "queued", before: 0 });
    expect(text()).toContain("The model reads…");
    await say({ type: "text", text: "**Pa", tokens: 1 }, { type: "text", text: "ris**", tokens: 1 });
    await say();
    expect(document.querySelector("strong")?.textContent).toBe("Paris");
    expect(document.querySelector(".answer")?.getAttribute("aria-busy")).toBe("true");
  });

  it("shows what the receipt says, unaudited, once it is there", async () => {
    chat.draft = "What?";
    chat.send();
    await say(asked("b"), { type: "text", text: "Paris", tokens: 1 }, { type: "answered", statement }, { type: "receipt", receipt: { at: "checked", action: "uhCkkX" } });
    shown.push(mount(AnswerView, { target: document.body, props: { chat, turn: last(), isLast: true } }));
    flushSync();
    expect(document.querySelector(".receipt")?.getAttribute("data-receipt")).toBe("checked");
    expect(document.querySelector(".badge")?.textContent).toBe("unaudited");
    expect(text()).toContain("Directly, over an encrypted connection");
    expect(text()).toContain("Answer complete. Paris");
  });

  it("lists what was checked, shows what audits found, and hands out the receipt only where it is to be had", async () => {
    chat.draft = "What?";
    chat.send();
    await say(asked("b"), { type: "text", text: "Paris", tokens: 1 }, { type: "answered", statement }, { type: "receipt", receipt: { at: "checked", action: "uhCkkX" }, audit: "disputed", file: "/receipts/ab" });
    shown.push(mount(AnswerView, { target: document.body, props: { chat, turn: last(), isLast: true } }));
    flushSync();
    expect(document.querySelector(".badge")?.textContent).toBe("disputed");
    expect([...document.querySelectorAll(".checks li")].map((li) => li.getAttribute("data-state"))).toEqual(["passed", "passed", "passed", "failed"]);
    const made: string[] = [];
    vi.stubGlobal("URL", Object.assign(URL, { createObjectURL: (blob: Blob) => (made.push(blob.type), "blob:x"), revokeObjectURL: () => undefined }));
    const button = [...document.querySelectorAll("button")].find((one) => one.textContent === "Receipt");
    button?.click();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(made).toEqual(["application/json"]);
    backend.receiptFile = () => Promise.reject(new Error("gone"));
    button?.click();
    await new Promise((resolve) => setTimeout(resolve, 10));
    flushSync();
    expect(text()).toContain("The node no longer has this receipt");
  });

  it("has an answer replayed, shows what follows, and says why not", async () => {
    chat.draft = "What?";
    chat.send();
    await say(asked("b"), { type: "text", text: "Paris", tokens: 1 }, { type: "answered", statement }, { type: "receipt", receipt: { at: "checked", action: "uhCkkX" }, verify: "/verify/ab" });
    const verify = vi.spyOn(backend, "verify").mockResolvedValueOnce({ code: "refused", detail: "", reason: "model_not_here" });
    shown.push(mount(AnswerView, { target: document.body, props: { chat, get turn() { return last(); }, isLast: true } }));
    flushSync();
    const button = () => [...document.querySelectorAll("button")].find((one) => one.textContent === "Check this answer");
    const press = async () => {
      button()?.click();
      await new Promise((resolve) => setTimeout(resolve, 10));
      flushSync();
    };
    await press();
    expect(document.querySelector('[role="alert"]')?.textContent).toContain("does not have this model loaded");
    await press();
    expect(verify.mock.calls).toEqual([["/verify/ab"], ["/verify/ab"]]);
    expect(document.querySelector(".badge")?.textContent).toBe("audited");
    expect(text()).toContain("as near as honest machines");
    expect(button()).toBeUndefined();
    expect(document.querySelector('[role="alert"]')).toBeNull();
  });

  it("shows who agreed and who did not", async () => {
    chat.setOptions({ ...usual, answers: 3 });
    chat.draft = "What?";
    chat.send();
    const voice = { isChosen: false, tokens: 70, dissentsFrom: null, failed: null };
    const voices = [{ ...voice, provider: "a", isChosen: true }, { ...voice, provider: "b" }, { ...voice, provider: "c", dissentsFrom: 32 }];
    await say(asked("a"), { type: "text", text: "Paris", tokens: 70 }, { type: "answered", statement, agreement: { hasMajority: true, agreedTokens: 70, voices } });
    shown.push(mount(AnswerView, { target: document.body, props: { chat, turn: last(), isLast: true } }));
    flushSync();
    expect(backend.asked.at(-1)?.answers).toBe(3);
    expect(text()).toContain("2 of 3 say exactly this.");
    expect(text()).toContain("c differs from about token 32 on");
  });

  it("says the node's reasons in the reader's language, and folds what is English", async () => {
    words.language = "de";
    chat.draft = "What?";
    chat.send();
    await say(asked("a"), { type: "failed", failure: { code: "refused", detail: "no room for it", reason: "out_of_memory" } });
    shown.push(mount(TurnView, { target: document.body, props: { chat, turn: last(), isLast: true } }));
    flushSync();
    const alert = document.querySelector("[role=alert]");
    expect(alert?.textContent).toContain("Für dieses Modell reicht der Speicher nicht.");
    expect(alert?.querySelector("details:not([open]) [lang=en]")?.textContent).toBe("no room for it");
  });

  it("names a failure as an alert, and asks another", async () => {
    chat.draft = "What?";
    chat.send();
    await say(asked("a"), { type: "failed", failure: { code: "busy", detail: "12 wait" } });
    shown.push(mount(TurnView, { target: document.body, props: { chat, turn: last(), isLast: true } }));
    flushSync();
    const alert = document.querySelector("[role=alert]");
    expect(alert?.textContent).toContain("The provider’s queue is full.");
    expect(alert?.textContent).toContain("12 wait");
    alert?.querySelector("button")?.click();
    expect(backend.asked[1]?.avoid).toEqual(new Set(["a"]));
    expect(model.providers).toHaveLength(2);
  });
});
