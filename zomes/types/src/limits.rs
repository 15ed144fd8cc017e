//! Every bound on what a peer or a user can send, with its unit in its name. Tested at the bound and one past it.

/// Longest model name.
pub const MODEL_NAME_BYTES_MAX: usize = 96;
/// Longest quantisation label (`q8_0`, `q4_k_m`).
pub const QUANTIZATION_BYTES_MAX: usize = 16;
/// Longest architecture label (`gemma4`).
pub const ARCHITECTURE_BYTES_MAX: usize = 32;
/// Largest model file that a model spec can name: 16 TiB.
pub const MODEL_FILE_BYTES_MAX: u64 = 16 << 40;
/// Largest context that a model spec can name.
pub const CONTEXT_TOKENS_MAX: u32 = 16 << 20;
/// Most models that one capability lists.
pub const CAPABILITY_MODELS_MAX: usize = 16;
/// Most roles that one capability lists.
pub const CAPABILITY_ROLES_MAX: usize = 3;
/// Most addresses that one capability lists.
pub const CAPABILITY_ADDRESSES_MAX: usize = 8;
/// Longest address in a capability.
pub const ADDRESS_BYTES_MAX: usize = 128;
/// Most addresses of the router that one capability offers: its own, and routers that lead to it.
pub const ROUTER_ADDRESSES_MAX: usize = 8;
/// Longest region that a capability names.
pub const REGION_BYTES_MAX: usize = 16;
/// Longest backend detail in a capability (device name, instruction set).
pub const BACKEND_DETAIL_BYTES_MAX: usize = 64;
/// Largest measured speed that a capability can claim.
pub const TOKENS_PER_S_MAX: u32 = 10_000_000;

/// Most messages in one question.
pub const CHAT_MESSAGES_MAX: usize = 2_048;
/// Longest prompt: all message contents together.
pub const PROMPT_BYTES_MAX: usize = 1 << 20;
/// Most stop strings in one question.
pub const STOP_STRINGS_MAX: usize = 16;
/// Longest stop string.
pub const STOP_BYTES_MAX: usize = 256;
/// Most tokens that one answer can have.
pub const ANSWER_TOKENS_MAX: u32 = 1 << 20;
/// Longest answer.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Highest temperature, in thousandths.
pub const TEMPERATURE_MILLI_MAX: u32 = 5_000;
/// Largest seed: the largest integer that JavaScript holds exactly.
pub const SEED_MAX: u64 = (1 << 53) - 1;
/// Largest `top_k`.
pub const TOP_K_MAX: u32 = 1 << 20;

/// Most tools in one question.
pub const TOOLS_MAX: usize = 128;
/// Longest name of a tool.
pub const TOOL_NAME_BYTES_MAX: usize = 64;
/// Most tool calls in one message.
pub const TOOL_CALLS_MAX: usize = 128;
/// All tools of a question and further variables for its template together, as JSON text.
pub const TOOLS_BYTES_MAX: usize = 256 << 10;
/// Longest schema, grammar or other form that an answer must have.
pub const CONSTRAINT_BYTES_MAX: usize = 256 << 10;
/// Largest repetition penalty, and largest presence or frequency penalty either way, in thousandths.
pub const PENALTY_MILLI_MAX: u32 = 10_000;
/// Most tokens with a bias.
pub const LOGIT_BIASES_MAX: usize = 1_024;
/// Largest bias either way, in thousandths (OpenAI's bound).
pub const LOGIT_BIAS_MILLI_MAX: u32 = 100_000;
/// Most alternatives told with each token.
pub const TOP_LOGPROBS_MAX: u32 = 20;
/// Longest text of a token that log-probabilities tell; the rest is cut off.
pub const TOKEN_TEXT_BYTES_MAX: usize = 256;
/// Most images in one question.
pub const IMAGES_MAX: usize = 16;
/// Longest file of an image.
pub const IMAGE_BYTES_MAX: usize = 8 << 20;
/// All images of a question to a peer together.
pub const SENT_IMAGES_BYTES_MAX: usize = 8 << 20;
/// Most tokens of a begun answer that another provider can be asked to continue.
pub const BEGUN_TOKENS_MAX: usize = 1 << 17;
/// Largest question, encoded. By signals and posted less fits: `SIGNAL_BYTES_MAX`, `SEALED_REQUEST_BYTES_MAX`.
pub const QUESTION_BYTES_MAX: usize = PROMPT_BYTES_MAX
    + TOOLS_BYTES_MAX
    + CONSTRAINT_BYTES_MAX
    + SENT_IMAGES_BYTES_MAX
    + 5 * BEGUN_TOKENS_MAX
    + (128 << 10);

