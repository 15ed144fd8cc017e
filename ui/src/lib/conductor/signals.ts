// The door for what the coordinator emits: anything that is not a message of ours, whole and within bounds, is null.
import { limits } from "../generated/types";
import type {
  AuditTerms,
  BatchProof,
  ChunkMore,
  Done,
  FinishReason,
  LocalSignal,
  PeerSignal,
  Receipt,
  RefuseReason,
  SignedReceipt,
  TokenChunk,
  TokenLogprob,
} from "../generated/types";

const HASH_BYTES = 39;
const ID_BYTES = 16;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const U32_MAX = 0xffff_ffff;

const utf8 = new TextEncoder();

const finishReasons: readonly FinishReason[] = ["stop", "length", "cancelled"];
const refuseReasons: readonly RefuseReason[] = [
  "unknown_model",
  "busy",
  "prompt_too_long",
  "malformed",
  "draining",
  "engine_failed",
  "unknown_request",
  "not_admitted",
  "cannot_see",
  "must_be_known",
];

/** Reads an emitted signal. Messages that a requester never gets are null too. */
export function readLocalSignal(payload: unknown): LocalSignal | null {
  try {
    const signal = map(payload);
    const from = bytes(signal["from"], HASH_BYTES);
    if (signal["type"] === "rejected") return { type: "rejected", from, reason: text(signal["reason"], limits.DETAIL_BYTES_MAX) };
    if (signal["type"] !== "peer") return null;
    const peer = peerSignal(map(signal["signal"]));
    return peer === null ? null : { type: "peer", from, signal: peer };
  } catch (error) {
    if (error instanceof Misshapen) return null;
    throw error;
  }
}

class Misshapen extends Error {}

type Fields = Record<string, unknown>;

function peerSignal(fields: Fields): PeerSignal | null {
  const id = () => bytes(fields["id"], ID_BYTES);
  switch (fields["type"]) {
    case "accepted":
      return { type: "accepted", id: id(), queue_position: integer(fields["queue_position"], U32_MAX) };
    case "tokens":
      return { type: "tokens", ...tokenChunk(fields, id()) };
    case "done":
      return { type: "done", ...done(fields, id()) };
    case "refused":
      return {
        type: "refused",
        id: id(),
        reason: oneOf(fields["reason"], refuseReasons),
        detail: text(fields["detail"], limits.DETAIL_BYTES_MAX),
      };
    case "receipt_published":
      return { type: "receipt_published", id: id(), proof: proof(map(fields["proof"])) };
    default:
      return null;
  }
}

function tokenChunk(fields: Fields, id: Uint8Array): TokenChunk {
  const chunk = {
    id,
    chunk: integer(fields["chunk"], limits.ANSWER_CHUNKS_MAX),
    text: text(fields["text"], limits.CHUNK_TEXT_BYTES_MAX),
    tokens: list(fields["tokens"], limits.CHUNK_TOKENS_MAX, (token) => integer(token, U32_MAX)),
    more: optional(fields["more"], (more) => chunkMore(map(more))),
  };
  if (chunk.more !== null) {
    const { reasoning, tool_calls, logprobs } = chunk.more;
    const said = [chunk.text, reasoning];
    for (const call of tool_calls) said.push(call.arguments, call.begins?.id ?? "", call.begins?.name ?? "");
    const bytes = said.reduce((sum, part) => sum + utf8.encode(part).length, 0);
    const isOneEach = logprobs.length === 0 || logprobs.length === chunk.tokens.length;
    const likely = logprobs.reduce((sum, { top }) => sum + top.length + 1, 0);
    const fits = bytes <= limits.CHUNK_TEXT_BYTES_MAX && likely <= limits.CHUNK_LOGPROBS_MAX;
    if (!isOneEach || !fits) throw new Misshapen();
  }
  return chunk;
}

function chunkMore(fields: Fields): ChunkMore {
  const word = (value: unknown) => text(value, limits.CHUNK_TEXT_BYTES_MAX);
  return {
    reasoning: word(fields["reasoning"]),
    tool_calls: list(fields["tool_calls"], limits.CHUNK_TOOL_CALLS_MAX, (value) => {
      const call = map(value);
      const begin = (begins: Fields) => ({ id: word(begins["id"]), name: word(begins["name"]) });
      return {
        index: integer(call["index"], U32_MAX),
        begins: optional(call["begins"], (begins) => begin(map(begins))),
        arguments: word(call["arguments"]),
      };
    }),
    logprobs: list(fields["logprobs"], limits.CHUNK_TOKENS_MAX, (value) => {
      const { chosen, top } = map(value);
      return { chosen: logprob(map(chosen)), top: list(top, limits.TOP_LOGPROBS_MAX, (one) => logprob(map(one))) };
    }),
  };
}

