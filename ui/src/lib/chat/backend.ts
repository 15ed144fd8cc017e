// What the page needs from whatever answers it: the conductor (the hApp alone) or the sidecar's own API.
// Nothing here may know Holochain or HTTP.
import type { ChatInput, FinishReason } from "../generated/types";

/** How near a node is to whoever asks. `self` is the asker's own node. */
export type Kinship = "self" | "own" | "friend" | "lan" | "public";

/** Whoever may answer. */
export interface Provider {
  /** Its agent key as people see it, `uhCAk…`; empty for an own node that has not joined a network. */
  readonly key: string;
  /** Measured speed of one stream in tokens a second; 0 if not measured. */
  readonly tokensPerS: number;
  /** What computes, for people. */
  readonly device: string;
  /** Whether it is the node of whoever asks. */
  readonly isOwn: boolean;
  readonly kinship: Kinship;
  /** Questions that wait there, as it last said; null if it was not asked. */
  readonly waiting: number | null;
  /** What it wants, in thousandths of a credit for a million parameter-tokens; 0 is a gift, null if it did not say. */
  readonly milliPrice: number | null;
}

/** Who may answer at most: this node alone, one's own nodes, friends too, the local network too. */
export type Only = "here" | "own" | "friends" | "lan";

const distance: Record<Kinship, number> = { self: 0, own: 1, friend: 2, lan: 3, public: 4 };
const reach: Record<Only, number> = { here: 0, own: 1, friends: 2, lan: 3 };

/** Whether somebody is as close as was demanded; null demands nothing. */
export function isAllowed(kinship: Kinship, only: Only | null): boolean {
  return only === null || distance[kinship] <= reach[only];
}

/** A model that somebody serves. */
export interface Model {
  /** Identity of the model spec, or the name that the sidecar gives it. */
  readonly id: string;
  readonly name: string;
  readonly quantization: string;
  readonly contextTokens: number;
  /** Fastest first; at least one. */
  readonly providers: readonly Provider[];
  /** Whether it takes images from this page. */
  readonly takesImages: boolean;
  /** Not in memory yet: the first question loads it. */
  readonly rests: boolean;
}

/** Why the page cannot get further without a person. */
export type Blocked = "no_environment" | "token_refused" | "app_missing" | "not_authorised" | "key_needed";

/** What is under way while joining, in order. */
export type Stage = "starting" | "relay" | "bootstrap" | "peers" | "providers";

export const stages: readonly Stage[] = ["starting", "relay", "bootstrap", "peers", "providers"];

/** Where the connection stands. */
export type BackendState =
  | { readonly at: "connecting" }
  | { readonly at: "offline"; readonly retryInMs: number; readonly attempt: number }
  | { readonly at: "joining"; readonly stage: Stage }
  | { readonly at: "ready"; readonly models: readonly Model[] }
  | { readonly at: "blocked"; readonly why: Blocked };

/** Why there is no (further) answer. Each has words in the catalogue. */
export type FailureCode =
  | "answer_broke"
  | "demands_unmet"
  | "image_unfit"
  | "model_loading"
  | "model_unusable"
  | "no_way"
  | "not_ready"
  | "routers_unmet"
  | "empty"
  | "too_long"
  | "no_provider"
  | "not_sent"
  | "disconnected"
  | "silent"
  | "gone"
  | "broken"
  | "unknown_model"
  | "busy"
  | "prompt_too_long"
  | "malformed"
  | "draining"
  | "engine_failed"
  | "unknown_request"
  | "not_admitted"
  | "cannot_see"
  | "must_be_known"
  | "refused"
  | "interrupted";

export interface Failure {
  readonly code: FailureCode;
  /** What exactly, in the words of whoever noticed, which are English; may be empty. */
  readonly detail: string;
  /** The code of whoever noticed, where it says more than ours. */
  readonly reason?: string;
}

/** Which way a question went. */
export type Route = "local" | "direct" | "routed" | "signals" | "posted";

/** What the provider states about a complete answer. */
export interface Statement {
  readonly finish: FinishReason;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** By the provider's clock, from the arrival of the question. */
  readonly firstTokenMs: number;
  /** Tokens a second after the first; 0 if there was no second. */
  readonly tokensPerS: number;
}

