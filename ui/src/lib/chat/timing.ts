// The times of the signal path, in milliseconds. They are part of the protocol: both sides rely on them
// (`sidecar/protocol/src/timing.rs`).

/** A requester that has heard nothing for this long (four heartbeats of the provider) gives up. */
export const SILENCE_MS = 4_200;
/** A requester that misses a chunk for this long asks for it again. */
export const GAP_MS = 300;
/** How often a requester asks again for missing chunks before it gives up. */
export const RESENDS_MAX = 8;
/** Most chunks that a requester keeps while an earlier one is missing. */
export const CHUNKS_WAITING_MAX = 1_024;