/// Largest sealed payload in a Request entry: the prompt and some room for its frame.
pub const SEALED_REQUEST_BYTES_MAX: usize = PROMPT_BYTES_MAX + (64 << 10);
/// Largest sealed payload in an Answer entry (Holochain refuses entries over 4,000,000 bytes).
pub const SEALED_ANSWER_BYTES_MAX: usize = 3_500_000;
/// Smallest sealed payload: a nonce and an authenticator.
pub const SEALED_BYTES_MIN: usize = 40;
/// Longest time that a posted request stays open: seven days, in microseconds.
pub const REQUEST_TTL_US_MAX: i64 = 7 * 24 * 3600 * 1_000_000;

/// Most receipts in one batch.
pub const BATCH_RECEIPTS_MAX: u32 = 4_096;
/// Longest Merkle path: `BATCH_RECEIPTS_MAX` leaves.
pub const MERKLE_PATH_MAX: usize = 12;

/// Largest signal between peers, encoded.
pub const SIGNAL_BYTES_MAX: usize = PROMPT_BYTES_MAX + (128 << 10);
/// Longest text in one token chunk: what is said, thought and called together.
pub const CHUNK_TEXT_BYTES_MAX: usize = 64 << 10;
/// Most tokens in one token chunk.
pub const CHUNK_TOKENS_MAX: usize = 4_096;
/// Most pieces of tool calls in one token chunk.
pub const CHUNK_TOOL_CALLS_MAX: usize = 256;
/// Most log-probabilities in one token chunk, those of alternatives included.
pub const CHUNK_LOGPROBS_MAX: usize = 512;
/// Longest human-readable detail that one peer sends to another.
pub const DETAIL_BYTES_MAX: usize = 512;
/// Most recipients of one signal.
pub const SIGNAL_RECIPIENTS_MAX: usize = 16;
/// Tag of a link from a bucket: its depth. Other links have none.
pub const BUCKET_TAG_BYTES: usize = 1;
/// Deepest level of buckets: 2^24 buckets of 32 are half a billion providers.
pub const BUCKET_DEPTH_MAX: u8 = 24;
/// Most members of one bucket that a read returns; of more, some at random.
pub const BUCKET_LISTED_MAX: usize = 512;
/// Most members of one bucket whose capabilities are fetched, drawn at random: a flooded bucket costs no more than a full one.
pub const BUCKET_MEMBERS_MAX: usize = 128;
/// Whoever can still be found draws his links from buckets anew after this: a day, in microseconds.
pub const LINK_RENEW_US: i64 = 24 * 3600 * 1_000_000;
/// Links from buckets that are older are passed over: two and a half days, in microseconds.
pub const LINK_AGE_US_MAX: i64 = 60 * 3600 * 1_000_000;
/// Links from buckets that are drawn later than this after the reader's own time are passed over too, in microseconds.
pub const LINK_AHEAD_US_MAX: i64 = 3600 * 1_000_000;
/// Most model specs that are listed at once, the newest.
pub const MODEL_SPECS_LISTED_MAX: usize = 512;
/// Most chunks in one answer: one for each token, and one for text that was held back until the end.
pub const ANSWER_CHUNKS_MAX: u32 = ANSWER_TOKENS_MAX + 1;
/// Longest duration that a provider can state about one answer: thirty days, in microseconds.
pub const DURATION_US_MAX: u64 = 30 * 24 * 3600 * 1_000_000;
/// Latest moment that a receipt can name: what JavaScript holds exactly (the year 2255), in microseconds.
pub const TIMESTAMP_US_MAX: u64 = (1 << 53) - 1;
/// Most open requests that an assignee is given at once, oldest first.
pub const OPEN_REQUESTS_MAX: usize = 64;

