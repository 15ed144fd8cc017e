// Requests to the node that served the page: the only place that calls `fetch`. Same origin, nothing else.

/** The node said no. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string;

  constructor(status: number, code: string, message: string, hint: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/** The node cannot be reached. */
export class Unreachable extends Error {}

const PATIENCE_MS = 10_000;

export interface Request {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly body?: unknown;
  /** Proves that the page was opened with the node's key; needed by what changes the node. */
  readonly token?: string;
  readonly stop?: AbortSignal;
  /** Longest wait for the beginning of the reply. */
  readonly patienceMs?: number;
}

export async function call(path: string, { method = "GET", body, token, stop, patienceMs = PATIENCE_MS }: Request = {}): Promise<Response> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token !== undefined) headers["x-ainonymous-token"] = token;
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), patienceMs);
  const signals = stop === undefined ? [patience.signal] : [patience.signal, stop];
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.any(signals),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    throw new Unreachable("the node does not answer", { cause: error });
  } finally {
    clearTimeout(timer);
  }
  if (response.ok) return response;
  const { code, message, hint } = errorOf(await response.json().catch(() => null));
  throw new Refused(response.status, code, message || `${response.status} ${response.statusText}`, hint);
}

export async function get<T>(path: string, request: Request = {}): Promise<T> {
  return (await (await call(path, request)).json()) as T;
}

/** What an error says, in the shape of OpenAI. */
export function errorOf(body: unknown): { code: string; message: string; hint: string } {
  const error = (body as { error?: { code?: unknown; message?: unknown; hint?: unknown } } | null)?.error;
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  return { code: text(error?.code), message: text(error?.message), hint: text(error?.hint) };
}