/** How far the receipt of an answer is. `none`: an own engine answered, which signs nothing. */
export type ReceiptState =
  | { readonly at: "none" }
  | { readonly at: "signed" }
  | { readonly at: "checked"; readonly action: string }
  | { readonly at: "unpublished" }
  | { readonly at: "unreachable"; readonly action: string }
  | { readonly at: "false"; readonly action: string };

/** Whether the answer was replayed, as the backend says; unaudited until it says something else. */
export type AuditState = "unaudited" | "running" | "audited" | "disputed" | "inconclusive";

/** What that follows from. */
export type AuditReason =
  | "not_opened"
  | "other_tokens"
  | "opened_otherwise"
  | "not_replayed"
  | "cut_off"
  | "other_answer"
  | "as_honest"
  | "not_as_honest"
  | "uncalibrated"
  | "beyond_rounding";

/** What came of replaying an answer. */
export interface Audit {
  readonly audit: AuditState;
  readonly why?: AuditReason;
}

/** What one of several providers said that were asked the same. */
export interface Voice {
  readonly provider: string;
  /** Its answer is the one that is shown. */
  readonly isChosen: boolean;
  readonly tokens: number;
  /** The token near which it left the majority; null if it never did. */
  readonly dissentsFrom: number | null;
  /** The code of why it has not answered; null if it has. */
  readonly failed: string | null;
}

/** How their answers compare. */
export interface Agreement {
  /** More than half of those who answered said the same to the end. */
  readonly hasMajority: boolean;
  /** Tokens at the beginning that more than half have in common. */
  readonly agreedTokens: number;
  readonly voices: readonly Voice[];
}

/** Why a provider was chosen, as facts. Times in milliseconds. */
export interface Reason {
  readonly kinship: Exclude<Kinship, "self">;
  readonly firstTokenMs: number;
  readonly waitMs: number;
  /** Where the estimate comes from: own experience, the provider's word, or nothing. */
  readonly basis: "measured" | "claimed" | "assumed";
  /** Tokens of the prompt that it has in its cache. */
  readonly prefixTokens: number;
  readonly milliPrice: number | null;
  /** How many met all demands, how many of them had just said how busy they are, among how many about equal ones it was drawn. */
  readonly candidates: number;
  readonly probed: number;
  readonly nearEquals: number;
  /** It failed lately, and nobody else was there. */
  readonly lastResort: boolean;
  /** It was asked beside a slower one, and was quicker. */
  readonly hedged: boolean;
}

/** Who was asked, and why just this one. */
export interface Asked {
  readonly provider: Provider;
  readonly route: Route;
  /** None if nobody chose, or if it was not told. */
  readonly reason: Reason | null;
  /** Identity of the model spec; empty if there is none. */
  readonly spec: string;
}

/** What happens to a question, in order. `answered` may be followed by `receipt`, that by `audit`; `failed` is the last. */
export type AnswerEvent =
  | ({ readonly type: "asked" } & Asked)
  | { readonly type: "queued"; readonly before: number }
  | { readonly type: "text"; readonly text: string; readonly tokens: number; readonly reasoning?: string }
  | { readonly type: "passed_on"; readonly from: Provider; readonly failure: Failure }
  | { readonly type: "answered"; readonly statement: Statement; readonly asked?: Asked; readonly agreement?: Agreement }
  /** `file`: where the backend has it as a file; `whole`: that file, if the backend keeps it nowhere. */
  | ({ readonly type: "receipt"; readonly receipt: ReceiptState; readonly file?: string; readonly whole?: string; readonly verify?: string } & Partial<Audit>)
  | ({ readonly type: "audit" } & Audit)
  | { readonly type: "failed"; readonly failure: Failure };

