// @vitest-environment jsdom
// Conversations against a backend that answers as the test says, and a store in memory.
import { beforeEach, describe, expect, it } from "vitest";
import { MemoryStore } from "../store/store";
import { KEPT_HERE } from "./answer";
import type { AnswerEvent } from "./backend";
import { Chat } from "./chat.svelte";
import { usual } from "./conversation";
import { asked, model, TestBackend, provider, statement } from "./testing";

let backend: TestBackend;
let store: MemoryStore;
let chat: Chat;

beforeEach(() => {
  backend = new TestBackend();
  store = new MemoryStore();
  chat = new Chat(backend, store);
});

async function say(...events: AnswerEvent[]): Promise<void> {
  for (const event of events) backend.events.push(event);
  await new Promise((resolve) => setTimeout(resolve, 40));
}

const answered: AnswerEvent[] = [
  asked("b"),
  { type: "text", text: "Paris.", tokens: 1 },
  { type: "answered", statement },
  { type: "receipt", receipt: { at: "checked", action: "x" } },
];

async function send(question: string, ...events: AnswerEvent[]): Promise<void> {
  chat.draft = question;
  chat.send();
  await say(...events);
}

const texts = () => chat.path.map((turn) => [turn.question, chat.answerOf(turn).text]);
const last = () => chat.answerOf(chat.path.at(-1)!);

