// Generated from zomes/types by `cargo xtask gen`. Do not edit.
// Byte strings and Holochain hashes are `Uint8Array`; integers are `number`, exact up to 2^53 - 1.

export const ROLE_NAME = "inference";
export const COORDINATOR_ZOME = "inference";
export const INTEGRITY_ZOME = "inference_integrity";
export const APP_ID = "ainonymous";

/** Every bound on what a peer or a user can send, with its unit in its name. */
export const limits = {
  MODEL_NAME_BYTES_MAX: 96,
  QUANTIZATION_BYTES_MAX: 16,
  ARCHITECTURE_BYTES_MAX: 32,
  MODEL_FILE_BYTES_MAX: 17592186044416,
  CONTEXT_TOKENS_MAX: 16777216,
  CAPABILITY_MODELS_MAX: 16,
  CAPABILITY_ROLES_MAX: 3,
  CAPABILITY_ADDRESSES_MAX: 8,
  ADDRESS_BYTES_MAX: 128,
  ROUTER_ADDRESSES_MAX: 8,
  REGION_BYTES_MAX: 16,
  BACKEND_DETAIL_BYTES_MAX: 64,
  TOKENS_PER_S_MAX: 10000000,
  CHAT_MESSAGES_MAX: 2048,
  PROMPT_BYTES_MAX: 1048576,
  STOP_STRINGS_MAX: 16,
  STOP_BYTES_MAX: 256,
  ANSWER_TOKENS_MAX: 1048576,
  ANSWER_BYTES_MAX: 4194304,
  TEMPERATURE_MILLI_MAX: 5000,
  SEED_MAX: 9007199254740991,
  TOP_K_MAX: 1048576,
  TOOLS_MAX: 128,
  TOOL_NAME_BYTES_MAX: 64,
  TOOL_CALLS_MAX: 128,
  TOOLS_BYTES_MAX: 262144,
  CONSTRAINT_BYTES_MAX: 262144,
  PENALTY_MILLI_MAX: 10000,
  LOGIT_BIASES_MAX: 1024,
  LOGIT_BIAS_MILLI_MAX: 100000,
  TOP_LOGPROBS_MAX: 20,
  TOKEN_TEXT_BYTES_MAX: 256,
  IMAGES_MAX: 16,
  IMAGE_BYTES_MAX: 8388608,
  SENT_IMAGES_BYTES_MAX: 8388608,
  BEGUN_TOKENS_MAX: 131072,
  QUESTION_BYTES_MAX: 10747904,
  SEALED_REQUEST_BYTES_MAX: 1114112,
  SEALED_ANSWER_BYTES_MAX: 3500000,
  SEALED_BYTES_MIN: 40,
  REQUEST_TTL_US_MAX: 604800000000,
  BATCH_RECEIPTS_MAX: 4096,
  MERKLE_PATH_MAX: 12,
  SIGNAL_BYTES_MAX: 1179648,
  CHUNK_TEXT_BYTES_MAX: 65536,
  CHUNK_TOKENS_MAX: 4096,
  CHUNK_TOOL_CALLS_MAX: 256,
  CHUNK_LOGPROBS_MAX: 512,
  DETAIL_BYTES_MAX: 512,
  SIGNAL_RECIPIENTS_MAX: 16,
  ANSWER_CHUNKS_MAX: 1048577,
  DURATION_US_MAX: 2592000000000,
  TIMESTAMP_US_MAX: 9007199254740991,
  BUCKET_TAG_BYTES: 1,
  BUCKET_DEPTH_MAX: 24,
  BUCKET_LISTED_MAX: 512,
  BUCKET_MEMBERS_MAX: 128,
  LINK_RENEW_US: 86400000000,
  LINK_AGE_US_MAX: 216000000000,
  LINK_AHEAD_US_MAX: 3600000000,
  MODEL_SPECS_LISTED_MAX: 512,
  OPEN_REQUESTS_MAX: 64,
  NETWORK_NAME_BYTES_MAX: 48,
  NETWORK_SEED_BYTES_MAX: 64,
  FOUNDERS_MAX: 8,
  WORK_BITS_MAX: 40,
  JOININGS_FETCHED_MAX: 32,
  MEMBERSHIP_PROOF_BYTES_MAX: 1024,
  SERVER_URL_BYTES_MAX: 128,
  INVITE_TEXT_BYTES_MAX: 4096,
  FINGERPRINT_LIKELY_MAX: 8,
  FINGERPRINT_WINDOW_TOKENS: 32,
  FINGERPRINT_LEAF_BYTES_MAX: 1518,
  FINGERPRINT_SIXTEENTHS_MAX: 1023,
  AUDIT_WINDOW_US: 172800000000,
  EQUIVOCATION_APART_US_MAX: 600000000,
  DELTA_SIXTEENTHS_MAX: 32,
  MARGIN_1024THS_MAX: 512,
  EVIDENCE_TOKENS_MAX: 256,
  EVIDENCE_TEXT_BYTES_MAX: 16384,
  SHOWN_BYTES_MAX: 131072,
  SHOWN_TOKENS_MAX: 4096,
  SHOWN_AUDITORS_MAX: 2,
  PPM_MAX: 1000000,
  CLASS_BYTES_MAX: 48,
  CALIBRATION_ROWS_MAX: 6,
  CALIBRATION_BINS_MAX: 32,
  CALIBRATION_ANSWERS_MIN: 3000,
  CALIBRATION_ANSWERS_MAX: 1073741824,
  STANDING_SHARES_MAX: 32,
  ACCUSATION_REPORTS_MAX: 16,
  CONVICTION_REPORTS_MAX: 5,
  AUDITS_PAGE_MAX: 16,
  AGREEMENT_ANSWERS_MAX: 16,
} as const;

