// Every text of the page in English, in one place: what happened, and what the reader can do. The shape of every other
// catalogue. Must not decide when it is shown.
import type { Answer } from "../chat/answer";
import type { Agreement, AppealFound, AuditFacts, AuditReason, AuditState, BackendState, Blocked, FailureCode, Findings, Hurdle, Kinship, Model, Only, Outlook, Peer, Provider, ProviderAudits, Readers, Reason, ReceiptState, Route, ShownAuditors, Stage, Statement, Voice } from "../chat/backend";
import type { Unfit } from "../chat/files";
import type { FinishReason } from "../generated/types";
import type { IssuedInvite, Standing } from "../network/members";
import type { LocalModel, ModelEntry, NetworkEntry, Offer, Pull, Revoked, Status } from "../sidecar/types";
import { figures, shortKey } from "./figures";
import { reasonsEn } from "./reasons.en";
import type { ReasonCode } from "./reasons.en";

const { number, fine, bytes, credits, duration, counted } = figures("en");

/** Two significant digits are enough to compare speeds. */
function speed(tokensPerS: number): string {
  return `${tokensPerS < 10 ? tokensPerS.toFixed(1) : number(tokensPerS)} tok/s`;
}

function who({ key, kinship }: Pick<Provider, "key" | "kinship">): string {
  if (kinship === "self") return "your own node";
  if (kinship === "own") return `your node ${shortKey(key)}`;
  if (kinship === "friend") return `friend ${shortKey(key)}`;
  return shortKey(key);
}

const others = (count: number) => (count > 0 ? ` If it does not answer, ${counted(count, "other", "others")} may be asked.` : "");

/** What somebody wants for an answer. */
function price([least, most]: readonly [number, number]): string {
  if (most === 0) return "free";
  const unit = "credits per million parameter-tokens";
  return least === most ? `${credits(most)} ${unit}` : `${least === 0 ? "free" : credits(least)} to ${credits(most)} ${unit}`;
}

export interface Said {
  readonly what: string;
  readonly remedy: string;
}

export interface Told {
  readonly short: string;
  /** What is going on and what to do; empty when there is nothing to do. */
  readonly long: string;
}

/** One thing that was looked at about a receipt. */
export interface Check {
  readonly state: "passed" | "failed" | "open";
  readonly text: string;
}

const blocked: Record<Blocked, string> = {
  no_environment: "This page was opened outside of a Holochain runtime. Run “ainonymous up” and open the address that it prints.",
  token_refused: "The conductor no longer accepts this page, for example because it was restarted. Reload the page.",
  app_missing: "The AInonymous app is not installed or not enabled in this conductor.",
  not_authorised: "The conductor does not let this page call the app. Reload the page to get new permission.",
  key_needed: "The node asks for its key. Open the address that “ainonymous up” printed when it last started.",
};

