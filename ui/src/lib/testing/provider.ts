// A provider for unit tests: real keys, real commitments, real receipts; only the model and the wire are missing.
import type { Asked } from "../chat/question";
import type {
  Ask,
  BatchProof,
  Done,
  FinishReason,
  ModelSpecRecord,
  PeerSignal,
  ProviderRecord,
  ReceiptBatchRecord,
  SignedReceipt,
} from "../generated/types";
import { concat } from "../verify/bytes";
import { Encoder } from "../verify/canonical";
import * as commit from "../verify/commit";
import { fromSeed, sign } from "../verify/ed25519";
import * as receipts from "../verify/receipt";

const AGENT_PREFIX = [0x84, 0x20, 0x24];

export function filled(length: number, byte: number): Uint8Array {
  return new Uint8Array(length).fill(byte);
}

export const spec = filled(39, 7);

export class TestProvider {
  readonly #key;
  readonly agent: Uint8Array;

  constructor(seed: number) {
    this.#key = fromSeed(filled(32, seed));
    this.agent = concat(Uint8Array.from(AGENT_PREFIX), this.#key.publicKey, filled(4, 0));
  }

  /** What was asked, as the requester keeps it. */
  asked(ask: Ask): Asked {
    return {
      id: ask.id,
      provider: this.agent,
      spec: ask.spec,
      sessionKey: ask.session_key,
      salt: ask.salt,
      commitment: commit.input(ask.salt, ask.input),
      audit: ask.audit,
      maxTokens: ask.input.max_tokens,
    };
  }

  /** The parts of an answer, one token each, and its end. */
  answer(ask: Ask, parts: readonly (string | { readonly thought: string })[], change: Partial<SignedReceipt["receipt"]> = {}): PeerSignal[] {
    const output = new commit.Output(ask.salt);
    const chunks = parts.map((part, chunk): PeerSignal => {
      const [text, more] = typeof part === "string" ? [part, null] : ["", { reasoning: part.thought, tool_calls: [], logprobs: [] }];
      output.push([chunk], text, more);
      return { type: "tokens", id: ask.id, chunk, text, tokens: [chunk], more };
    });
    const receipt = {
      provider: this.agent,
      spec: ask.spec,
      session_key: ask.session_key,
      input: commit.input(ask.salt, ask.input),
      output: output.finish(),
      fingerprint: filled(32, 0),
      prompt_tokens: 5,
      completion_tokens: parts.length,
      finish: "stop" as FinishReason,
      finished_at: 1_700_000_000_000_000,
      audit: ask.audit,
      ...change,
    };
    const done: Done = {
      id: ask.id,
      chunks: parts.length,
      receipt: { receipt, signature: sign(this.#key, receipts.canonical(receipt)) },
      cached_tokens: 0,
      stopped_by: null,
      first_token_us: 40_000,
      decode_us: 1_000,
    };
    return [...chunks, { type: "done", ...done }];
  }

  /** A batch of this receipt alone. */
  publish(signed: SignedReceipt, batch: Uint8Array): { proof: BatchProof; record: ReceiptBatchRecord } {
    const root = Encoder.hash("ainonymous/root/v1").u64(1).raw(receipts.leaf(signed)).finish();
    const { completion_tokens, prompt_tokens, spec: entry } = signed.receipt;
    return {
      proof: { batch, index: 0, path: [] },
      record: {
        author: this.agent,
        batch: {
          capability: filled(39, 9),
          spec: { entry, action: filled(39, 8) },
          root,
          count: 1,
          prompt_tokens,
          completion_tokens,
        },
      },
    };
  }

  record(tokens_per_s: number): ProviderRecord {
    return {
      agent: this.agent,
      action: filled(39, 9),
      capability: {
        roles: ["provider"],
        sealing_key: filled(32, 1),
        transport_key: null,
        addresses: [],
        backend: "cpu",
        backend_detail: "avx2",
        models: [{ spec: { entry: spec, action: filled(39, 8) }, tokens_per_s }],
        router: null,
        region: null,
      },
    };
  }
}

export const specRecord: ModelSpecRecord = {
  spec: { entry: spec, action: filled(39, 8) },
  model: {
    name: "tiny",
    quantization: "q8_0",
    architecture: "gemma4",
    gguf_hash: filled(32, 1),
    gguf_root: filled(32, 2),
    gguf_bytes: 1_000,
    tokenizer_hash: filled(32, 3),
    template_hash: filled(32, 4),
    sampler_version: 1,
    kv_type: "f16",
    context_tokens: 512,
  },
};

export function testAsk(max_tokens = 0): Ask {
  const session = fromSeed(filled(32, 99));
  return {
    id: filled(16, 1),
    spec,
    input: {
      messages: [{ role: "user", content: "?", more: null }],
      sampling: { temperature_milli: 0, top_p_milli: 1_000, min_p_milli: 0, top_k: 0, seed: 1 },
      max_tokens,
      stop: [],
      more: null,
    },
    salt: filled(32, 2),
    session_key: session.publicKey,
    audit: { challenge: filled(32, 4), rate_ppm: 0, auditors_ppm: 0 },
    signature: filled(64, 0),
  };
}