/** Who speaks in a message. */
export type ChatRole = "system" | "user" | "assistant" | "tool";

/** An image in a message. */
export type ChatImage = {
  /** Where it stands: before this byte of the content, which begins a character or is the end. */
  at: number,
  /** A PNG or JPEG file. */
  file: Uint8Array,
};

/** A call of a tool. */
export type ChatToolCall = {
  /** Names the call in its conversation. */
  id: string,
  /** The tool. */
  name: string,
  /** Its arguments, as JSON text. */
  arguments: string,
};

/** What a message has besides words. */
export type MessageMore = {
  /** What is shown, in the order of its places in what is said. */
  images: Array<ChatImage>,
  /** What the model thought before it said that. */
  reasoning: string | null,
  /** Tools that the model called. */
  tool_calls: Array<ChatToolCall>,
  /** Results of tools: the call that it answers. */
  tool_call_id: string | null,
  /** Results of tools: the tool's name. */
  name: string | null,
};

/** One message of a conversation. */
export type ChatMessage = {
  /** Who speaks. */
  role: ChatRole,
  /** What is said. */
  content: string,
  /** What comes besides words; mostly nothing. */
  more: MessageMore | null,
};

/** How tokens are chosen. Fractions are in thousandths. */
export type Sampling = {
  /** Temperature in thousandths; 0 takes the most likely token. */
  temperature_milli: number,
  /** Keep the most likely tokens that together reach this probability, in thousandths; 1000 keeps all. */
  top_p_milli: number,
  /** Keep tokens at least this likely relative to the most likely, in thousandths; 0 keeps all. */
  min_p_milli: number,
  /** Keep this many tokens; 0 keeps all. */
  top_k: number,
  /** Chosen by the requester: the same seed gives the same answer on the same build. */
  seed: number,
};

/** What is to be continued, if it is no conversation. */
export type ChatPrompt = { "text": string } | { "tokens": Array<number> };

/** A tool. */
export type ChatTool = {
  /** Name: letters, digits, `_`, `-` and `.`. */
  name: string,
  /** What it does, for the model. */
  description: string | null,
  /** Schema of its arguments, as JSON text. */
  parameters: string,
};

/** Whether the model may call tools. */
export type ChatToolChoice = "auto" | "none" | "required" | { "named": string };

/** What the answer must look like. */
export type ChatConstraint = "json_object" | { "json_schema": string } | { "regex": string } | { "lark": string } | { "gbnf": string } | { "choice": Array<string> };

/** What is added to the logit of one token. */
export type LogitBias = {
  /** Token id. */
  token: number,
  /** How much, in thousandths. */
  bias_milli: number,
};

