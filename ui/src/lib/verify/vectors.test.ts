// The golden vectors that Rust and wasm are held to, run through the twins here.
import { describe, expect, it } from "vitest";
import { readLocalSignal } from "../conductor/signals";
import type { AuditTerms, BatchProof, ChatInput, ChunkMore, Receipt, ReceiptBatch, SignedReceipt } from "../generated/types";
import { filled } from "../testing/provider";
import * as ask from "./ask";
import { fromHex, toHex } from "./bytes";
import * as commit from "./commit";
import * as merkle from "./merkle";
import * as receipt from "./receipt";

interface Case {
  readonly name: string;
  readonly do: string;
  readonly with: unknown;
  readonly gives: unknown;
}

const files = import.meta.glob<{ cases: Case[] }>("../../../../tests/vectors/*.json", { eager: true, import: "default" });
const cases = Object.values(files).flatMap((file) => file.cases);

/** Byte strings stand in the files as hexadecimal after `0x`. */
function fromJson(value: unknown): unknown {
  if (typeof value === "string") return value.startsWith("0x") ? fromHex(value.slice(2)) : value;
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, fromJson(field)]));
}

const hexed = (bytes: Uint8Array) => `0x${toHex(bytes)}`;

/** Those of the operations that the page has a twin of. A verdict is only compared as good or bad. */
const operations: Record<string, (input: never) => string | boolean> = {
  "commit.input": (c: { salt: Uint8Array; input: ChatInput }) => hexed(commit.input(c.salt, c.input)),
  "commit.output": (c: { salt: Uint8Array; tokens: number[]; text: string; more: ChunkMore | null }) => {
    const output = new commit.Output(c.salt);
    output.push(c.tokens, c.text, c.more);
    return hexed(output.finish());
  },
  "ask.canonical": (c: { id: Uint8Array; spec: Uint8Array; commitment: Uint8Array; session_key: Uint8Array; audit: AuditTerms }) =>
    hexed(ask.canonical(c.id, c.spec, c.commitment, c.session_key, c.audit)),
  "receipt.canonical": (c: Receipt) => hexed(receipt.canonical(c)),
  "receipt.leaf": (c: SignedReceipt) => hexed(receipt.leaf(c)),
  "receipt.in_batch": (c: { signed: SignedReceipt; proof: BatchProof; batch: ReceiptBatch }) =>
    receipt.isInBatch(c.signed, c.proof, { author: c.signed.receipt.provider, batch: c.batch }),
  "merkle.verify_path": (c: { root: Uint8Array; leaf: Uint8Array; index: number; count: number; path: Uint8Array[] }) =>
    merkle.isPath(c.root, c.leaf, c.index, c.count, c.path),
};

describe.each(Object.keys(operations))("%s", (operation) => {
  const own = cases.filter((c) => c.do === operation);

  it("has vectors", () => expect(own.length).toBeGreaterThan(0));

  it.each(own.map((c) => [c.name, c] as const))("%s", (_, c) => {
    const given = operations[operation]?.(fromJson(c.with) as never);
    expect(given).toBe(typeof given === "boolean" ? c.gives === "ok" : c.gives);
  });
});

describe("signal.bounds", () => {
  const toRequester = new Set(["accepted", "tokens", "done", "refused", "receipt_published"]);
  const own = cases.filter((c) => c.do === "signal.bounds" && toRequester.has((c.with as { type: string }).type));

  it.each(own.map((c) => [c.name, c] as const))("%s", (_, c) => {
    const read = readLocalSignal({ type: "peer", from: filled(39, 1), signal: fromJson(c.with) });
    expect(read !== null).toBe(c.gives === "ok");
  });
});

describe("the answer's commitment", () => {
  it("does not depend on how tokens and text are cut", () => {
    const salt = filled(32, 7);
    const whole = new commit.Output(salt);
    whole.push([1, 2, 3], "é€😀");
    const pieces = new commit.Output(salt);
    for (const [tokens, text] of [[[1], "é"], [[], "€"], [[2, 3], ""], [[], "😀"]] as const) {
      pieces.finish();
      pieces.push(tokens, text);
    }
    expect(toHex(pieces.finish())).toBe(toHex(whole.finish()));
  });
});
