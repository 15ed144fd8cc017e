// The times of the signal path, in milliseconds. They are part of the protocol: both sides rely on them
// (`sidecar/protocol/src/timing.rs`).

/** A requester that has heard nothing for this long (four heartbeats of the provider) gives up. */
export const SILENCE_MS = 4_200;
/** A requester that has heard nothing for this long asks again once, in case a message was lost. */
export const NUDGE_MS = 1_500;
/** A requester that misses a chunk for this long asks for it again. */
export const GAP_MS = 300;
/** How often a requester asks again for missing chunks before it gives up. */
export const RESENDS_MAX = 8;
/** Most chunks that a requester keeps while an earlier one is missing. */
export const CHUNKS_WAITING_MAX = 1_024;
/** A provider keeps a finished answer for this long; afterwards it tells where the receipt stands when asked for parts. */
export const KEEP_ANSWER_MS = 60_000;