/** What changes logits before tokens are chosen. Fractions are in thousandths. */
export type ChatAdjust = {
  /** Divides positive and multiplies negative logits of tokens that occurred, in thousandths; 1000 is neutral. */
  repetition_milli: number,
  /** Taken off once for tokens that occurred, in thousandths; 0 is neutral. */
  presence_milli: number,
  /** Taken off for each time that a token occurred, in thousandths; 0 is neutral. */
  frequency_milli: number,
  /** Tokens looked back at for these; 0 means all of the answer. */
  last_tokens: number,
  /** Added to the logits of single tokens. */
  bias: Array<LogitBias>,
};

/** What a question has besides a conversation of words. */
export type ChatMore = {
  /** What is to be continued, if it is no conversation. */
  prompt: ChatPrompt | null,
  /** What the model may call. */
  tools: Array<ChatTool>,
  /** Whether it may, or must. */
  tool_choice: ChatToolChoice,
  /** Whether it may call several tools in one answer. */
  parallel_tool_calls: boolean,
  /** Whether the model shall think first; none leaves it to its template. */
  thinking: boolean | null,
  /** Further variables for the template: an object as JSON text, empty for none. */
  template_arguments: string,
  /** What changes logits before tokens are chosen; none changes nothing. */
  adjust: ChatAdjust | null,
  /** What the answer must look like. */
  constraint: ChatConstraint | null,
  /** Tell log-probabilities: of the chosen token, and of so many of the most likely. */
  logprobs: number | null,
  /** Go on where the model would end its answer. */
  ignore_end: boolean,
  /** Tokens with which the answer begins: somebody else has said them. What is answered follows them. */
  begun: Array<number>,
};

/** Everything that decides an answer, besides the model. */
export type ChatInput = {
  /** The conversation, oldest first; empty only if `more` has a prompt instead. */
  messages: Array<ChatMessage>,
  /** How tokens are chosen. */
  sampling: Sampling,
  /** Most tokens to answer with; 0 means as many as fit into the context. */
  max_tokens: number,
  /** Texts that end the answer; they are not part of it. */
  stop: Array<string>,
  /** What plain questions do not have. */
  more: ChatMore | null,
};

/** Why an answer ended. */
export type FinishReason = "stop" | "length" | "cancelled";

/** How a tool call begins. */
export type ToolCallBegin = {
  /** Names the call in its conversation. */
  id: string,
  /** The tool. */
  name: string,
};

/** A piece of a tool call, as the model writes it. The pieces of one call come before the next one's. */
export type ToolCallPiece = {
  /** Which call of the answer, from 0. */
  index: number,
  /** With the first piece of a call. */
  begins: ToolCallBegin | null,
  /** What to append to the call's arguments, which are JSON text. */
  arguments: string,
};

/** A token and how likely it was. */
export type TokenLogprob = {
  /** Token id. */
  token: number,
  /** Its text; not always UTF-8. Longer ones are cut. */
  text: Uint8Array,
  /** Natural logarithm of its probability, in millionths; the least number stands for all below it. */
  logprob_micro: number,
};

/** How likely a token was, among all tokens before any were cut away, at temperature 1. */
export type TokenLogprobs = {
  /** The chosen token. */
  chosen: TokenLogprob,
  /** The most likely tokens, most likely first. */
  top: Array<TokenLogprob>,
};

/** What a part of an answer has besides text. */
export type ChunkMore = {
  /** The next piece of what the model thinks. */
  reasoning: string,
  /** The next pieces of tool calls. */
  tool_calls: Array<ToolCallPiece>,
  /** How likely the part's tokens were, one for each; empty if that was not asked for. */
  logprobs: Array<TokenLogprobs>,
};

/** Number format of the key-value cache. Coarser ones change answers measurably, so they are part of the spec. */
export type KvType = "f16" | "bf16" | "q8_0";

/**
 * The exact bytes and settings that a receipt binds to.
 *
 * The same file with the same settings is the same entry, whoever writes it: its entry hash is its identity.
 */
export type ModelSpec = {
  /** Name as people write it, for example `tiny-gemma`. */
  name: string,
  /** Quantisation label, for example `q8_0`. */
  quantization: string,
  /** `general.architecture` of the GGUF. */
  architecture: string,
  /** SHA-256 of the whole GGUF file. */
  gguf_hash: Uint8Array,
  /** Root of the Merkle tree over the file's chunks of 1 MiB. */
  gguf_root: Uint8Array,
  /** Length of the GGUF file in bytes. */
  gguf_bytes: number,
  /** SHA-256 over the tokenizer's metadata. */
  tokenizer_hash: Uint8Array,
  /** SHA-256 of the chat template. */
  template_hash: Uint8Array,
  /** Which sampler turns logits into tokens. */
  sampler_version: number,
  /** Type of the key-value cache. */
  kv_type: KvType,
  /** Context in tokens that a question can use. */
  context_tokens: number,
};

