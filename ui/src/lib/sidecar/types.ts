// The JSON of the node's own API, as far as the page reads it (`docs/reference/openapi.json`, `sidecar/node/src/status.rs`).
import type { Stage } from "../chat/backend";

export type NetworkState =
  | { readonly state: "offline"; readonly reason: string }
  | { readonly state: "joining"; readonly stage: Exclude<Stage, "providers"> }
  | { readonly state: "ready"; readonly peers: number };

export interface LocalModel {
  readonly id: string;
  readonly state: "loading" | "ready" | "resting" | "failed";
  readonly problem?: string;
  readonly hint?: string;
  readonly info?: {
    readonly context_tokens: number;
    readonly backend: string;
    readonly backend_detail: string;
    readonly file_bytes: number;
    readonly gpu_layers: number;
    readonly layers: number;
    readonly threads: number;
    readonly images: boolean;
  };
  readonly engine?: {
    readonly running: number;
    readonly queued: number;
    readonly restarts: number;
    readonly worker_rss_bytes: number | null;
  };
}

export interface Status {
  readonly version: string;
  readonly phase: { readonly phase: "starting" | "running" | "degraded" | "draining"; readonly problem?: string; readonly hint?: string };
  readonly network: NetworkState | null;
  readonly agent: string | null;
  readonly dna_hash: string | null;
  readonly share: boolean;
  readonly paused: boolean;
  readonly models: readonly LocalModel[];
  readonly counters: {
    readonly asked: number;
    readonly answered: number;
    readonly refused: number;
    readonly retried: number;
    readonly receipts_published: number;
    readonly receipts_checked: number;
  };
  readonly uptime_s: number;
  readonly rss_bytes: number | null;
}

export interface ModelEntry {
  readonly id: string;
  readonly local: boolean;
  readonly state: "loaded" | "loading" | "unloaded" | "failed";
  readonly problem: string | null;
  readonly providers: readonly string[];
  readonly context_tokens: number;
  readonly file_bytes: number;
  readonly details: { readonly architecture: string; readonly parameters: number; readonly embedding: boolean } | null;
  readonly unloads_in_s: number | null;
}

export interface PeerEntry {
  readonly agent: string;
  readonly kinship: "own" | "friend" | "lan" | "public";
  readonly device: string;
  readonly route: "direct" | "routed" | "signals";
  readonly failing: boolean;
  readonly models: readonly PeerModel[];
}

export interface PeerModel {
  readonly id: string;
  readonly claimed_tokens_per_s: number;
  readonly measured_tokens_per_s: number | null;
  readonly heard: {
    readonly ago_s: number;
    readonly round_trip_ms: number;
    readonly queued: number;
    readonly slots: number;
    readonly free_slots: number;
  } | null;
}

export interface Peers {
  readonly read_ago_s: number | null;
  readonly peers: readonly PeerEntry[];
}

export interface Receipt {
  readonly batch: string | null;
  readonly checked: boolean;
  readonly problem: string | null;
}

export interface Sample {
  /** Seconds since the epoch. */
  readonly at_s: number;
  readonly asked: number;
  readonly answered: number;
  readonly refused: number;
}

export interface Timeline {
  readonly every_s: number;
  readonly samples: readonly Sample[];
}

export interface Offer {
  readonly name: string;
  readonly about_bytes: number;
  readonly memory_bytes: number;
  readonly note: string;
  readonly licence: string;
  readonly is_there: boolean;
}

export interface Pull {
  readonly id: number;
  readonly model: string;
  readonly state: "running" | "done" | "failed" | "cancelled";
  readonly phase: string;
  readonly bytes_done: number;
  readonly bytes_total: number;
  readonly problem: string | null;
  readonly hint: string | null;
}