function logprob(fields: Fields): TokenLogprob {
  const { text: bytes, logprob_micro } = fields;
  if (!(bytes instanceof Uint8Array) || bytes.length > limits.TOKEN_TEXT_BYTES_MAX) throw new Misshapen();
  if (typeof logprob_micro !== "number" || (logprob_micro | 0) !== logprob_micro) throw new Misshapen();
  return { token: integer(fields["token"], U32_MAX), text: bytes, logprob_micro };
}

function done(fields: Fields, id: Uint8Array): Done {
  return {
    id,
    chunks: integer(fields["chunks"], limits.ANSWER_CHUNKS_MAX),
    receipt: signedReceipt(map(fields["receipt"])),
    cached_tokens: integer(fields["cached_tokens"], limits.CONTEXT_TOKENS_MAX),
    stopped_by: optional(fields["stopped_by"], (at) => integer(at, limits.STOP_STRINGS_MAX - 1)),
    first_token_us: integer(fields["first_token_us"], limits.DURATION_US_MAX),
    decode_us: integer(fields["decode_us"], limits.DURATION_US_MAX),
  };
}

function signedReceipt(fields: Fields): SignedReceipt {
  return { receipt: receipt(map(fields["receipt"])), signature: bytes(fields["signature"], SIGNATURE_BYTES) };
}

function receipt(fields: Fields): Receipt {
  return {
    provider: bytes(fields["provider"], HASH_BYTES),
    spec: bytes(fields["spec"], HASH_BYTES),
    session_key: bytes(fields["session_key"], KEY_BYTES),
    input: bytes(fields["input"], KEY_BYTES),
    output: bytes(fields["output"], KEY_BYTES),
    fingerprint: bytes(fields["fingerprint"], KEY_BYTES),
    prompt_tokens: integer(fields["prompt_tokens"], limits.CONTEXT_TOKENS_MAX),
    completion_tokens: integer(fields["completion_tokens"], limits.ANSWER_TOKENS_MAX),
    finish: oneOf(fields["finish"], finishReasons),
    finished_at: integer(fields["finished_at"], limits.TIMESTAMP_US_MAX),
    audit: auditTerms(map(fields["audit"])),
  };
}

function auditTerms(fields: Fields): AuditTerms {
  return {
    challenge: bytes(fields["challenge"], KEY_BYTES),
    rate_ppm: integer(fields["rate_ppm"], limits.PPM_MAX),
    auditors_ppm: integer(fields["auditors_ppm"], limits.PPM_MAX),
  };
}

function proof(fields: Fields): BatchProof {
  return {
    batch: bytes(fields["batch"], HASH_BYTES),
    index: integer(fields["index"], limits.BATCH_RECEIPTS_MAX - 1),
    path: list(fields["path"], limits.MERKLE_PATH_MAX, (hash) => bytes(hash, KEY_BYTES)),
  };
}

function map(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Misshapen();
  return value as Fields;
}

function bytes(value: unknown, length: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== length) throw new Misshapen();
  return value;
}

/** Large integers arrive as `bigint` from some decoders. */
function integer(value: unknown, max: number): number {
  const number = typeof value === "bigint" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isSafeInteger(number) || number < 0 || number > max) throw new Misshapen();
  return number;
}

/** Bounds are in bytes: between one and three for each UTF-16 unit. */
function text(value: unknown, max: number): string {
  if (typeof value !== "string" || value.length > max) throw new Misshapen();
  if (value.length > max / 3 && utf8.encode(value).length > max) throw new Misshapen();
  return value;
}

function optional<Value>(value: unknown, read: (value: unknown) => Value): Value | null {
  return value === null ? null : read(value);
}

function list<Item>(value: unknown, max: number, read: (item: unknown) => Item): Item[] {
  if (!Array.isArray(value) || value.length > max) throw new Misshapen();
  return value.map(read);
}

function oneOf<Name extends string>(value: unknown, names: readonly Name[]): Name {
  const name = names.find((known) => known === value);
  if (name === undefined) throw new Misshapen();
  return name;
}