/** Names a model spec: what it says and where it was written. */
export type SpecRef = {
  /** Hash of the entry: the identity of the spec. */
  entry: Uint8Array,
  /** An action that created the entry; validation fetches this one. */
  action: Uint8Array,
};

/** What a node does for others. */
export type Role = "provider" | "router" | "auditor";

/** Kind of device that computes. */
export type Backend = "cpu" | "cuda" | "vulkan" | "metal" | "rocm";

/** One model that a provider serves. */
export type ServedModel = {
  /** Which one. */
  spec: SpecRef,
  /** Measured decode speed of one stream in tokens a second; 0 if not measured. */
  tokens_per_s: number,
};

/** A router that a node runs for others. */
export type RouterOffer = {
  /** Ed25519 key that the router proves; not the key of the node's own data plane. */
  key: Uint8Array,
  /** Where it listens, and routers at which it is registered: the first of two in a row. At least one. */
  addresses: Array<string>,
};

/** What an agent offers. One per agent; changed only when it changes. */
export type Capability = {
  /** At least one, without repetition, in order. */
  roles: Array<Role>,
  /** X25519 key that prompts are sealed to. */
  sealing_key: Uint8Array,
  /** Ed25519 key of the data plane, if the node has one. */
  transport_key: Uint8Array | null,
  /** Where the data plane listens. */
  addresses: Array<string>,
  /** On the data plane it answers only agents that show who they are. */
  must_be_known?: boolean,
  /** What computes. */
  backend: Backend,
  /** Device name or instruction set, for people. */
  backend_detail: string,
  /** Models served; empty unless the roles include provider. */
  models: Array<ServedModel>,
  /** The router, if the roles include router, and only then. */
  router: RouterOffer | null,
  /** Where the node stands, by its own word: a coarse label such as `eu` or `de`; none if it does not say. */
  region: string | null,
};

/** A question that waits on the DHT for one provider, sealed to it. */
export type Request = {
  /** Salted commitment to the question (`verify::commit::input`). */
  commitment: Uint8Array,
  /** Model spec that shall answer. */
  spec: SpecRef,
  /** The only agent that may answer. */
  assignee: Uint8Array,
  /** The assignee's capability that the question relies on. */
  capability: Uint8Array,
  /** X25519 key, fresh for this request, that the answer is sealed to. */
  reply_key: Uint8Array,
  /** Most tokens to answer with. */
  max_tokens: number,
  /** After this moment nobody need answer. Microseconds since the epoch. */
  expires_at: number,
  /** The question (`PostedQuestion`), sealed to the assignee's sealing key. */
  sealed: Uint8Array,
};

/** The sealed answer to a posted request. */
export type Answer = {
  /** The request that it answers. */
  request: Uint8Array,
  /** The answer (`PostedAnswer`), sealed to the request's reply key. */
  sealed: Uint8Array,
};

/** Many receipts in one action: their Merkle root and their sums. */
export type ReceiptBatch = {
  /** The author's capability that lists the spec. */
  capability: Uint8Array,
  /** The spec that every receipt of the batch names. */
  spec: SpecRef,
  /** Root over the receipts' leaf hashes (`verify::merkle`). */
  root: Uint8Array,
  /** Number of receipts. */
  count: number,
  /** Prompt tokens of all receipts together. */
  prompt_tokens: number,
  /** Answer tokens of all receipts together. */
  completion_tokens: number,
};

/** What question and receipt agree on about a later audit. All zero: none was agreed on. */
export type AuditTerms = {
  /** `verify::audit::draw::challenge` of the requester's secret, which is told after the receipt; zeros for no audit. */
  challenge: Uint8Array,
  /** How likely an audit is, in millionths. */
  rate_ppm: number,
  /** How likely each auditor is to be drawn, in millionths. */
  auditors_ppm: number,
};