describe("a conversation", () => {
  it("sends the draft, shows the answer, and goes on with the same provider", async () => {
    expect(chat.canSend).toBe(false);
    expect(chat.outlook?.readers).toMatchObject({ by: "one", provider: { key: "a" } });
    await send(" What? ");
    expect(backend.asked[0]?.prefer).toBe("a");
    expect(chat).toMatchObject({ draft: "", isAnswering: true, canSend: false });
    await say(...answered);
    expect(texts()).toEqual([["What?", "Paris."]]);
    expect(last()).toMatchObject({ phase: "done", receipt: { at: "checked" } });
    expect(chat.outlook?.readers).toMatchObject({ provider: { key: "b" } });
    await send("And?");
    const [first, second] = backend.asked;
    expect(second?.input.messages.map(({ content }) => content)).toEqual(["What?", "Paris.", "And?"]);
    expect(second?.prefer).toBe("b");
    expect(second?.conversation).toBe(first?.conversation);
  });

  it("is kept, and opens as it was", async () => {
    await send("What?", ...answered);
    const id = chat.current.id;
    const other = new Chat(backend, store);
    await other.start(id);
    expect(other.conversations.map(({ title }) => title)).toEqual(["What?"]);
    expect(other.path[0]).toMatchObject({ question: "What?", modelLabel: "tiny q8_0", answer: { text: "Paris.", receipt: { at: "checked" } } });
  });

  it("stops at once, whatever still comes", async () => {
    await send("Tell.", asked("a"), { type: "text", text: "Once", tokens: 1 });
    chat.stop();
    expect(chat.isAnswering).toBe(false);
    expect(backend.asked[0]?.stop.aborted).toBe(true);
    await say({ type: "text", text: " upon", tokens: 1 });
    expect(last()).toMatchObject({ phase: "stopped", text: "Once" });
    expect((await store.turns(chat.current.id))[0]?.answer.phase).toBe("stopped");
  });

  it("asks another provider again, without building on what failed", async () => {
    await send("What?", asked("a"), { type: "failed", failure: { code: "silent", detail: "" } });
    chat.retry(chat.path[0]!);
    expect(chat.path).toHaveLength(1);
    expect(backend.asked[1]?.avoid).toEqual(new Set(["a"]));
    expect(backend.asked[1]?.input.messages).toHaveLength(1);
    await say(...answered);
    expect(texts()).toEqual([["What?", "Paris."]]);
    expect(await store.turns(chat.current.id)).toHaveLength(1);
  });

  it("keeps half an answer beside the next try", async () => {
    await send("What?", asked("a"), { type: "text", text: "half", tokens: 1 }, { type: "failed", failure: { code: "gone", detail: "" } });
    chat.retry(chat.path[0]!);
    await say(...answered);
    expect(chat.siblings(chat.path[0]!)).toMatchObject({ at: 1, all: [{ answer: { text: "half" } }, {}] });
  });

  it("answers again and edits in branches, and finds the way back", async () => {
    await send("One?", ...answered);
    await send("Two?", ...answered);
    chat.regenerate(chat.path[1]!);
    await say(asked("a"), { type: "text", text: "Rome.", tokens: 1 }, { type: "answered", statement }, { type: "receipt", receipt: { at: "unpublished" } });
    expect(texts()).toEqual([["One?", "Paris."], ["Two?", "Rome."]]);
    chat.edit(chat.path[0]!);
    expect(chat.draft).toBe("One?");
    await send("Eins?", ...answered);
    expect(texts()).toEqual([["Eins?", "Paris."]]);
    expect(backend.asked.at(-1)?.input.messages).toHaveLength(1);
    const beside = chat.siblings(chat.path[0]!);
    expect([beside.at, beside.all.length]).toEqual([1, 2]);
    chat.show(beside.all[0]!);
    expect(texts()).toEqual([["One?", "Paris."], ["Two?", "Rome."]]);
    chat.show(chat.siblings(chat.path[1]!).all[0]!);
    expect(texts()[1]).toEqual(["Two?", "Paris."]);
  });

  it("does not build on an answer that its receipt does not cover", async () => {
    await send("What?", ...answered.slice(0, 3), { type: "receipt", receipt: { at: "false", action: "x" } });
    await send("And?");
    expect(backend.asked[1]?.input.messages.map(({ content }) => content)).toEqual(["And?"]);
  });

  it("starts anew with another session, and deletes for good", async () => {
    await send("What?", ...answered);
    const old = chat.current.id;
    chat.new();
    expect(chat.path).toEqual([]);
    await send("Who?", ...answered);
    expect(backend.asked[1]?.conversation).not.toBe(backend.asked[0]?.conversation);
    await chat.remove(old);
    expect(await store.turns(old)).toEqual([]);
    expect(chat.conversations.map(({ title }) => title)).toEqual(["Who?"]);
    await chat.removeAll();
    expect(await store.conversations()).toEqual([]);
    expect(chat.isNew).toBe(true);
  });

  it("names what is too long without asking anybody", async () => {
    await send("x".repeat(2 ** 20 + 1));
    expect(last()).toMatchObject({ phase: "failed", failure: { code: "too_long" } });
    expect(backend.asked).toEqual([]);
  });

  it("keeps the chosen model while somebody serves it", () => {
    chat.chooseModel("n");
    expect(chat.model?.id).toBe("n");
    backend.move({ at: "ready", models: [model] });
    expect(chat.model?.id).toBe("m");
    backend.move({ at: "offline", retryInMs: 500, attempt: 1 });
    expect(chat.model).toBeNull();
    chat.draft = "kept";
    chat.send();
    expect(chat.draft).toBe("kept");
  });

  it("sends system prompt, parameters and files", async () => {
    chat.setOptions({ ...usual, system: " Be brief. ", temperature: 0.25, topP: 0.5, topK: 7, maxTokens: 9, seed: 3 });
    chat.attachments = [{ kind: "text", name: "a.txt", text: "```\ncode\n```\n" }];
    await send("What is this?", ...answered);
    expect(backend.asked[0]?.input).toEqual({
      messages: [
        { role: "system", content: "Be brief.", more: null },
        { role: "user", content: "a.txt\n````\n```\ncode\n```\n````\n\nWhat is this?", more: null },
      ],
      sampling: { temperature_milli: 250, top_p_milli: 500, min_p_milli: 0, top_k: 7, seed: 3 },
      max_tokens: 9,
      stop: [],
      more: null,
    });
    expect(chat.attachments).toEqual([]);
  });

  it("does not send an image to a model that does not take one", () => {
    chat.draft = "What is this?";
    chat.attachments = [{ kind: "image", name: "a.png", url: "data:image/png;base64,AA==" }];
    expect(chat.canSend).toBe(false);
    backend.move({ at: "ready", models: [{ ...model, takesImages: true }] });
    chat.send();
    expect(backend.asked[0]?.images).toEqual(new Map([[0, ["data:image/png;base64,AA=="]]]));
  });

  it("keeps a receipt that the backend keeps nowhere, as long as its answer", async () => {
    await send("What?", ...answered.slice(0, -1), { type: "receipt", receipt: { at: "checked", action: "x" }, whole: "the file" });
    const [turn] = chat.path;
    expect(await chat.receiptFile(turn!, last().receiptFile!)).toBe("the file");
    await chat.remove(chat.current.id);
    await expect(chat.receiptFile(turn!, KEPT_HERE)).rejects.toThrow("not kept");
    expect(await chat.receiptFile(turn!, "/elsewhere")).toBe("file of /elsewhere");
  });

  it.each([true, false])("brings nothing back of a conversation that another tab deletes in mid-answer, whether it hears of it before (%s)", async (hears) => {
    await send("Tell.", asked("a"), { type: "text", text: "Once", tokens: 1 });
    const { id } = chat.current;
    const other = new Chat(new TestBackend(), store);
    await other.start(id);
    await other.remove(id);
    if (hears) await say();
    await say({ type: "text", text: " upon", tokens: 1 }, { type: "answered", statement }, { type: "receipt", receipt: { at: "signed" }, whole: "the file" });
    expect(backend.asked[0]?.stop.aborted).toBe(hears);
    expect(await store.turns(id)).toEqual([]);
    expect(chat.isNew).toBe(true);
    other.close();
  });

  it("leaves an answer as interrupted when its tab is closed, whatever still comes", async () => {
    await send("Tell.", asked("a"), { type: "text", text: "Once", tokens: 1 });
    chat.close();
    await say({ type: "text", text: " upon", tokens: 1 });
    const [left] = await store.turns(chat.current.id);
    expect(left?.answer).toMatchObject({ phase: "failed", text: "Once", failure: { code: "interrupted" } });
  });

  it("says of an answer whose tab is gone that it was interrupted", async () => {
    await send("Tell.", asked("a"), { type: "text", text: "Once", tokens: 1 });
    const id = chat.current.id;
    await store.putTurn({ ...chat.path[0]!, answer: last() });
    const other = new Chat(new TestBackend(), store);
    await other.start(id);
    await new Promise((resolve) => setTimeout(resolve, 20));
    // Node has no tabs: nobody holds the turn.
    expect(other.answerOf(other.path[0]!)).toMatchObject({ phase: "failed", text: "Once", failure: { code: "interrupted" } });
  });

  it("shows no more often than the screen, and everything in the end", async () => {
    await send("Tell.", asked("a"));
    let shown = 0;
    const stop = $effect.root(() => {
      $effect(() => {
        void chat.live;
        shown += 1;
      });
    });
    for (let at = 0; at < 2_000; at += 1) backend.events.push({ type: "text", text: "x", tokens: 1 });
    await say({ type: "answered", statement }, { type: "receipt", receipt: { at: "unpublished" } });
    stop();
    expect(last().text).toHaveLength(2_000);
    expect(shown).toBeGreaterThan(1);
    expect(shown).toBeLessThan(40);
  });

  it("comes back from a file with its words and without its proofs", async () => {
    await send("What?", ...answered);
    const json = await chat.exported(null);
    const other = new Chat(backend, new MemoryStore());
    expect(await other.imported(json)).toBe(1);
    await other.open(other.conversations[0]!.id);
    expect(other.current.id).not.toBe(chat.current.id);
    expect(other.path[0]?.answer).toMatchObject({ phase: "done", text: "Paris.", receipt: null, asked: null });
    expect(await other.imported("{}")).toBeNull();
    expect(await other.imported("nonsense")).toBeNull();
  });
});

describe("who is named", () => {
  it("is the provider of before, while it serves", async () => {
    await send("What?", ...answered);
    backend.move({ at: "ready", models: [{ ...model, providers: [provider("a")] }] });
    expect(chat.outlook?.readers).toMatchObject({ provider: { key: "a" } });
  });
});