export interface AskOptions {
  /** Questions of one conversation share a key; those of different ones cannot be told to be by the same person. */
  readonly conversation: string;
  readonly model: Model;
  readonly input: ChatInput;
  /** Images by the index of the message that they belong to, as `data:` addresses. */
  readonly images: ReadonlyMap<number, readonly string[]>;
  /** Who is asked first, if possible. */
  readonly prefer: string | null;
  /** Whom not to ask. */
  readonly avoid: ReadonlySet<string>;
  /** Who may answer at most. */
  readonly only: Only | null;
  /** Only through routers: the provider learns neither this machine's address nor its agent. */
  readonly hides: boolean;
  /** So many providers answer with the same dice, and their answers are compared; 1 is the usual. */
  readonly answers: number;
  /** Aborting stops the answer and tells the provider. */
  readonly stop: AbortSignal;
}

/** Who will see a question. */
export type Readers =
  /** Nobody but the asker's own node. */
  | { readonly by: "self" }
  /** This one; `others` more could take over if it does not answer. */
  | { readonly by: "one"; readonly provider: Provider; readonly others: number }
  /** One of so many, chosen when the question is sent. */
  | { readonly by: "one_of"; readonly count: number; readonly strangers: number }
  /** So many at once, to compare what they say. */
  | { readonly by: "several"; readonly count: number; readonly among: number };

/** What stands in the way of a question, by the asker's own policy. */
export type Hurdle = "nobody_allowed" | "cannot_hide" | "too_few";

/** What is said before a question is sent. */
export interface Outlook {
  /** Null if nobody can answer. */
  readonly readers: Readers | null;
  /** Questions that wait at whoever will answer, at least; null if nobody knows. */
  readonly waiting: number | null;
  /** From the least to the most that somebody wants who may answer; null if one of them did not say. */
  readonly milliPrice: readonly [number, number] | null;
  /** Which auditors may read the answer afterwards. */
  readonly auditors: ShownAuditors;
  readonly hurdle: Hurdle | null;
}

/** Auditors who may see questions and answers, if dice draw them. */
export type ShownAuditors = "none" | "friends" | "all";

/** What the asker wishes for a question that is not sent yet. */
export interface Wish {
  /** Who is asked first, if possible. */
  readonly prefer: string | null;
  readonly only: Only | null;
  readonly hides: boolean;
  readonly answers: number;
  /** At least 0 and less than 1. */
  readonly dice: number;
}

/** The outlook when it is known who may read: waits and prices follow. */
export function outlookOf(readers: Readers, likely: readonly Provider[]): Outlook {
  const waits = likely.flatMap(({ waiting }) => (waiting === null ? [] : [waiting]));
  const prices = likely.flatMap(({ milliPrice }) => (milliPrice === null ? [] : [milliPrice]));
  const isTold = prices.length === likely.length && prices.length > 0;
  return {
    readers,
    waiting: waits.length === 0 ? null : Math.min(...waits),
    milliPrice: isTold ? [Math.min(...prices), Math.max(...prices)] : null,
    auditors: "none",
    hurdle: null,
  };
}

/** The outlook where one's own policy refuses. */
export function refusedBy(hurdle: Hurdle): Outlook {
  return { readers: null, waiting: null, milliPrice: null, auditors: "none", hurdle };
}

/** A node of the network, as far as it is known. */
export interface Peer {
  readonly key: string;
  readonly kinship: Kinship;
  readonly device: string;
  readonly models: readonly { readonly id: string; readonly label: string; readonly tokensPerS: number; readonly isMeasured: boolean }[];
  readonly route: "self" | "direct" | "routed" | "signals";
  readonly roundTripMs: number | null;
  readonly waiting: number | null;
  readonly freeSlots: number | null;
  readonly slots: number | null;
  /** Seconds since it last said how busy it is. */
  readonly heardAgoS: number | null;
  /** It did not answer lately. */
  readonly isFailing: boolean;
}

/** How a provider fared in the audits of this node. */
export interface ProviderAudits {
  readonly provider: string;
  readonly passed: number;
  readonly failed: number;
  readonly undecided: number;
  /** It signed two things, or a jury that is trusted here convicted it: it is not asked any more. */
  readonly isConvicted: boolean;
  /** How many of its answers are audited from now on, in hundredths. */
  readonly ratePercent: number;
}