export const en = {
  number,
  speed,
  who,

  // The frame
  newConversation: "New chat",
  conversations: "Conversations",
  views: "Views",
  menu: "Menu",
  openMenu: "Open the menu",
  closeMenu: "Close the menu",
  skip: "Skip to the conversation",
  untitled: "Untitled",
  network: "Network",
  node: "My node",
  settings: "Settings",
  close: "Close",
  cancel: "Cancel",
  keep: "Keep it",
  remove: "Delete",
  removeNamed: (name: string) => `Delete ${name}`,
  copied: "Copied",
  copyCommand: "Copy the command",
  working: "One moment…",
  exactly: "Word for word",
  /** What a code of the node means; null if it has no words here. */
  reason(code: string): Said | null {
    const said = code in reasonsEn ? reasonsEn[code as ReasonCode] : null;
    return said === null ? null : { what: said[0], remedy: said[1] };
  },
  reconnect: "Try now",
  reload: "Reload the page",

  // Where the connection stands
  state(state: BackendState): Told {
    switch (state.at) {
      case "connecting":
        return { short: "Connecting…", long: "" };
      case "offline":
        return {
          short: "Offline",
          long: `Your node does not answer; trying again in ${counted(Math.max(1, Math.round(state.retryInMs / 1_000)), "second", "seconds")}. Check that it runs: “ainonymous status”.`,
        };
      case "joining":
        return { short: "Joining…", long: "Nobody who serves a model is in sight yet. A new node needs up to a minute to hear of others." };
      case "ready":
        return { short: `Ready · ${counted(state.models.length, "model", "models")}`, long: "" };
      case "blocked":
        return { short: "Not connected", long: blocked[state.why] };
    }
  },
  stages: "How far it is",
  stage: {
    starting: "Conductor",
    relay: "Relay",
    bootstrap: "Announced",
    peers: "Peers",
    providers: "Models",
  } satisfies Record<Stage, string> as Record<Stage, string>,
  stageRemedy: {
    starting: "The conductor takes long. “ainonymous doctor” says what is wrong with this machine.",
    relay: "The relay gives no address. Check the network connection, and the address after “--bootstrap”.",
    bootstrap: "The bootstrap server does not know this node yet. Check the address after “--bootstrap”.",
    peers: "Nobody else is online in this network. Start a second node, or ask whoever invited you.",
    providers: "Peers are there, but none serves a model. Share one yourself: “ainonymous serve gemma-4-e4b”.",
  } satisfies Record<Stage, string> as Record<Stage, string>,

  // Before the first question
  welcome: "Ask a model that somebody shares.",
  welcomeDetail:
    "Your question goes from your own node to a node that runs the model, and the answer comes back as it is written. There is no server in between, no account and no coin. Below each answer stands who wrote it and what its receipt is worth.",
  examples: "Examples",
  exampleQuestions: ["What is the capital of France?", "Explain public keys to a ten-year-old.", "Write a haiku about the sea."],

  // A conversation
  transcript: "Conversation",
  you: "You",
  answer: "Answer",
  model: "Model",
  models: "Models",
  noModel: "No model yet",
  chooseModel: "Choose a model",
  modelFacts({ providers, contextTokens, takesImages, rests }: Model): string {
    const fastest = Math.max(0, ...providers.map(({ tokensPerS }) => tokensPerS));
    const waits = providers.flatMap(({ waiting }) => (waiting === null ? [] : [waiting]));
    const own = providers.some(({ isOwn }) => isOwn);
    const peers = providers.filter(({ isOwn }) => !isOwn).length;
    const parts = [own ? (peers > 0 ? `here and ${counted(peers, "peer", "peers")}` : "here") : counted(peers, "peer", "peers")];
    if (fastest > 0) parts.push(`up to ${speed(fastest)}`);
    if (waits.length > 0) parts.push(Math.min(...waits) === 0 ? "no wait" : `${counted(Math.min(...waits), "question waits", "questions wait")}`);
    parts.push(`${number(contextTokens)} tokens of context`);
    const prices = providers.flatMap(({ milliPrice }) => (milliPrice === null ? [] : [milliPrice]));
    if (prices.length > 0) parts.push(price([Math.min(...prices), Math.max(...prices)]));
    if (takesImages) parts.push("sees images");
    if (rests) parts.push("is loaded when asked");
    return parts.join(" · ");
  },
  question: "Your question",
  placeholder: "Ask something",
  send: "Send",
  stop: "Stop",
  retry: "Ask again",
  retryElsewhere: "Ask another provider",
  regenerate: "Answer again",
  edit: "Edit and ask again",
  editing: "You are editing an earlier question; the old answer stays in its branch.",
  branch: (at: number, count: number) => `${at} / ${count}`,
  branchBefore: "Earlier branch",
  branchAfter: "Later branch",
  copyQuestion: "Copy the question",
  copyAnswer: "Copy the answer",
  copyCode: "Copy the code",
  code: "Code",
  table: "Table",
  thoughts: "Thoughts",
  toEnd: "To the end",
  attach: "Add files",
  attachments: "Files",
  unfit(name: string, why: Unfit): string {
    const because: Record<Unfit, string> = {
      too_large: "is too large.",
      not_text: "is neither text nor an image.",
      no_image_here: "is an image, and this model is not asked about images from here.",
      image_unreadable: "cannot be read.",
    };
    return `${name} ${because[why]}`;
  },
  leftOut: (count: number) => `The first ${counted(count, "exchange was", "exchanges were")} not sent along: no question may be longer.`,
  keys: "Enter sends · Shift+Enter starts a new line · Esc stops · ↑ edits the last question",
  readers(readers: Readers): string {
    switch (readers.by) {
      case "self":
        return "Only your own node reads this.";
      case "one":
        return `One ${readers.provider.kinship === "own" ? "node of yours" : readers.provider.kinship === "friend" ? "friend" : "stranger"} reads this: ${shortKey(readers.provider.key)}.${others(readers.others)}`;
      case "one_of":
        return readers.strangers === readers.count
          ? `One stranger of ${number(readers.count)} reads this, chosen when you send.`
          : `One of ${number(readers.count)} nodes reads this, ${counted(readers.strangers, "stranger", "strangers")} among them.`;
      case "several":
        return `Read at once by ${number(readers.count)} of ${counted(readers.among, "node", "nodes")}, whose answers are compared.`;
    }
  },

  auditorsRead: {
    friends: "Auditors of friends may read it afterwards.",
    all: "Auditors whom dice draw may read it afterwards.",
  } satisfies Record<Exclude<ShownAuditors, "none">, string> as Record<Exclude<ShownAuditors, "none">, string>,

  /** How long it waits and what it costs, after who reads it. */
  terms({ waiting, milliPrice }: Outlook): string {
    const wait = waiting === null ? [] : [waiting === 0 ? "No wait" : `${counted(waiting, "question waits", "questions wait")} there`];
    const terms = [...wait, milliPrice === null ? "price not told" : price(milliPrice)].join(" · ");
    return `${terms.slice(0, 1).toUpperCase()}${terms.slice(1)}.`;
  },
  hurdle: {
    nobody_allowed: "Nobody whom you allow to answer serves this model. Allow more, or choose another model.",
    too_few: "Fewer may answer this model here than were to be compared. Compare fewer, or allow more.",
    cannot_hide: "From here questions go by signals, which show your agent: you cannot hide. Ask openly, or through a node of your own.",
  } satisfies Record<Hurdle, string> as Record<Hurdle, string>,
  allowAnybody: "Allow anybody",

  // Options
  only: "Who may answer",
  onlyOf: {
    anybody: "Anybody",
    lan: "Own nodes, friends and the local network",
    friends: "Own nodes and friends",
    own: "Own nodes",
    here: "This node alone",
  } satisfies Record<Only | "anybody", string> as Record<Only | "anybody", string>,
  hides: "Hide who asks",
  hidesDetail: "Through a router: whoever answers learns neither this machine’s address nor its agent. Slower, and not possible in networks by invitation.",
  answers: "Ask several and compare",
  answersOf: (count: number) => (count === 1 ? "No, one is enough" : `${number(count)} of them`),
  answersDetail: "All of them read the question and answer with the same dice. What most say is shown, when all are done.",
  options: "System prompt and parameters",
  systemPrompt: "System prompt",
  systemPlaceholder: "What the model shall keep in mind in this conversation",
  option: { temperature: "Temperature", topP: "Top p", topK: "Top k", maxTokens: "Longest answer, in tokens", seed: "Seed" },
  usual: "as it comes",
  optionsDetail: "Empty fields mean the usual. All of this holds for this conversation.",
  reset: "Back to the usual",

  // An answer on its way
  phase: { asking: "Finding a peer…", reading: "The model reads…", writing: "Writing…" },
  queued: (before: number) => `Queued: ${counted(before, "question is", "questions are")} before yours.`,
  passedOn: (count: number) => `${counted(count, "provider", "providers")} did not answer; asking another.`,
  soFar: (tokens: number, perS: number) => (perS > 0 ? `${counted(tokens, "token", "tokens")} · ${speed(perS)}` : counted(tokens, "token", "tokens")),
  stopped: "Stopped.",
  finish: {
    stop: "",
    length: "The answer reached the longest length that fits.",
    cancelled: "The provider ended the answer early.",
  } satisfies Record<FinishReason, string> as Record<FinishReason, string>,
  spoken({ phase, text }: Answer): string {
    if (phase === "done") return `Answer complete. ${text.slice(0, 600)}`;
    return phase === "writing" ? "The answer is being written." : phase === "stopped" ? "Stopped." : "";
  },

  // Below an answer
  provider: "Provider",
  ownNode: "your own node",
  why: "Why this node",
  whyUnsaid: (isOwn: boolean): string => (isOwn ? "It has the model, so nobody else is told." : "Of those that serve the model, faster ones are asked more often; a conversation stays where it began."),
  chosen({ kinship, firstTokenMs, waitMs, basis, prefixTokens, milliPrice, candidates, probed, nearEquals, lastResort, hedged }: Reason): string {
    const whose = { own: "A node of yours", friend: "A friend", lan: "Nearby", public: "A stranger" }[kinship];
    const how = { measured: "by experience", claimed: "by its own word", assumed: "by guess" }[basis];
    const parts = [`${whose}, first word expected after ${number(firstTokenMs)} ms (${how})`];
    if (waitMs > 0) parts.push(`${number(waitMs)} ms of it in the queue`);
    if (prefixTokens > 0) parts.push(`it still has ${counted(prefixTokens, "token", "tokens")} of this conversation`);
    if (milliPrice !== null) parts.push(price([milliPrice, milliPrice]));
    parts.push(candidates === 1 ? "the only one" : nearEquals > 1 ? `drawn from ${number(nearEquals)} about equal ones of ${number(candidates)}, ${number(probed)} of them asked how busy they are` : `best of ${number(candidates)}, ${number(probed)} of them asked how busy they are`);
    if (lastResort) parts.push("it failed lately, and nobody else is there");
    if (hedged) parts.push("quicker to its first word than one that was asked before");
    return `${parts.join("; ")}.`;
  },
  route: "Route",
  routes: {
    local: "On this machine.",
    direct: "Directly, over an encrypted connection between the two nodes.",
    routed: "Through a router, which sees that you talk, and not what.",
    signals: "By signals, encrypted between the two conductors.",
    posted: "By a sealed entry in the shared data.",
  } satisfies Record<Route, string> as Record<Route, string>,
  figures: "Figures",
  statement({ promptTokens, completionTokens, tokensPerS }: Statement, firstTokenMs: number | null): string {
    const parts = [`${number(promptTokens)} tokens read`, `${counted(completionTokens, "token", "tokens")} written`];
    if (firstTokenMs !== null) parts.push(`first after ${number(firstTokenMs)} ms`);
    if (tokensPerS > 0) parts.push(speed(tokensPerS));
    return parts.join(" · ");
  },
  receiptName: "Receipt",
  receipt(receipt: ReceiptState): Told {
    switch (receipt.at) {
      case "none":
        return { short: "", long: "There is no receipt: your own node answered, and it need not prove anything to itself." };
      case "signed":
        return { short: "Receipt signed", long: "The provider signed for exactly this question and answer. Waiting for it to publish the receipt." };
      case "checked":
        return {
          short: "Receipt checked ✓",
          long: `The receipt is signed by the provider, covers exactly this question and answer, and stands in the published batch ${receipt.action}.`,
        };
      case "unpublished":
        return { short: "Receipt not published", long: "The provider signed a receipt but did not publish it in time." };
      case "unreachable":
        return { short: "Receipt not found", long: `The provider says that the receipt stands in batch ${receipt.action}, which could not be fetched.` };
      case "false":
        return { short: "Receipt false ✗", long: `The published batch ${receipt.action} does not contain the receipt that the provider signed. Do not build on this answer.` };
    }
  },
  checks(receipt: ReceiptState, audit: AuditState): Check[] {
    if (receipt.at === "none") return [];
    const published: Check = {
      signed: { state: "open", text: "not published yet" } as const,
      unpublished: { state: "failed", text: "was not published in time" } as const,
      unreachable: { state: "open", text: `said to stand in batch ${"action" in receipt ? receipt.action : ""}, which could not be fetched` } as const,
      checked: { state: "passed", text: `stands in the published batch ${"action" in receipt ? receipt.action : ""}` } as const,
      false: { state: "failed", text: `does not stand in the published batch ${"action" in receipt ? receipt.action : ""}` } as const,
    }[receipt.at];
    const replayed: Check = {
      unaudited: { state: "open", text: "nobody has replayed the answer" } as const,
      running: { state: "open", text: "the answer is being replayed" } as const,
      audited: { state: "passed", text: "the answer was replayed, and is what this model says" } as const,
      disputed: { state: "failed", text: "the answer was replayed, and is not what this model says" } as const,
      inconclusive: { state: "open", text: "the answer was replayed, and nothing follows" } as const,
    }[audit];
    return [{ state: "passed", text: "signed by the provider" }, { state: "passed", text: "covers exactly this question and this answer" }, published, replayed];
  },
  checkState: { passed: "Passed", failed: "Failed", open: "Open" } satisfies Record<Check["state"], string> as Record<Check["state"], string>,
  saveReceipt: "Receipt",
  receiptGone: "The node no longer has this receipt: it keeps the last few thousand until it stops.",
  receiptGoneHere: "This browser no longer has this receipt: it keeps those of the newest answers.",
  howToVerify: "How to verify",
  verifying: [
    "The provider signed one statement: which question (as a hash), which answer (as a hash), which model, how many tokens, when. Your node has compared it with what it sent and received, and found it in the batch that the provider published.",
    "So the provider cannot deny this answer, and cannot have given others another one under the same receipt. That the model is really the one that it names is not proved by a receipt: only replaying the answer shows that.",
  ] as readonly string[],
  verifyFile: "The file holds question, answer, receipt and the way to the batch. Whoever has it can check it without trusting this page, your node or the network:",
  verifyWithoutFile: "Your node does not hand out receipts as files. What it checked itself stands above.",
  auditName: "Audit",
  audit: { unaudited: "unaudited", running: "being replayed", audited: "audited", disputed: "disputed", inconclusive: "undecided" } satisfies Record<AuditState, string> as Record<AuditState, string>,
  auditLong: {
    unaudited: "Nobody has replayed this answer. The receipt binds the provider to its claim; that the claim is true was not checked.",
    running: "Your node computes this answer again with its own copy of the model.",
    audited: "Your node has computed this answer again with its own copy of the model, and found what the provider claims.",
    disputed: "Your node has computed this answer again with its own copy of the model, and found something else than the provider claims. Do not build on it.",
    inconclusive: "Your node has computed this answer again, and cannot tell whether the provider is honest.",
  } satisfies Record<AuditState, string> as Record<AuditState, string>,
  auditWhy: {
    not_opened: "The provider did not show what its receipt names; by its words alone nothing can be held against it.",
    other_tokens: "The provider did not show what its receipt names, and the model would have chosen otherwise where honest machines agree.",
    opened_otherwise: "What the provider showed is not what it signed.",
    not_replayed: "The answer could not be computed to its end.",
    cut_off: "It is said to have ended by itself, but what the model ends with is missing: it was cut off.",
    other_answer: "What the provider showed belongs to another answer.",
    as_honest: "It is as near as honest machines come to each other.",
    not_as_honest: "It is further away than honest machines come.",
    uncalibrated: "How far honest machines like these two differ with such an answer has not been measured, or it is too short to tell.",
    beyond_rounding: "How far honest machines like these two differ has not been measured, but it is further away than any rounding explains.",
  } satisfies Record<AuditReason, string> as Record<AuditReason, string>,
  audits: "Audits",
  auditsDetail: "Your node computes answers to your own questions again where it has the model that answered. Nobody else sees anything of it, unless it has the auditor’s role or lets auditors see answers.",
  auditsNone: "It has audited nobody yet.",
  auditsOf: ({ passed, failed, undecided, isConvicted, ratePercent }: ProviderAudits) => {
    const counts = `${number(passed)} passed · ${number(failed)} failed · ${number(undecided)} undecided`;
    return isConvicted ? `${counts} · convicted, not asked any more` : `${counts} · ${number(Math.max(1, Math.round(ratePercent)))} % of its answers are audited`;
  },
  auditEvidence: ({ tokens, distance, impossible, isCanary }: AuditFacts) =>
    [
      ...(tokens === null ? [] : [counted(tokens, "token", "tokens")]),
      ...(distance === null ? [] : [`${fine(distance)} nats a token apart`]),
      ...(impossible === null ? [] : [counted(impossible, "impossible token", "impossible tokens")]),
      ...(isCanary ? ["a question made up to audit"] : []),
    ].join(" · "),
  auditedBy: (name: string) => `found by the auditor ${name}`,
  lastAudits: "Last audits",
  findings: "What is published",
  findingsAbout: (name: string) => `What is published about ${name}`,
  findingsOwn: "What others found of this node",
  findingsOwnDetail: "Reports that auditors have published about this node’s answers. Whoever chooses a provider can read them.",
  findingsNone: "Nobody has published an audit of its answers.",
  findingsMore: "Older ones are not shown.",
  findingsFailing: "What is published could not be read from the network. It is tried again.",
  findingsSummary: ({ reports, convictions, hasMore }: Findings) => {
    const of = (audit: AuditState) => number(reports.filter((report) => report.audit === audit).length);
    const counts = `${of("audited")} passed · ${of("disputed")} failed · ${of("inconclusive")} undecided`;
    return `${hasMore ? "Of the newest: " : ""}${counts}${convictions.length === 0 ? "" : ` · ${counted(convictions.length, "conviction", "convictions")}`}`;
  },
  convicted: (ago: string, jurors: number) => `Convicted ${ago}: ${counted(jurors, "juror has", "jurors have")} confirmed the accusation.`,
  isBelieved: "Your node trusts enough of these jurors.",
  isNotBelieved: "Your node does not know enough of these jurors to believe it.",
  appealed: (ago: string, { passed, failed }: AppealFound) =>
    `The provider asked for a second jury ${ago}: ${passed.length === 0 && failed.length === 0 ? "nobody has spoken yet" : `${counted(passed.length, "juror finds", "jurors find")} the promised model, ${number(failed.length)} what the first jury found`}.`,
  isOverturned: "Your node trusts enough of these jurors to disbelieve the conviction.",
  secondJury: "Reports of the second jury",
  jurorsReports: "Reports of the jury",
  theAccusation: "The accusation",
  theConviction: (author: string) => `The conviction, published by ${author}`,
  equivocated: (ago: string) => `Signed two receipts for one question, shown ${ago}.`,
  equivocationDetail: "That is a proof by itself: nobody has to be believed.",
  theProof: (author: string) => `Both receipts, published by ${author}`,
  accused: (ago: string, author: string) => `Accused ${ago} by ${author}.`,
  restsOn: (reports: number) => `Rests on ${counted(reports, "report", "reports")}`,
  reports: "Reports",
  reportedBy: (ago: string, author: string) => `${ago}, by ${author}`,
  evidence: "Evidence",
  report: "Report",
  verdict: "Verdict",
  verify: "Check this answer",
  isVerifying: "Your node computes it again…",
  notVerified: { what: "The check was not done.", remedy: "Try again, or save the receipt and check it elsewhere." },
  agreementName: "Compared",
  agreement({ hasMajority, agreedTokens, voices }: Agreement): string {
    const answered = voices.filter(({ failed }) => failed === null);
    const agree = answered.filter(({ dissentsFrom }) => dissentsFrom === null).length;
    return hasMajority
      ? `${number(agree)} of ${number(answered.length)} say exactly this.`
      : `No agreement: more than half have only the first ${counted(agreedTokens, "token", "tokens")} in common. This is one of ${counted(answered.length, "answer", "answers")}.`;
  },
  voice: ({ isChosen, tokens, dissentsFrom, failed }: Voice) => {
    if (failed !== null) return "did not answer";
    const said = dissentsFrom === null ? "agrees" : `differs from about token ${number(dissentsFrom)} on`;
    return `${said}, ${counted(tokens, "token", "tokens")}${isChosen ? ", shown here" : ""}`;
  },

  failure: {
    answer_broke: { what: "The answer broke off.", remedy: "Ask again." },
    demands_unmet: { what: "Nobody who may answer meets what you demand.", remedy: "Allow more nodes in the options of this chat." },
    image_unfit: { what: "An image cannot be used.", remedy: "Send another one, or a smaller one." },
    model_loading: { what: "The model is still being loaded.", remedy: "Ask again in a moment." },
    model_unusable: { what: "The model does not fit into memory.", remedy: "Unload another one, or choose a smaller model." },
    no_way: { what: "No way leads to a provider that can carry this question.", remedy: "Ask again in a moment, or without images and options." },
    not_ready: { what: "Your node has not joined the network yet.", remedy: "Wait until it is ready, then ask again." },
    routers_unmet: { what: "No router is known through which the question could hide.", remedy: "Ask openly, or again in a while." },
    empty: { what: "There is no question.", remedy: "Write something first." },
    too_long: { what: "The question is longer than may be sent.", remedy: "Shorten it." },
    no_provider: { what: "No provider serves this model now.", remedy: "Choose another model or ask again later." },
    not_sent: { what: "The question could not be sent.", remedy: "Ask again." },
    disconnected: { what: "The connection to your node broke.", remedy: "It is being restored; ask again when it is." },
    silent: { what: "The provider does not answer.", remedy: "Ask another provider." },
    gone: { what: "The provider fell silent in the middle of the answer.", remedy: "Ask another provider." },
    broken: { what: "The provider broke the protocol, so its answer is not trusted.", remedy: "Ask another provider." },
    unknown_model: { what: "The provider no longer serves this model.", remedy: "Ask another provider." },
    busy: { what: "The provider’s queue is full.", remedy: "Ask another provider, or again in a while." },
    prompt_too_long: { what: "The conversation no longer fits into the model’s context.", remedy: "Start a new chat or choose a model with more context." },
    malformed: { what: "The provider could not read the question.", remedy: "Reload the page; your node may be older." },
    draining: { what: "The provider is shutting down.", remedy: "Ask another provider." },
    engine_failed: { what: "The provider’s engine failed.", remedy: "Ask another provider." },
    unknown_request: { what: "The provider has lost the question.", remedy: "Ask again." },
    not_admitted: { what: "The provider does not hold you for a member of this network.", remedy: "Ask again in a moment, or ask a founder whether you were revoked." },
    cannot_see: { what: "The provider’s model sees no images.", remedy: "Ask another provider." },
    must_be_known: { what: "The provider answers only agents that it knows.", remedy: "Ask another provider." },
    refused: { what: "Your node refused.", remedy: "It says why below." },
    interrupted: { what: "This answer was interrupted.", remedy: "Its tab was closed or the machine stopped; ask again." },
  } satisfies Record<FailureCode, Said> as Record<FailureCode, Said>,

  // Network
  looking: "Looking…",
  networkSummary: (peers: number, models: number, online: number | null) =>
    `${counted(peers, "node serves", "nodes serve")} ${counted(models, "model", "models")}${online === null ? "" : ` · ${counted(online, "peer", "peers")} online`}`,
  networkFailing: "Your node does not answer; what is shown may be old.",
  networkEmpty: "Nobody serves a model in this network yet. “ainonymous serve gemma-4-e4b” shares one from a machine with a good processor.",
  graph: (peers: number, models: number) => `Picture of ${counted(peers, "node", "nodes")} and ${counted(models, "model", "models")}; the table below says the same.`,
  graphLegend: "Further right is further away, by round trip; a line leads to each model that a node serves, thicker where it is faster.",
  graphLeft: (count: number) => `${counted(count, "more distant node is", "more distant nodes are")} only in the table.`,
  peers: "Nodes",
  peer: "Node",
  nameOf: ({ key, kinship }: Pick<Peer, "key" | "kinship">) => (kinship === "self" ? "You" : shortKey(key)),
  kinship: { self: "this node", own: "yours", friend: "friend", lan: "nearby", public: "stranger" } satisfies Record<Kinship, string> as Record<Kinship, string>,
  speedName: "Speed",
  claimedSpeed: (tokensPerS: number, isMeasured: boolean) => (tokensPerS === 0 ? "–" : isMeasured ? speed(tokensPerS) : `${speed(tokensPerS)} claimed`),
  roundTrip: "Round trip",
  capacity: "Capacity",
  capacityOf: ({ waiting, freeSlots, slots }: Peer) => {
    if (freeSlots !== null && slots !== null) return waiting ? `${counted(waiting, "waits", "wait")}` : `${number(freeSlots)} of ${number(slots)} free`;
    return waiting === null ? "unknown" : waiting === 0 ? "nobody waits" : counted(waiting, "waits", "wait");
  },
  notAnswering: "did not answer lately",
  routeTo: { self: "this machine", direct: "direct", routed: "through a router", signals: "by signals" } satisfies Record<Peer["route"], string> as Record<Peer["route"], string>,
  heardAgo: (ago: string) => `heard ${ago}`,
  here: "here",
  none: "none",
  unknown: "unknown",
  notAsked: "not asked yet",
  notYet: "not yet",
  notJoined: "not joined yet",
  networkId: "Network",
  readAgo: "Read",
  // Networks of one's own
  ownNetworks: "Networks of your own",
  ownNetworksDetail: "For friends, a house, a company: only those whom a founder invited ask and answer there. A node is in one network at a time.",
  ownNetworksElsewhere: [
    "This page runs in a program that brought its own Holochain. It asks in the network that this program was built for; who is in it stands above.",
    "A network by invitation needs a node of your own, because joining one needs a proof that only “ainonymous” can show. Run “ainonymous network create NAME” to make one or “ainonymous network join” to take up an invite, then “ainonymous up --network NAME”, and open the address that it prints.",
  ] as readonly string[],
  noOwnNetworks: "This node is in no network of its own yet. Make one and invite others, or join with the invite that somebody sent you.",
  cannotChangeNetworks: "This node uses the conductor of another program, so it has no keys for networks of its own. Start it without “--conductor”.",
  makeNetwork: "New network",
  join: "Join with an invite",
  joinNow: "Join",
  joined: (name: string) => `This node can now join “${name}”. Nothing was published yet.`,
  madeNetwork: (name: string) => `“${name}” was made, and you are its founder. Nothing was published yet.`,
  startIt: "A node runs one network at a time. Stop this one and start it with:",
  makeNow: "Make it",
  networkName: "Name, as every member sees it",
  networkNameExample: "Reading circle",
  networkKind: "Who joins, and where they meet",
  kinds: { public: "Public", private: "By invitation", lan: "By invitation, local network" } satisfies Record<NetworkEntry["kind"], string> as Record<NetworkEntry["kind"], string>,
  asksForWork: (bits: number) => `Whoever is new computes once, for ${bits} bits: the first start takes longer.`,
  kindDetail: { private: "Nodes meet at the server that this node uses.", lan: "Nodes find each other on the local network; no Internet is needed." } as { readonly private: string; readonly lan: string },
  isFounder: "you are its founder",
  isMember: "you are a member",
  runsHere: "runs here",
  invite: "Invite",
  inviteTo: (name: string) => `Invite to ${name}`,
  inviteEnds: "It can be taken up for",
  after: (seconds: number) => duration(seconds),
  inviteFor: "Only for this agent (may stay empty)",
  inviteForDetail: "Whoever joins gets the key by",
  makeInvite: "Make the invite",
  inviteText: "The invite that you were sent",
  inviteQr: "The invite as a QR code",
  copyInvite: "Copy the invite",
  inviteSecret: (expiresAtUs: number) =>
    `Whoever has this text or code can join until ${new Date(expiresAtUs / 1_000).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })}. Send it on a way that only its receiver reads; it is not shown again.`,
  invitePublic: "The network is public: this says where it is, and is no secret.",
  membersOf: (name: string) => `Members of ${name}`,
  standingName: "Standing",
  standing: { founder: "founder", member: "member", unknown: "not known yet", revoked: "shut out" } satisfies Record<Standing, string> as Record<Standing, string>,
  cameWith: "Came with",
  withoutInvite: "no invite needed",
  online: "online",
  notOnline: "not online",
  invites: "Invites",
  inviteFacts({ leftS, agent, used, state }: IssuedInvite): string {
    const end = state === "open" ? `ends in ${duration(leftS)}` : state === "ended" ? "has ended" : "admits nobody any more";
    return [end, `${counted(used, "member", "members")} came with it`, ...(agent === null ? [] : [`for ${shortKey(agent)} alone`])].join(" · ");
  },
  revoke: "Shut out",
  revokeNamed: (name: string) => `Shut out ${name}`,
  revokeAgentDetail: "Nobody serves or asks this agent any more as soon as the others hear of it, and answers under way are stopped. It is for ever: who shall come back joins as a new agent.",
  revokeInviteDetail: "Everybody who came with this invite is shut out, and nobody can take it up any more. It is for ever: who shall come back needs a new invite and joins as a new agent.",
  revocation: { waiting: "being published", revoked: "shut out", refused: "refused" } satisfies Record<Revoked["state"], string> as Record<Revoked["state"], string>,

  ms: (ms: number) => `${ms < 10 && !Number.isInteger(ms) ? ms.toFixed(1) : number(ms)} ms`,
  ago: (seconds: number) => (seconds < 2 ? "just now" : `${duration(seconds)} ago`),

  // My node
  nodeSummary: (status: Status) => {
    const phase = { starting: "starting", running: "running", degraded: "running, with a problem", draining: "stopping" }[status.phase.phase];
    return `${phase} for ${duration(status.uptime_s)}`;
  },
  nodeFailing: "The node does not answer. Check that it runs: “ainonymous status”.",
  nodeStopped: "The node was stopped. “ainonymous up” starts it again; open the address that it prints.",
  runningNow: "answers in the making",
  queuedNow: "questions wait",
  answeredForPeers: "answered for others",
  askedHere: "asked from here",
  servedOverTime: "Answered for others",
  askedOverTime: "Asked from here",
  plotTotal: (total: number, spanS: number) => (spanS === 0 ? "nothing yet" : `${number(total)} in ${duration(spanS)}`),
  plotBar: (count: number, atS: number) => `${number(count)} until ${new Date(atS * 1_000).toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit" })}`,
  modelsHere: "Models on this machine",
  noModelsHere: "No model is on this machine. Pull one below, or “ainonymous pull gemma-4-e4b”.",
  modelHere(model: ModelEntry, local: LocalModel | undefined): string {
    const parts = [bytes(model.file_bytes), `${number(model.context_tokens)} tokens of context`];
    if (local?.info !== undefined) {
      const { backend, backend_detail, gpu_layers, threads } = local.info;
      parts.push(backend_detail || backend);
      parts.push(gpu_layers > 0 ? `${counted(gpu_layers, "layer", "layers")} on the GPU` : counted(threads, "thread", "threads"));
    }
    if (local?.engine !== undefined) parts.push(`${number(local.engine.running)} running, ${number(local.engine.queued)} waiting`);
    if (model.unloads_in_s !== null) parts.push(`leaves memory in ${duration(model.unloads_in_s)}`);
    return parts.join(" · ");
  },
  modelFailed: { what: "The model could not be loaded.", remedy: "Try again, or choose another one." } as Said,
  pullFailed: { what: "The model could not be pulled.", remedy: "Pull it again; what came is kept." } as Said,
  degraded: { what: "The node runs with a problem.", remedy: "“ainonymous doctor” says more." } as Said,
  modelState: { loaded: "loaded", loading: "loading", unloaded: "on disk", failed: "failed" } satisfies Record<ModelEntry["state"], string> as Record<ModelEntry["state"], string>,
  load: "Load",
  loading: "Loading…",
  unload: "Unload",
  pullTitle: "Get a model",
  pull: "Pull",
  pullName: "Name",
  pullHint: "A name of the catalogue, “hf:owner/repository”, or an address. It is checked by its digest, and resumes where it stopped.",
  pulls: "Models that come",
  offer: ({ about_bytes, memory_bytes, licence }: Offer) => `${bytes(about_bytes)}, wants ${bytes(memory_bytes)} of memory, ${licence}`,
  pullState({ state, phase, bytes_done, bytes_total }: Pull): string {
    if (state === "done") return "Pulled and checked.";
    if (state === "failed") return "Failed; what came is kept.";
    if (state === "cancelled") return "Cancelled; what came is kept.";
    const part = bytes_total > 0 ? `${bytes(bytes_done)} of ${bytes(bytes_total)}` : bytes(bytes_done);
    return `${phase === "checking" ? "Checking" : "Coming"}: ${part}`;
  },
  limits: "What it gives and takes",
  sharing: "Sharing",
  shares: "Peers may use the models here.",
  sharesNot: "Nobody but you uses the models here.",
  sharesPaused: "Paused: questions of peers are refused.",
  refusedName: "Refused",
  receiptsName: "Receipts",
  receiptsCounted: (published: number, checked: number) => `${number(published)} published, ${number(checked)} of others checked`,
  memory: "Memory",
  memoryOf({ rss_bytes, models }: Status): string {
    const workers = models.reduce((sum, { engine }) => sum + (engine?.worker_rss_bytes ?? 0), 0);
    return `${rss_bytes === null ? "unknown" : bytes(rss_bytes)} for the node, ${bytes(workers)} for the models`;
  },
  version: "Version",
  pause: "Pause sharing",
  resume: "Share again",
  pauseDetail: "While sharing is paused, answers in the making are finished and new questions of peers are refused. You can go on asking.",
  stopNode: "Stop the node",
  stopDetail: (running: number) =>
    `New questions are refused, ${running === 0 ? "nothing is in the making" : `${counted(running, "answer", "answers")} in the making get a few seconds`}, receipts are published, then the program ends. This page stops working.`,

  // Settings
  language: "Language",
  look: "Look",
  looks: { system: "As the system", light: "Light", dark: "Dark" },
  keptDetail: "They are kept in this browser on this machine, and nowhere else. Whoever can use this browser profile can read them. What a provider has read is not undone by deleting.",
  notKept: "This browser keeps nothing: conversations are gone when the page closes.",
  export: "Export as JSON",
  import: "Import",
  removeAll: "Delete all conversations",
  removeAllDetail: (count: number) => `${counted(count, "conversation is", "conversations are")} deleted from this browser for good.`,
  removedAll: "All conversations were deleted.",
  exported: (count: number) => `${counted(count, "conversation was", "conversations were")} exported.`,
  imported: (count: number) => `${counted(count, "conversation was", "conversations were")} imported.`,
  importRefused: "This file holds no conversations of this page.",
  privacy: "Who reads along",
  privacyDetail: "The node that answers reads your question and its answer. Both are encrypted on the way and never stand in the shared data in the clear. Before you send, a line names who will read it.",
  waySidecar: "This page asks through the node that served it: directly where it can, and your own node first if it has the model.",
  wayConductor: "This page asks through the conductor of its runtime: by signals, which show your agent key to the provider.",
  keyboard: "Keyboard",
  shortcuts: [
    ["Enter", "sends the question"],
    ["Shift+Enter", "starts a new line"],
    ["Esc", "stops the answer, or ends editing"],
    ["↑", "edits the last question, while the field is empty"],
    ["/", "leads to the field"],
    ["Ctrl+Shift+O", "starts a new chat"],
  ] as readonly (readonly [string, string])[],
};

export type Catalogue = typeof en;