/** What a provider states about one answer. It names a session, never the requester's agent. */
export type Receipt = {
  /** Who answered. */
  provider: Uint8Array,
  /** Identity of the model spec. */
  spec: Uint8Array,
  /** Ed25519 key that signed the question. */
  session_key: Uint8Array,
  /** Salted commitment to the question. */
  input: Uint8Array,
  /** Salted commitment to the answer's tokens, text, thoughts and tool calls, from where the question's begun answer ends. */
  output: Uint8Array,
  /** Root over the answer's fingerprint (`verify::audit::leaf`); zeros if none was recorded. */
  fingerprint: Uint8Array,
  /** Tokens of the rendered prompt, and of the begun answer that the question brought. */
  prompt_tokens: number,
  /** Tokens of the answer that the provider has chosen: those of a begun answer are not among them. */
  completion_tokens: number,
  /** Why the answer ended. */
  finish: FinishReason,
  /** When the answer ended, by the provider's clock. Microseconds since the epoch. */
  finished_at: number,
  /** What the question said about a later audit. */
  audit: AuditTerms,
};

/** A receipt and the provider's signature over its canonical bytes. */
export type SignedReceipt = {
  /** The statement. */
  receipt: Receipt,
  /** Ed25519 signature by `receipt.provider` over `verify::receipt::canonical`. */
  signature: Uint8Array,
};

/** Where a receipt stands on the DHT: the batch and the path from leaf to root. */
export type BatchProof = {
  /** Action of the batch. */
  batch: Uint8Array,
  /** Position of the leaf, from 0. */
  index: number,
  /** Sibling hashes from leaf to root. */
  path: Array<Uint8Array>,
};

/** A question. */
export type Ask = {
  /** Chosen by the requester. */
  id: Uint8Array,
  /** Identity of the model spec that shall answer. */
  spec: Uint8Array,
  /** The question. */
  input: ChatInput,
  /** Salt of the commitments to question and answer. */
  salt: Uint8Array,
  /** Ed25519 key of the conversation. */
  session_key: Uint8Array,
  /** What the receipt shall say of a later audit. */
  audit: AuditTerms,
  /** Signature by `session_key` over `verify::ask::canonical`. */
  signature: Uint8Array,
};

/** A part of an answer. Chunks are numbered from 0 without gaps. */
export type TokenChunk = {
  /** The question. */
  id: Uint8Array,
  /** Number of the chunk. */
  chunk: number,
  /** Valid UTF-8; may be empty while a character is incomplete. */
  text: string,
  /** Token ids. */
  tokens: Array<number>,
  /** What came besides; mostly nothing. */
  more: ChunkMore | null,
};

/** The end of an answer. */
export type Done = {
  /** The question. */
  id: Uint8Array,
  /** How many chunks there were: fewer in hand means some were lost. */
  chunks: number,
  /** The provider's statement. */
  receipt: SignedReceipt,
  /** Tokens of the prompt that were computed before, by the provider's word. */
  cached_tokens: number,
  /** Which of the question's stop texts ended the answer. */
  stopped_by: number | null,
  /** From the arrival of the question to the first token, in microseconds, by the provider's clock. */
  first_token_us: number,
  /** From the first to the last token, in microseconds. */
  decode_us: number,
};

/** Why a provider does not answer. */
export type RefuseReason = "unknown_model" | "busy" | "prompt_too_long" | "malformed" | "draining" | "engine_failed" | "unknown_request" | "not_admitted" | "cannot_see" | "must_be_known";

/** A message from one peer to another. */
export type PeerSignal = { "type": "ask" } & Ask | { "type": "accepted",
  /** The question. */
  id: Uint8Array,
  /** 0 means it starts at once. */
  queue_position: number, } | { "type": "tokens" } & TokenChunk | { "type": "done" } & Done | { "type": "refused",
  /** The question. */
  id: Uint8Array,
  /** Why. */
  reason: RefuseReason,
  /** For people; may be empty. */
  detail: string, } | { "type": "cancel",
  /** The question. */
  id: Uint8Array, } | { "type": "resend",
  /** The question. */
  id: Uint8Array,
  /** First chunk that is missing. */
  from_chunk: number, } | { "type": "request_posted",
  /** Its action. */
  request: Uint8Array, } | { "type": "answer_posted",
  /** Action of the request. */
  request: Uint8Array,
  /** Action of the answer. */
  answer: Uint8Array, } | { "type": "receipt_published",
  /** The question. */
  id: Uint8Array,
  /** Where. */
  proof: BatchProof,
};