/** What an audit has compared. */
export interface AuditFacts {
  /** The question was made up to audit: the report is published, and shows everything that was compared. */
  readonly isCanary: boolean;
  /** Of the answer; null if nobody says. */
  readonly tokens: number | null;
  /** How far the provider's log-probabilities are from the auditor's, in nats a token; null if they could not be compared. */
  readonly distance: number | null;
  /** Tokens that the model would not have come near to. */
  readonly impossible: number | null;
}

/** One audit, with what it follows from. Never what was asked or answered. */
export interface AuditRecord extends Audit, AuditFacts {
  readonly provider: string;
  readonly model: string;
  /** Who has computed it again, as `uhCAk…`; null for one's own node. */
  readonly auditor: string | null;
  /** The published report, as `uhCkk…`. */
  readonly report: string | null;
}

/** What audits have found; the last ones newest first. */
export interface AuditPicture {
  readonly providers: readonly ProviderAudits[];
  readonly last: readonly AuditRecord[];
}

/** Where something is published, who says it, and when, by its author's clock. Hashes and keys are text. */
export interface Published {
  readonly action: string;
  readonly author: string;
  readonly atMs: number;
}

/** What an audit has found. */
export interface ReportFound extends Published, AuditFacts, Audit {}

/** The evidence was enough for a jury. */
export interface AccusationFound extends Published {
  /** The reports that it rests on. */
  readonly reports: readonly string[];
}

/** A jury has confirmed an accusation. */
export interface ConvictionFound extends Published {
  readonly accusation: string;
  /** The failing reports of its jurors. */
  readonly confirmations: readonly string[];
  /** What a second jury has said; null if the convicted has not asked for one. */
  readonly appeal: AppealFound | null;
  /** Whether the own node trusts enough of the jurors, and no second jury found otherwise; null where no node judges. */
  readonly isBelieved: boolean | null;
}

/** The convicted has asked for a second jury. */
export interface AppealFound extends Published {
  /** Reports of its jurors that found the promised model. */
  readonly passed: readonly string[];
  /** Those that found what the first jury found. */
  readonly failed: readonly string[];
  /** Whether enough jurors that the own node trusts have found otherwise than the first jury; null where no node judges. */
  readonly isOverturned: boolean | null;
}

/** What is published about a provider, the newest of each kind first. */
export interface Findings {
  readonly reports: readonly ReportFound[];
  readonly accusations: readonly AccusationFound[];
  readonly convictions: readonly ConvictionFound[];
  /** Two receipts for one question. */
  readonly equivocations: readonly Published[];
  /** There are older ones. */
  readonly hasMore: boolean;
}

export interface NetworkPicture {
  /** Own agent key. */
  readonly self: string | null;
  /** Identity of the network. */
  readonly network: string | null;
  readonly peers: readonly Peer[];
  /** Peers that are online, whether they serve or not; null if unknown. */
  readonly online: number | null;
  /** Seconds since the DHT was read. */
  readonly readAgoS: number | null;
  /** Null where nobody audits. */
  readonly audits: AuditPicture | null;
}

export interface ChatBackend {
  readonly kind: "conductor" | "sidecar";
  /** Whether questions can go so that nobody sees who asks. */
  readonly canHide: boolean;
  /** Whether several can be asked at once, and compared. */
  readonly canCompare: boolean;
  readonly state: BackendState;
  /** Called at once and at each change, until the returned function is called. */
  subscribe(listener: (state: BackendState) => void): () => void;
  /** Whoever will see the question is named before it is sent, or what stands in its way. Null if the model is gone. */
  outlook(model: Model, wish: Wish): Outlook | null;
  ask(options: AskOptions): AsyncIterable<AnswerEvent>;
  /** The file behind `file` of a receipt, as it is; throws if it cannot be had. */
  receiptFile(path: string): Promise<string>;
  /** Has the answer behind `verify` of a receipt replayed, or says why that cannot be done. */
  verify(path: string): Promise<Audit | Failure>;
  /** Who is there. */
  network(): Promise<NetworkPicture>;
  /** What is published about whoever has this key; throws if it cannot be read. */
  findings(key: string): Promise<Findings>;
  /** Tries to connect at once instead of waiting. */
  reconnect(): void;
  /** The machine may have slept: finds out at once whether the connection still stands. */
  wake(): void;
  /** Ends everything, telling providers to stop. */
  close(): void;
}
