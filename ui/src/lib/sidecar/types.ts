// The JSON of the node's own API, as far as the page reads it (`docs/reference/openapi.json`, `sidecar/node/src/status.rs`).
import type { Stage } from "../chat/backend";
import type { Statistics, Verdict } from "../generated/types";

export type NetworkState =
  | { readonly state: "offline"; readonly reason: string }
  | { readonly state: "joining"; readonly stage: Exclude<Stage, "providers"> }
  | { readonly state: "ready"; readonly peers: number };

export interface LocalModel {
  readonly id: string;
  readonly state: "loading" | "ready" | "resting" | "failed";
  readonly code?: string;
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
  readonly phase: { readonly phase: "starting" | "running" | "degraded" | "draining"; readonly code?: string; readonly problem?: string; readonly hint?: string };
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
  readonly audits: AuditStatus;
}

/** What audits have found, the last ones oldest first. */
export interface AuditStatus {
  readonly show_auditors: "none" | "friends" | "all";
  readonly providers: readonly {
    readonly provider: string;
    readonly passed: number;
    readonly failed: number;
    readonly inconclusive: number;
    readonly convicted: boolean;
    readonly rate_percent: number;
  }[];
  readonly last: readonly AuditMade[];
}

/** What became of an appeal, by the reports of the second jury. */
export interface AppealEntry extends PublishedEntry {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly overturned: boolean;
}

/** Where something is published (`uhCkk…`), by whom (`uhCAk…`), and when. */
export interface PublishedEntry {
  readonly action: string;
  readonly author: string;
  readonly at_s: number;
}

/** What is published about a provider. */
export interface FindingsEntry {
  readonly provider: string;
  readonly reports: readonly (PublishedEntry & {
    readonly canary: boolean;
    readonly verdict: Verdict;
    readonly why: string;
    readonly score: number;
    readonly statistics: Statistics | null;
  })[];
  readonly accusations: readonly (PublishedEntry & { readonly reports: readonly string[] })[];
  readonly convictions: readonly (PublishedEntry & {
    readonly accusation: string;
    readonly confirmations: readonly string[];
    readonly appeal: AppealEntry | null;
    readonly believed: boolean;
  })[];
  readonly equivocations: readonly PublishedEntry[];
  readonly more: boolean;
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
    /** Thousandths of a credit for a million parameter-tokens. */
    readonly milli_price: number | null;
  } | null;
}

export interface Peers {
  readonly read_ago_s: number | null;
  readonly peers: readonly PeerEntry[];
}

/** Why a provider was chosen (the header `x-ainonymous-reason`). */
export interface ReasonFacts {
  readonly kinship: "own" | "friend" | "lan" | "public";
  readonly first_token_ms: number;
  readonly wait_ms: number;
  readonly basis: "measured" | "claimed" | "assumed";
  readonly prefix_tokens: number;
  readonly milli_price: number | null;
  readonly candidates: number;
  readonly probed: number;
  readonly near_equals: number;
  readonly last_resort: boolean;
  readonly hedged: boolean;
}

export interface NetworkEntry {
  readonly network: string;
  readonly name: string;
  readonly kind: "public" | "private" | "lan";
  /** Zero bits of the proof of work that every new agent has to do once; 0 where none is asked for. */
  readonly work_bits: number;
  readonly id: string;
  readonly agent: string;
  readonly is_founder: boolean;
  readonly founders: readonly string[];
  readonly bootstrap: string;
  readonly invite: string | null;
  readonly issued: readonly { readonly key: string; readonly expires_at: number; readonly agent: string | null }[];
  readonly revoked: readonly Revoked[];
}

export interface Revoked {
  readonly revoked: string;
  readonly state: "waiting" | "revoked" | "refused";
}

export interface NetworkList {
  /** None while the public network runs. */
  readonly running: string | null;
  readonly can_change: boolean;
  readonly networks: readonly NetworkEntry[];
}

export interface MemberEntry {
  readonly agent: string;
  readonly is_self: boolean;
  readonly is_online: boolean;
  readonly standing: "member" | "refused" | "unknown";
  readonly invite: string | null;
}

export interface Members {
  readonly by_invitation: boolean;
  readonly members: readonly MemberEntry[];
}

export interface MadeInvite {
  readonly network: string;
  readonly invite: string;
  readonly key: string;
  /** Microseconds since the epoch; 0 in a public network. */
  readonly expires_at: number;
  /** Rows of modules, `1` for dark ones. */
  readonly qr: readonly string[];
}

export interface Receipt {
  readonly batch: string | null;
  readonly checked: boolean;
  readonly problem: string | null;
  /** Absent where the node tells nothing of audits. */
  readonly audit?: string;
  readonly audit_why?: string;
  /** Where the node replays the answer; absent where it does not. */
  readonly verify?: string;
  /** Where the receipt is to be had as a file that others can verify; absent where it is not. */
  readonly file?: string;
}

/** What came of replaying an answer. */
export interface AuditMade {
  readonly provider: string;
  readonly model: string;
  readonly mode: "own" | "canary" | "jury" | "drawn";
  /** Who has computed it again, if not this node. */
  readonly auditor: string | null;
  readonly verdict: Verdict;
  readonly why: string;
  readonly tokens: number;
  readonly statistics: Pick<Statistics, "tokens" | "delta_sum" | "impossible"> | null;
  readonly report: string | null;
}

/** How several answers compare. */
export interface Agreed {
  readonly majority: boolean;
  readonly agreed_tokens: number;
  readonly voices: readonly {
    readonly provider: string;
    readonly chosen: boolean;
    readonly tokens: number;
    readonly dissents_from: number | null;
    readonly failed: string | null;
  }[];
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
  readonly code?: string | null;
  readonly problem: string | null;
  readonly hint: string | null;
}
