// The browser's store and the one in memory do the same; what comes from a file is read with care.
import "fake-indexeddb/auto";
import { beforeEach, describe, expect, it } from "vitest";
import { unanswered } from "../chat/answer";
import { newConversation, newId } from "../chat/conversation";
import type { Conversation, Turn } from "../chat/conversation";
import { MemoryStore, openStore, RECEIPT_CHARS_MAX, RECEIPTS_MAX } from "./store";
import type { Store } from "./store";
import { fromJson, toJson } from "./transfer";

function turnOf(conversation: Conversation, question: string): Turn {
  return { id: newId(), conversation: conversation.id, parent: null, question, attachments: [], modelId: "m", modelLabel: "m", leftOut: 0, askedMs: 1, answer: { ...unanswered, phase: "done", text: "a" } };
}

describe.each(["kept", "memory"])("the store: %s", (kind) => {
  let store: Store;

  beforeEach(async () => {
    const opened = await openStore();
    expect(opened.isKept).toBe(true);
    store = kind === "kept" ? opened.store : new MemoryStore();
    await store.clear();
  });

  it("keeps conversations newest first, and each with its turns", async () => {
    const [one, two] = [newConversation(1), newConversation(2)];
    const turn = turnOf(one, "q");
    await store.putAll([one, two], [turn, turnOf(two, "r")]);
    expect((await store.conversations()).map(({ id }) => id)).toEqual([two.id, one.id]);
    expect((await store.turns(one.id)).map(({ question }) => question)).toEqual(["q"]);
    await store.putTurn({ ...turn, question: "changed" });
    expect((await store.turn(turn.id))?.question).toBe("changed");
    await store.removeTurn(turn.id);
    expect(await store.turns(one.id)).toEqual([]);
  });

  it("deletes for good", async () => {
    const one = newConversation(1);
    await store.putAll([one], [turnOf(one, "q")]);
    await store.remove(one.id);
    expect(await store.conversation(one.id)).toBeUndefined();
    expect(await store.turns(one.id)).toEqual([]);
    await store.put(one);
    const turn = turnOf(one, "q");
    expect(await store.putTurn(turn)).toBe(true);
    expect(await store.putReceipt({ turn: turn.id, conversation: one.id, keptMs: 1, file: "f" })).toBe(true);
    await store.clear();
    expect(await store.receipt(turn.id)).toBeUndefined();
    // Whoever is still writing brings nothing back.
    expect(await store.putTurn(turn)).toBe(false);
    expect(await store.putReceipt({ turn: turn.id, conversation: one.id, keptMs: 1, file: "f" })).toBe(false);
    expect([await store.turn(turn.id), await store.receipt(turn.id)]).toEqual([undefined, undefined]);
    expect(await store.conversations()).toEqual([]);
  });

  it("keeps receipts as long as their answers, and only the newest", async () => {
    const [one, two] = [newConversation(1), newConversation(2)];
    await store.putAll([one, two], []);
    const receipt = async (id: string, of: Conversation, keptMs: number, file = `file of ${id}`) => {
      await store.putTurn({ ...turnOf(of, "q"), id });
      return store.putReceipt({ turn: id, conversation: of.id, keptMs, file });
    };
    await receipt("a", one, 1);
    await receipt("b", two, 2);
    await receipt("c", two, 3);
    expect(await receipt("long", two, 3, "x".repeat(RECEIPT_CHARS_MAX + 1))).toBe(false);
    expect(await store.receipt("a")).toBe("file of a");
    await store.remove(one.id);
    await store.removeTurn("b");
    expect([await store.receipt("a"), await store.receipt("b"), await store.receipt("c")]).toEqual([undefined, undefined, "file of c"]);
    for (let at = 0; at < RECEIPTS_MAX; at += 1) await receipt(`${at}`, two, 4 + at);
    expect([await store.receipt("c"), await store.receipt("0")]).toEqual([undefined, "file of 0"]);
  });
});

describe("a file of conversations", () => {
  const one = { ...newConversation(5), title: "t" };
  const turn = turnOf(one, "q");

  it("comes back with other ids that still belong together", () => {
    const kept = fromJson(toJson({ conversations: [{ ...one, leaf: turn.id }], turns: [turn] }), 9);
    expect(kept?.conversations[0]).toMatchObject({ title: "t", createdMs: 5 });
    expect(kept?.conversations[0]?.id).not.toBe(one.id);
    expect(kept?.turns[0]).toMatchObject({ conversation: kept?.conversations[0]?.id, id: kept?.conversations[0]?.leaf, question: "q" });
  });

  it("that is damaged is refused or mended", () => {
    for (const text of ["", "[]", "{}", '{"format":"ainonymous-conversations","version":2,"conversations":[],"turns":[]}']) expect(fromJson(text, 0)).toBeNull();
    const odd = { format: "ainonymous-conversations", version: 1, conversations: [{ id: "a", title: 7, options: { temperature: 99 } }, { title: "no id" }, 3], turns: [{ id: "b", conversation: "elsewhere" }, { id: "c", conversation: "a", answer: { phase: "writing", text: "half" }, attachments: [{ kind: "image", name: "x", url: "https://evil.example/x.png" }] }] };
    const kept = fromJson(JSON.stringify(odd), 0);
    expect(kept?.conversations).toMatchObject([{ title: "", options: { temperature: null } }]);
    expect(kept?.turns).toMatchObject([{ attachments: [], answer: { phase: "failed", text: "half", receipt: null } }]);
  });
});