/** What the coordinator emits to the websockets of its own cell. */
export type LocalSignal = { "type": "peer",
  /** Who; proved by the conductor. */
  from: Uint8Array,
  /** What. */
  signal: PeerSignal, } | { "type": "rejected",
  /** Who. */
  from: Uint8Array,
  /** Which bound, in words of ours. */
  reason: string,
};

/** A model spec as found on the DHT (`get_all_model_specs`). */
export type ModelSpecRecord = {
  /** Where. */
  spec: SpecRef,
  /** What. */
  model: ModelSpec,
};

/** What a node wants to announce (`put_capability`); the sealing key is added by the coordinator. */
export type CapabilityInput = {
  /** See [`Capability`]. */
  roles: Array<Role>,
  /** See [`Capability`]. */
  transport_key: Uint8Array | null,
  /** See [`Capability`]. */
  addresses: Array<string>,
  /** See [`Capability`]. */
  must_be_known?: boolean,
  /** See [`Capability`]. */
  backend: Backend,
  /** See [`Capability`]. */
  backend_detail: string,
  /** See [`Capability`]. */
  models: Array<ServedModel>,
  /** See [`Capability`]. */
  router: RouterOffer | null,
  /** See [`Capability`]. */
  region: string | null,
};

/** Whoever offers something, as found on the DHT (`get_providers`, `get_provider`, `get_providers_for_model_spec`). */
export type ProviderRecord = {
  /** Who. */
  agent: Uint8Array,
  /** The newest valid action of its capability. */
  action: Uint8Array,
  /** What it offers. */
  capability: Capability,
};

/** A message and its recipients (`send_signal`). */
export type SendSignal = {
  /** Recipients. */
  to: Array<Uint8Array>,
  /** The message. */
  signal: PeerSignal,
};

/** A question to post (`create_request`): sealed by the coordinator to the assignee's sealing key. */
export type RequestInput = {
  /** The assignee's capability. */
  capability: Uint8Array,
  /** Model spec that shall answer. */
  spec: SpecRef,
  /** The question. */
  question: PostedQuestion,
  /** After this moment nobody need answer. Microseconds since the epoch. */
  expires_at: number,
};

/** What is sealed inside a Request entry. */
export type PostedQuestion = {
  /** Chosen by the requester. */
  id: Uint8Array,
  /** The question. */
  input: ChatInput,
  /** Salt of the commitments. */
  salt: Uint8Array,
  /** Ed25519 key of the conversation. */
  session_key: Uint8Array,
  /** What the receipt shall say of a later audit. */
  audit: AuditTerms,
  /** Signature by `session_key` over `verify::ask::canonical`. */
  signature: Uint8Array,
};

/** A posted request, opened by its assignee (`get_open_requests`, `open_request`). */
export type OpenRequest = {
  /** The request's action. */
  action: Uint8Array,
  /** Who posted it. */
  requester: Uint8Array,
  /** Identity of the model spec. */
  spec: Uint8Array,
  /** After this moment nobody need answer. Microseconds since the epoch. */
  expires_at: number,
  /** The question, or why it cannot be opened. */
  question: { Ok : PostedQuestion } | { Err : string },
};

/** An answer to post (`create_answer`): sealed by the coordinator to the request's reply key. */
export type AnswerInput = {
  /** The request that it answers. */
  request: Uint8Array,
  /** The answer. */
  answer: PostedAnswer,
};

/** What is sealed inside an Answer entry. */
export type PostedAnswer = {
  /** The text. */
  text: string,
  /** Token ids. */
  tokens: Array<number>,
  /** What came besides; mostly nothing. */
  more: ChunkMore | null,
  /** The provider's statement. */
  receipt: SignedReceipt,
  /** Where the receipt stands on the DHT. */
  proof: BatchProof,
};

/** A batch of receipts as found on the DHT (`get_receipt_batch`): valid, or it would not be returned. */
export type ReceiptBatchRecord = {
  /** Who wrote it. */
  author: Uint8Array,
  /** What it says. */
  batch: ReceiptBatch,
};

