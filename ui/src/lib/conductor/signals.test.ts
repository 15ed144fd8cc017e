import { describe, expect, it } from "vitest";
import { limits } from "../generated/types";
import { filled, testAsk, TestProvider } from "../testing/provider";
import { readLocalSignal } from "./signals";

const provider = new TestProvider(1);
const from = provider.agent;
const id = filled(16, 1);
const tokens = { type: "tokens", id, chunk: 0, text: "a", tokens: [1], more: null };

function peer(signal: unknown): unknown {
  return readLocalSignal({ type: "peer", from, signal });
}

describe("the door for signals", () => {
  it("lets every message through that a requester can get", () => {
    const signals = [
      { type: "accepted", id, queue_position: 2 },
      { type: "refused", id, reason: "busy", detail: "" },
      { type: "receipt_published", id, proof: { batch: filled(39, 1), index: 3, path: [filled(32, 2)] } },
      ...provider.answer(testAsk(), ["x"]),
    ];
    for (const signal of signals) expect(peer(signal)).toEqual({ type: "peer", from, signal });
    expect(readLocalSignal({ type: "rejected", from, reason: "too long" })).toMatchObject({ type: "rejected" });
  });

  it("takes large integers as bigint too", () => {
    const done = provider.answer(testAsk(), []).at(-1);
    if (done?.type !== "done") throw new Error("no end");
    expect(peer({ ...done, first_token_us: 41_000n, decode_us: 7n })).toMatchObject({
      signal: { first_token_us: 41_000, decode_us: 7 },
    });
    expect(peer({ ...done, decode_us: 2n ** 60n })).toBeNull();
  });

  it.each([
    ["nothing", undefined],
    ["null", null],
    ["a number", 7],
    ["a list", [tokens]],
    ["an unknown type", { ...tokens, type: "gift" }],
    ["a question", { ...testAsk(), type: "ask" }],
    ["a short id", { ...tokens, id: filled(15, 1) }],
    ["an id that is no bytes", { ...tokens, id: "id" }],
    ["a negative number", { ...tokens, chunk: -1 }],
    ["a fraction", { ...tokens, chunk: 0.5 }],
    ["a token beyond 32 bits", { ...tokens, tokens: [2 ** 32] }],
    ["text that is no text", { ...tokens, text: 1 }],
    ["an unknown reason", { type: "refused", id, reason: "mood", detail: "" }],
    ["a receipt without fields", { type: "done", id, chunks: 0, receipt: {}, first_token_us: 0, decode_us: 0 }],
  ])("drops %s", (_, signal) => {
    expect(peer(signal)).toBeNull();
  });

  it("holds the bounds exactly", () => {
    const text = (length: number) => peer({ ...tokens, text: "x".repeat(length) });
    expect(text(limits.CHUNK_TEXT_BYTES_MAX)).not.toBeNull();
    expect(text(limits.CHUNK_TEXT_BYTES_MAX + 1)).toBeNull();
    const many = (length: number) => peer({ ...tokens, tokens: new Array(length).fill(1) });
    expect(many(limits.CHUNK_TOKENS_MAX)).not.toBeNull();
    expect(many(limits.CHUNK_TOKENS_MAX + 1)).toBeNull();
    const path = (length: number) =>
      peer({ type: "receipt_published", id, proof: { batch: filled(39, 1), index: 0, path: new Array(length).fill(filled(32, 1)) } });
    expect(path(limits.MERKLE_PATH_MAX)).not.toBeNull();
    expect(path(limits.MERKLE_PATH_MAX + 1)).toBeNull();
  });
});
