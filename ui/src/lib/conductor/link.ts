// One websocket to one conductor: the only module that names `@holochain/client`.
// It must not decide anything: no retries, no state, no protocol.
import { AppWebsocket, CellType, SignalType, encodeHashToBase64, setSigningCredentials } from "@holochain/client";
import type { Signal } from "@holochain/client";
import { COORDINATOR_ZOME, ROLE_NAME } from "../generated/types";
import type { Blocked } from "../chat/backend";
import { readSigning } from "./environment";

/** A connection that is open until it is closed. */
export interface Link {
  /** The agent that speaks through it. */
  readonly agent: Uint8Array;
  /** Identity of the network. */
  readonly dna: Uint8Array | null;
  call(fn: string, payload: unknown): Promise<unknown>;
  /** How far the conductor is with the network. */
  standing(): Promise<NetworkStanding>;
  close(): void;
}

export interface NetworkStanding {
  /** A relay has given us an address. */
  readonly hasAddress: boolean;
  /** Agents of the network that are known here, ourselves among them. */
  readonly agents: number;
  /** Open connections to others. */
  readonly connections: number;
}

export interface LinkListener {
  /** The payload of a signal of our zome, undecided. */
  onSignal(payload: unknown): void;
  onClosed(): void;
}

/** Trying again will not help. */
export class BlockedError extends Error {
  readonly why: Blocked;
  constructor(why: Blocked, cause: unknown) {
    super(why, { cause });
    this.why = why;
  }
}

const CONNECT_TIMEOUT_MS = 10_000;
const CALL_TIMEOUT_MS = 15_000;

/** Hash as people see it. */
export const showHash = encodeHashToBase64;

/** Connects as the environment says. */
export async function openLink(listener: LinkListener): Promise<Link> {
  const app = await withTimeout(connect(), CONNECT_TIMEOUT_MS);
  const signing = readSigning(window);
  if (signing !== null) setSigningCredentials(signing.cellId, signing.credentials);
  let isOpen = true;
  const closed = () => {
    if (isOpen) listener.onClosed();
    isOpen = false;
  };
  socketOf(app)?.addEventListener("close", closed, { once: true });
  const unsubscribe = app.on("signal", (signal: Signal) => {
    if (signal.type === SignalType.App && signal.value.zome_name === COORDINATOR_ZOME) {
      listener.onSignal(signal.value.payload);
    }
  });
  return {
    agent: app.myPubKey,
    dna: dnaOf(app),
    standing: async () => {
      if (!isOpen) throw new Error("the connection is closed");
      const [stats, agents] = await withTimeout(
        Promise.all([app.dumpNetworkStats(), app.agentInfo({ dna_hashes: null })]),
        CALL_TIMEOUT_MS,
      );
      const { peer_urls, connections } = stats.transport_stats;
      return { hasAddress: peer_urls.length > 0, agents: agents.length, connections: connections.length };
    },
    call: (fn_name, payload) => {
      // The client would reconnect behind our back, with what may be an old token.
      if (!isOpen) return Promise.reject(new Error("the connection is closed"));
      const call = app.callZome({ role_name: ROLE_NAME, zome_name: COORDINATOR_ZOME, fn_name, payload });
      return withTimeout(call, CALL_TIMEOUT_MS);
    },
    close: () => {
      isOpen = false;
      unsubscribe();
      socketOf(app)?.close();
    },
  };
}

async function connect(): Promise<AppWebsocket> {
  try {
    return await AppWebsocket.connect();
  } catch (error) {
    const why = blockedBy[error instanceof Error ? error.name : ""];
    if (why !== undefined) throw new BlockedError(why, error);
    throw error;
  }
}

const blockedBy: Record<string, Blocked> = {
  ConnectionUrlMissing: "no_environment",
  AppAuthenticationTokenMissing: "no_environment",
  InvalidTokenError: "token_refused",
  AppNotFound: "app_missing",
};

/** The DNA of our role; null if the client has not been told. */
function dnaOf(app: AppWebsocket): Uint8Array | null {
  const cell = app.cachedAppInfo?.cell_info[ROLE_NAME]?.[0];
  return cell?.type === CellType.Provisioned ? cell.value.cell_id[0] : null;
}

/** The socket below the client; a runtime that speaks by other means has none. */
function socketOf(app: AppWebsocket): WebSocket | null {
  const client: unknown = app.client;
  const hasSocket = typeof client === "object" && client !== null && "socket" in client;
  return hasSocket && client.socket instanceof WebSocket ? client.socket : null;
}

async function withTimeout<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no reply within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