/** What the network says about an agent (`get_agent_standing`). */
export type AgentStanding = {
  /** Length of the agent's chain as far as it is known here. */
  actions: number,
  /** Reasons of the system warrants against it. */
  warrants: Array<string>,
};

/** What somebody is looked for as. */
export type Topic = { "type": "providers", "of": Uint8Array } | { "type": "routers" } | { "type": "router", "of": Uint8Array };

/** One of the 2^depth buckets of a topic. */
export type Place = {
  /** How deep. */
  depth: number,
  /** Which of the 2^depth. */
  bucket: number,
};

/** Which bucket to read (`get_bucket`). */
export type BucketQuery = {
  /** Whose. */
  topic: Topic,
  /** Which. */
  place: Place,
  /** Links drawn before this are passed over: whoever drew them is gone. */
  not_before: number,
};

/** Somebody who is linked from a bucket: a hint until his capability was fetched. */
export type BucketMember = {
  /** Who. */
  agent: Uint8Array,
  /** A version of his capability. */
  capability: Uint8Array,
  /** When the newest link was drawn. Microseconds since the epoch. */
  linked_at: number,
};

/** Where this node wants to be found (`put_places`): this, and nothing else. */
export type PlacesInput = {
  /** Each topic once, and how deep its buckets are. */
  topics: Array<TopicDepth>,
  /** Links drawn before this are drawn anew. */
  renew_before: number,
  /** Links drawn before this are not looked at by anybody any more. */
  not_before: number,
};

/** A topic, and the depth of its buckets. */
export type TopicDepth = {
  /** Whose buckets. */
  topic: Topic,
  /** How deep they are. */
  depth: number,
};

/** Where this node is linked from already (`get_my_places`, `put_places`). */
export type OwnPlaces = {
  /** Topics that it is linked under, of those asked for. */
  topics: Array<TopicDepth>,
  /** Links that were drawn just now. */
  drawn: number,
  /** Links that were removed just now. */
  removed: number,
};

/** How far two fingerprints of one answer are apart, and what the replay found. See `verify::audit::statistics`. */
export type Statistics = {
  /** Tokens that were looked at: of the answer, or of the stretch of it that is judged (`verify::audit::draw::stretch`). */
  tokens: number,
  /** Sum over all positions of the clipped distance of log-probabilities, in 128ths of a nat. */
  delta_sum: number,
  /** The largest such sum in one window. */
  delta_window: number,
  /** The largest distance at one position. */
  delta_position: number,
  /** Sum over all tokens of the clipped Gumbel margin, in 1024ths of a nat. */
  margin_sum: number,
  /** The largest such sum in one window. */
  margin_window: number,
  /** Positions whose distributions differ by more than a tenth. */
  tail: number,
  /** Tokens that the auditor's model would not have come near to, or that could not stand there. */
  impossible: number,
};

/** What became of a replay. */
export type Outcome = { "measured": Statistics } | "mismatch" | { "not_opened": Statistics };

/** What follows from an outcome. */
export type Verdict = "pass" | "fail" | "inconclusive";

/** Why somebody audits an answer. */
export type AuditMode = "drawn" | "canary" | { "jury": Uint8Array } | { "appeal": Uint8Array };

/** An auditor's promise, before it is shown the provider's fingerprint: which answer, and what its own replay gave. */
export type AuditCommit = {
  /** The author's capability, which lists the auditor's role and what computes. */
  capability: Uint8Array,
  /** What is audited. */
  receipt: SignedReceipt,
  /** Where the receipt stands. */
  proof: BatchProof,
  /** The requester's secret behind the receipt's challenge. */
  secret: Uint8Array,
  /** Why this auditor audits this answer. */
  mode: AuditMode,
  /** The latest report about this provider that the author knows: evidence is added to it. None for the first, and in juries. */
  previous: Uint8Array | null,
  /** Root over the author's replay (`verify::audit::leaf::replay`). */
  replay: Uint8Array,
};

/** What one auditor has added to a provider's score. */
export type Share = {
  /** Who. */
  auditor: Uint8Array,
  /** In 256ths of a nat. */
  llr: number,
};

/** Evidence against a provider, added up. See `verify::audit::evidence`. */
export type Standing = {
  /** In 256ths of a nat. */
  score: number,
  /** What each auditor has added since the score was last nothing, in the order in which they first did. */
  shares: Array<Share>,
};

