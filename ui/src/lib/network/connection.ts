// Where the connection stands and what moves it: connecting → joining → ready, offline in between, blocked at the end
// of what waiting can do. Pure: events and dice are passed in.
import type { Blocked, Model, Stage } from "../chat/backend";

export type Connection<M extends Model = Model> =
  | { readonly at: "connecting"; readonly attempt: number }
  | { readonly at: "offline"; readonly attempt: number; readonly retryInMs: number }
  | { readonly at: "joining"; readonly stage: Stage }
  | { readonly at: "ready"; readonly models: readonly M[] }
  | { readonly at: "blocked"; readonly why: Blocked };

export type ConnectionEvent<M extends Model = Model> =
  | { readonly type: "connect" }
  | { readonly type: "opened" }
  | { readonly type: "lost"; readonly dice: number }
  | { readonly type: "blocked"; readonly why: Blocked }
  /** Who serves what now; `stage` counts while nobody does. */
  | { readonly type: "models"; readonly models: readonly M[]; readonly stage: Stage };

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;

export const unconnected = { at: "connecting", attempt: 0 } as const;

/** Events that do not fit the state change nothing. */
export function advance<M extends Model>(connection: Connection<M>, event: ConnectionEvent<M>): Connection<M> {
  switch (event.type) {
    case "connect":
      if (connection.at === "offline") return { at: "connecting", attempt: connection.attempt };
      return connection.at === "blocked" ? unconnected : connection;
    case "opened":
      return connection.at === "connecting" ? { at: "joining", stage: "starting" } : connection;
    case "lost": {
      if (connection.at === "offline" || connection.at === "blocked") return connection;
      const attempt = connection.at === "connecting" ? connection.attempt : 0;
      return { at: "offline", attempt: attempt + 1, retryInMs: retryInMs(attempt, event.dice) };
    }
    case "blocked":
      return { at: "blocked", why: event.why };
    case "models":
      if (connection.at !== "joining" && connection.at !== "ready") return connection;
      if (event.models.length > 0) return { at: "ready", models: event.models };
      return connection.at === "joining" && connection.stage === event.stage ? connection : { at: "joining", stage: event.stage };
  }
}

/** Twice as long each time, up to a bound, and spread so that many pages do not come back at once. */
function retryInMs(attempt: number, dice: number): number {
  const wait = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(wait * (0.75 + 0.5 * dice));
}