/// Longest name of a network.
pub const NETWORK_NAME_BYTES_MAX: usize = 48;
/// Longest seed of a network that can be invited to.
pub const NETWORK_SEED_BYTES_MAX: usize = 64;
/// Most founders of a network.
pub const FOUNDERS_MAX: usize = 8;
/// Most zero bits that a network can ask a proof of work to begin with: a day or more on one thread.
pub const WORK_BITS_MAX: u8 = 40;
/// Most agents whose joining is fetched from others for one list of providers; the others are passed over that time.
pub const JOININGS_FETCHED_MAX: usize = 32;
/// Longest membrane proof, encoded.
pub const MEMBERSHIP_PROOF_BYTES_MAX: usize = 1_024;
/// Longest address of a bootstrap or relay server in an invite.
pub const SERVER_URL_BYTES_MAX: usize = 128;
/// Longest text of an invite, with room for line breaks that a mail program puts into it.
pub const INVITE_TEXT_BYTES_MAX: usize = 4_096;

/// Most tokens that a fingerprint lists at one position.
pub const FINGERPRINT_LIKELY_MAX: usize = 8;
/// Tokens of an answer that one leaf of a fingerprint covers.
pub const FINGERPRINT_WINDOW_TOKENS: usize = 32;
/// Longest leaf of a fingerprint, encoded: 32 positions of 379 bits, and two bytes before them.
pub const FINGERPRINT_LEAF_BYTES_MAX: usize = 1_518;
/// Least log-probability that a fingerprint tells apart: minus this many sixteenths of a nat.
pub const FINGERPRINT_SIXTEENTHS_MAX: u16 = 1_023;
/// Where a distance of log-probabilities is clipped, in sixteenths of a nat: two nats.
pub const DELTA_SIXTEENTHS_MAX: u32 = 32;
/// Where a Gumbel margin is clipped, in 1024ths of a nat: half a nat.
pub const MARGIN_1024THS_MAX: u16 = 512;
/// A provider keeps what an audit needs for so long after an answer's end: two days, in microseconds.
pub const AUDIT_WINDOW_US: i64 = 2 * 24 * 3600 * 1_000_000;
/// Two receipts for one question are a proof against who signed them if their answers ended no further apart: ten minutes, in
/// microseconds. Whoever is asked the same again much later need not remember that it was asked before.
pub const EQUIVOCATION_APART_US_MAX: u64 = 600 * 1_000_000;
/// Longest answer whose fingerprints can be shown in full, and longest stretch of a longer one that a report speaks of, in tokens.
pub const EVIDENCE_TOKENS_MAX: usize = 256;
/// Longest question and longest answer of a canary, in bytes each.
pub const EVIDENCE_TEXT_BYTES_MAX: usize = 16 << 10;
/// Most that an auditor is shown, encoded: question, answer and what belongs to them.
pub const SHOWN_BYTES_MAX: usize = 128 << 10;
/// Longest answer that an auditor is shown, in tokens.
pub const SHOWN_TOKENS_MAX: u32 = 4_096;
/// Auditors who are shown one answer. One that finds as many others at it already leaves it alone.
pub const SHOWN_AUDITORS_MAX: usize = 2;
/// Largest likelihood or probability, in millionths.
pub const PPM_MAX: u32 = 1_000_000;
/// Longest name of a class of machines.
pub const CLASS_BYTES_MAX: usize = 48;
/// Most lengths of answers that a calibration tells apart.
pub const CALIBRATION_ROWS_MAX: usize = 6;
/// Most bins of one statistic.
pub const CALIBRATION_BINS_MAX: usize = 32;
/// Fewest honest answers behind each row of a calibration.
pub const CALIBRATION_ANSWERS_MIN: u32 = 3_000;
/// Most honest answers behind a row.
pub const CALIBRATION_ANSWERS_MAX: u32 = 1 << 30;
/// Most auditors whose shares in a score are kept.
pub const STANDING_SHARES_MAX: usize = 32;
/// Most reports that an accusation lists.
pub const ACCUSATION_REPORTS_MAX: usize = 16;
/// Most confirmations that a conviction lists.
pub const CONVICTION_REPORTS_MAX: usize = 5;
/// Most commitments, reports or other findings of audits that are read at once, the newest.
pub const AUDITS_PAGE_MAX: usize = 16;
/// Most providers whose answers to one question are compared.
pub const AGREEMENT_ANSWERS_MAX: usize = 16;