/** One leaf of a fingerprint: a window of the answer. */
export type OpenedLeaf = {
  /** Salt of this leaf. */
  salt: Uint8Array,
  /** Tokens of the window. */
  tokens: Array<number>,
  /** Encoded positions (`verify::audit::fingerprint`). */
  body: Uint8Array,
};

/** One leaf of a replay: a window of the answer, as the auditor's model saw it. */
export type ReplayLeaf = {
  /** Its own fingerprint of the window. */
  leaf: OpenedLeaf,
  /** For each token, how far it was from being drawn: the clipped Gumbel margin, in 1024ths of a nat. */
  margins: Array<number>,
  /** A bit for each token, lowest first: whether it was nowhere near the likely ones. */
  impossible: number,
};

/** Everything that was looked at in a canary. */
export type Evidence = {
  /** The question. */
  input: ChatInput,
  /** Salt of the commitments to question and answer. */
  salt: Uint8Array,
  /** The answer's tokens. */
  tokens: Array<number>,
  /** The answer's text. */
  text: string,
  /** What the provider opened: all leaves of its fingerprint. Empty if it did not open what it signed. */
  opened: Array<OpenedLeaf>,
  /** The auditor's replay: all leaves. */
  replay: Array<ReplayLeaf>,
};

/** What an audit found. */
export type AuditReport = {
  /** The author's commitment to its replay. */
  commit: Uint8Array,
  /** The calibration of this pair of machines; none if there is none. */
  calibration: Uint8Array | null,
  /** What became of the replay. */
  outcome: Outcome,
  /** What follows from the outcome. */
  verdict: Verdict,
  /** How much more likely the outcome is from a cheat, in 256ths of a nat. */
  llr: number,
  /** The evidence against the provider, with this report. Empty in juries. */
  standing: Standing,
  /** Everything that was looked at: in canaries, and only there. */
  evidence: Evidence | null,
};

/** The evidence against a provider has crossed the bound: a jury is called. */
export type Accusation = {
  /** Who is accused. */
  provider: Uint8Array,
  /** The report with which the bound was crossed, and those before it, each the one that the former built on. */
  reports: Array<Uint8Array>,
};

/** A jury has confirmed an accusation. */
export type Conviction = {
  /** What was confirmed. */
  accusation: Uint8Array,
  /** Failing reports by different jurors. */
  confirmations: Array<Uint8Array>,
};

/** The convicted wants another jury to look. There is one for each accusation, however often somebody asks. */
export type Appeal = {
  /** The conviction of this entry's author. */
  conviction: Uint8Array,
};

/** Two receipts by one provider for one question, of answers that ended within `limits::EQUIVOCATION_APART_US_MAX`. */
export type Equivocation = {
  /** One. */
  first: SignedReceipt,
  /** The other; its canonical bytes come after the first's. */
  second: SignedReceipt,
};

/** What something is looked up about. */
export type AuditSubject = { "type": "spec", "of": Uint8Array } | { "type": "provider", "of": Uint8Array } | { "type": "receipt", "of": Uint8Array } | { "type": "accusation", "of": Uint8Array } | { "type": "conviction", "of": Uint8Array };

/** Which page, newest first. */
export type AuditQuery = {
  /** About what. */
  subject: AuditSubject,
  /** Only what was linked before that moment: [`AuditPage::next`] of the page before. Microseconds since the epoch. */
  before: number | null,
};

/** A report and the commitment that it keeps (`get_audit_reports`). */
export type Audited = {
  /** What was promised before the outcome was known. */
  commit: AuditCommit,
  /** What was found, without its evidence: that is large, and fetched by itself (`get_audit_evidence`). */
  report: AuditReport,
  /** Whether there is evidence. */
  shows: boolean,
};

/** An entry as it was found. */
export type Found<T> = {
  /** Where. */
  action: Uint8Array,
  /** By whom. */
  author: Uint8Array,
  /** When the link to it was drawn, by its author's clock. Microseconds since the epoch. */
  linked_at: number,
  /** What it says. */
  entry: T,
};

/** At most `limits::AUDITS_PAGE_MAX` things, newest first. */
export type AuditPage<T> = {
  /** Valid, or they would not be here. */
  found: Array<Found<T>>,
  /** Where the next page begins; none if this was the last. */
  next: number | null,
};
