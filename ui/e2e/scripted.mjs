// A node that says what a test tells it: the files of `dist` under the policy that the real node sends, and the part of its API
// that the page reads. For what real nodes cannot do on demand: many peers, slow or hostile answers, long histories.
import { readFileSync, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".png": "image/png", ".woff2": "font/woff2" };
const TOKEN = "5c".repeat(16);
export const SELF = "uhCAkSelfSelfSelfSelfSelfSelfSelfSelfSelfSelfSelfS1lf";

const heard = (round_trip_ms, queued, slots, free_slots, ago_s) => ({ ago_s, round_trip_ms, queued, slots, free_slots, milli_price: 0 });
const peer = (agent, kinship, device, route, models, failing = false) => ({ agent, kinship, device, route, failing, models });
const served = (id, claimed, measured, said) => ({ id, claimed_tokens_per_s: claimed, measured_tokens_per_s: measured, heard: said });

/** What the node knows when a test changes nothing. */
export function usualWorld() {
  return {
    network: { state: "ready", peers: 6 },
    phase: { phase: "running" },
    paused: false,
    stopped: false,
    peers: [
      peer("uhCAkFriendQm3vB8nKx2TfWzLr7PyHcD4gJs9aEu6oXi1tMbF3nd", "friend", "NVIDIA RTX 4090", "direct", [served("gemma-4-27b:q4_k_m", 44, 41.7, heard(11, 0, 4, 3, 4))]),
      peer("uhCAkTvL2mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVeY5ks", "public", "NVIDIA A100", "direct", [served("gemma-4-27b:q4_k_m", 90, 86.2, heard(38, 2, 8, 0, 9)), served("gemma-4-e4b:q8_0", 160, 151.4, heard(36, 0, 8, 6, 9))]),
      peer("uhCAkZw8sRnY3kPm6TqLx1VbHcD9gJf4aEu7oXi2tMbQnCrVeK0jt", "public", "Apple M3 Max", "direct", [served("gemma-4-e4b:q8_0", 60, null, heard(92, 1, 2, 1, 31))]),
      peer("uhCAkNearbyLmQ7xBn4KsWz2RyHcD1gJf8aEu3oXi6tMbQnCrVL4n", "lan", "avx512", "direct", [served("gemma-4-e4b:q8_0", 18, 17.9, heard(0.8, 0, 2, 2, 12))]),
      peer("uhCAkRouted5mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVRt", "public", "avx2", "routed", [served("qwen-3-8b:q5_k_m", 12, null, heard(210, 0, 1, 1, 55))]),
      peer("uhCAkSilentQ9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVeSl0w", "public", "avx2", "signals", [served("qwen-3-8b:q5_k_m", 9, null, null)], true),
    ],
    models: [
      entry("gemma-4-e4b:q8_0", { local: true, file_bytes: 4_980_000_000, context_tokens: 32_768, unloads_in_s: 540, providers: ["uhCAkTvL2mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVeY5ks", "uhCAkZw8sRnY3kPm6TqLx1VbHcD9gJf4aEu7oXi2tMbQnCrVeK0jt", "uhCAkNearbyLmQ7xBn4KsWz2RyHcD1gJf8aEu3oXi6tMbQnCrVL4n"] }),
      entry("gemma-4-1b:q4_0", { local: true, state: "unloaded", file_bytes: 720_000_000, context_tokens: 32_768 }),
      entry("gemma-4-27b:q4_k_m", { context_tokens: 131_072, file_bytes: 16_500_000_000, providers: ["uhCAkTvL2mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVeY5ks", "uhCAkFriendQm3vB8nKx2TfWzLr7PyHcD4gJs9aEu6oXi1tMbF3nd"] }),
      entry("qwen-3-8b:q5_k_m", { context_tokens: 40_960, file_bytes: 5_700_000_000, providers: ["uhCAkRouted5mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVRt"] }),
    ],
    pulls: [],
    audits: {
      show_auditors: "friends",
      providers: [
        { provider: "uhCAkTvL2mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVeY5ks", passed: 24, failed: 0, inconclusive: 1, convicted: false, rate_percent: 11.2 },
        { provider: "uhCAkRouted5mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVRt", passed: 1, failed: 7, inconclusive: 0, convicted: true, rate_percent: 100 },
      ],
      last: [
        audit("uhCAkTvL2mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVeY5ks", "gemma-4-e4b:q8_0", "own", "pass", "as_honest", 290),
        audit("uhCAkRouted5mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVRt", "qwen-3-8b:q5_k_m", "canary", "fail", "not_as_honest", 9_300),
        audit("uhCAkTvL2mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVeY5ks", "gemma-4-e4b:q8_0", "own", "inconclusive", "not_opened", null),
        audit("uhCAkTvL2mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVeY5ks", "gemma-4-e4b:q8_0", "drawn", "pass", "as_honest", 180, "uhCAkFriendQm3vB8nKx2TfWzLr7PyHcD4gJs9aEu6oXi1tMbF3nd"),
      ],
    },
    networks: { running: "reading-circle", can_change: true, networks: [network("reading-circle", "Reading circle", true), network("work", "Work", false)] },
    members: [
      { agent: SELF, is_self: true, is_online: true, standing: "member", invite: null },
      { agent: "uhCAkAnnmPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVeY5ann", is_self: false, is_online: true, standing: "member", invite: "0e".repeat(32) },
      { agent: "uhCAkBobmPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVeY5bob", is_self: false, is_online: false, standing: "refused", invite: "0e".repeat(32) },
    ],
    orders: [],
    asked: [],
    /** Answers with these pieces, so many milliseconds apart. */
    answer: () => ({ pieces: ["Paris", " is", " the", " capital", "."], everyMs: 5 }),
    /** Whoever answers; none is the node itself. */
    provider: "uhCAkTvL2mPq9xBn4KsWz7RyHcD1gJf8aEu3oXi6tMbQnCrVeY5ks",
  };
}

function audit(provider, model, mode, verdict, why, delta_sum, auditor = null) {
  const statistics = delta_sum === null ? null : { tokens: 64, delta_sum, impossible: verdict === "fail" ? 2 : 0 };
  return { provider, model, mode, auditor, verdict, why, tokens: 64, statistics, report: mode === "canary" ? "uhCkkReportReportReportReportReportReportReportRepo1" : null };
}

/** A receipt that was checked, or what came of replaying its answer. */
function receipt(path) {
  if (path.endsWith("/verify")) return { verdict: "pass", why: "as_honest", mode: "own", tokens: 5 };
  const checked = { batch: "uhCkkBatchBatchBatchBatchBatchBatchBatchBatchBatchBat1", checked: true, problem: null };
  return { ...checked, audit: "unaudited", file: `${path}/file`, verify: `${path}/verify` };
}

/** What is published about an agent: of this node good reports, of the convicted one everything that led there, of others nothing. */
function findings(provider) {
  const now = Math.floor(Date.now() / 1_000);
  const published = (name, author, agoS) => ({ action: `uhCkk${name.padEnd(47, name)}0`, author: `uhCAk${author.padEnd(47, author)}0`, at_s: now - agoS });
  const report = (name, author, agoS, verdict, delta_sum, canary) => ({
    ...{ ...published(name, author, agoS), verdict, canary, score: 0 },
    why: delta_sum === null ? "not_opened" : { pass: "as_honest", fail: "not_as_honest" }[verdict],
    statistics: delta_sum === null ? null : { tokens: 64, delta_sum, delta_window: 0, delta_position: 0, margin_sum: 0, margin_window: 0, tail: 0, impossible: verdict === "fail" ? 3 : 0 },
  });
  const nothing = { provider, reports: [], accusations: [], convictions: [], equivocations: [], more: false };
  if (provider === SELF) {
    const reports = [report("RepA", "AuditorA", 840, "pass", 260, true), report("RepB", "AuditorB", 9_000, "pass", 310, true), report("RepC", "AuditorA", 86_000, "inconclusive", null, true)];
    return { ...nothing, reports };
  }
  if (!provider.startsWith("uhCAkRouted")) return nothing;
  const accusation = { ...published("Accused", "AuditorA", 7_200), reports: ["RepD", "RepE", "RepF"].map((name) => published(name, "", 0).action) };
  const conviction = { ...published("Convict", "JurorA", 3_600), accusation: accusation.action, confirmations: ["JurA", "JurB", "JurC"].map((name) => published(name, "", 0).action), believed: true, appeal: { ...published("Appeal", "Routed", 3_000), passed: [published("JurD", "", 0).action], failed: ["JurE", "JurF"].map((name) => published(name, "", 0).action), overturned: false } };
  const reports = [report("RepD", "AuditorA", 7_300, "fail", 9_300, true), report("RepE", "AuditorB", 11_000, "fail", 8_700, true), report("RepF", "AuditorA", 19_000, "fail", 9_900, true)];
  return { ...nothing, reports, accusations: [accusation], convictions: [conviction], equivocations: [published("Proof", "AskerA", 60_000)], more: true };
}

function entry(id, change) {
  return { id, local: false, state: "loaded", problem: null, providers: [], context_tokens: 8_192, file_bytes: 0, details: null, unloads_in_s: null, ...change };
}

function network(label, name, is_founder) {
  const issued = is_founder ? [{ key: "0e".repeat(32), expires_at: (Date.now() + 6 * 24 * 3_600_000) * 1_000, agent: null }] : [];
  return { network: label, name, kind: "private", work_bits: 0, id: "0f".repeat(32), agent: SELF, is_founder, founders: is_founder ? [SELF] : ["uhCAkBoss"], bootstrap: "http://b:4000", relay: null, invite: null, issued, revoked: [] };
}

/** As many modules as the code of an invite has; no camera reads it. */
const QR = Array.from({ length: 81 }, (_, y) => Array.from({ length: 81 }, (_, x) => ((x * y + x + 3 * y) % 5 < 2 ? "1" : "0")).join(""));

/** Serves a world until `stop`. */
export async function startScripted(world = usualWorld()) {
  const startedMs = Date.now();
  const server = createServer((request, response) => void serve(request, response).catch(() => response.destroy()));
  const json = (response, body, status = 200) => {
    response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
    response.end(JSON.stringify(body));
  };

  async function serve(request, response) {
    const url = new URL(request.url, "http://127.0.0.1");
    if (world.stopped) return response.destroy();
    if (url.pathname === "/") return page(response);
    if (request.method === "GET" && existsSync(file(url.pathname))) {
      response.writeHead(200, { "content-type": TYPES[extname(url.pathname)] ?? "application/octet-stream", "content-security-policy": "default-src 'none'" });
      return response.end(readFileSync(file(url.pathname)));
    }
    if (request.method === "POST") return post(url.pathname, request, response);
    if (url.pathname.startsWith("/ainonymous/v1/findings/")) return json(response, findings(decodeURIComponent(url.pathname.split("/").at(-1))));
    if (url.pathname.startsWith("/ainonymous/v1/receipts/")) return json(response, receipt(url.pathname));
    switch (url.pathname) {
      case "/ainonymous/v1/status":
        return json(response, status());
      case "/ainonymous/v1/models":
        return json(response, { models: world.models });
      case "/ainonymous/v1/peers":
        return json(response, { read_ago_s: 3, peers: world.peers });
      case "/ainonymous/v1/networks":
      case "/ainonymous/v1/networks/members":
        if (request.headers["x-ainonymous-token"] !== TOKEN) return json(response, { error: { code: "page_token_needed", message: "no", hint: "no" } }, 403);
        return json(response, url.pathname.endsWith("members") ? { by_invitation: true, members: world.members } : world.networks);
      case "/ainonymous/v1/pulls":
        return json(response, { pulls: world.pulls });
      case "/ainonymous/v1/timeline":
        return json(response, timeline());
      case "/ainonymous/v1/catalogue":
        return json(response, { models: [{ name: "gemma-4-e2b", about_bytes: 2_900_000_000, memory_bytes: 5_000_000_000, note: "small and quick", licence: "apache-2.0", is_there: false }] });
      default:
        return json(response, { error: { code: "unknown_path", message: "no such path", hint: "look it up" } }, 404);
    }
  }

  function page(response) {
    const nonce = "a".repeat(32);
    const policy = `default-src 'none'; script-src 'self' 'nonce-${nonce}'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data:; font-src 'self'; manifest-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
    const start = `<script nonce="${nonce}">window.__AINONYMOUS_NODE__={"token":"${TOKEN}"};</script>`;
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy, "cache-control": "no-store" });
    response.end(readFileSync(join(DIST, "index.html"), "utf8").replace("<!--ainonymous-env-->", start));
  }

  async function post(path, request, response) {
    let text = "";
    for await (const part of request) text += part;
    const body = text === "" ? {} : JSON.parse(text);
    if (path === "/v1/chat/completions") return chat(body, request, response);
    if (path.endsWith("/verify")) return json(response, receipt(path));
    const isOrder = path.startsWith("/ainonymous/");
    if (isOrder && request.headers["x-ainonymous-token"] !== TOKEN) return json(response, { error: { code: "page_token_needed", message: "no", hint: "no" } }, 403);
    world.orders.push([path, body]);
    if (path.startsWith("/ainonymous/v1/networks")) return json(response, networkOrder(path, body));
    if (path === "/ainonymous/v1/pause") world.paused = body.paused;
    if (path === "/ainonymous/v1/pulls") world.pulls.push({ id: 1, model: body.model, state: "running", phase: "downloading", bytes_done: 1_200_000_000, bytes_total: 2_900_000_000, problem: null, hint: null });
    if (path === "/models/load" || path === "/models/unload") {
      for (const model of world.models) if (model.id === body.model) model.state = path === "/models/load" ? "loaded" : "unloaded";
    }
    json(response, {});
    if (path === "/ainonymous/v1/stop") world.stopped = true;
  }

  function networkOrder(path, body) {
    if (path.endsWith("/invite")) return { network: body.network, invite: `ainonymous-invite:${"aeaa4uton".repeat(40)}`, key: "0d".repeat(32), expires_at: (Date.now() + body.expires_s * 1_000) * 1_000, qr: QR };
    if (path.endsWith("/revoke")) {
      const revoked = { revoked: body.whom, state: "revoked" };
      world.networks.networks[0].revoked.push(revoked);
      return revoked;
    }
    const joined = network("joined", body.name ?? "Joined", body.name !== undefined);
    world.networks.networks.push(joined);
    return joined;
  }

  async function chat(body, request, response) {
    world.asked.push(body);
    const { pieces, everyMs, beforeMs = 20, queued = [], error = null, breaksAfter = Infinity } = world.answer(body);
    if (error !== null) return json(response, { error }, 502);
    const route = world.provider === null ? "local" : "direct";
    const headers = { "content-type": "text/event-stream", "x-ainonymous-id": "ab".repeat(16), "x-ainonymous-route": route, "x-ainonymous-reason": JSON.stringify({ kinship: "public", first_token_ms: 240, wait_ms: 0, basis: "measured", prefix_tokens: 128, milli_price: 0, reporters: 0, reported_worse_percent: 0, candidates: 2, probed: 2, near_equals: 1, last_resort: false, hedged: false }) };
    if (world.provider !== null) headers["x-ainonymous-provider"] = world.provider;
    response.writeHead(200, headers);
    let isGone = false;
    response.on("close", () => (isGone = true));
    for (const [place, waitMs] of queued) {
      response.write(`: queued ${place}\n\n`);
      await sleep(waitMs);
    }
    await sleep(beforeMs);
    const startedMs = performance.now();
    for (const [at, content] of pieces.entries()) {
      if (isGone) return;
      if (at >= breaksAfter) return response.destroy();
      const dueMs = startedMs + at * everyMs;
      if (dueMs > performance.now()) await sleep(dueMs - performance.now());
      if (at === 0) world.firstTokenMs = Date.now();
      response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`);
    }
    const seconds = (performance.now() - startedMs) / 1_000;
    const timings = { prompt_n: 24, predicted_n: pieces.length, predicted_per_second: pieces.length / seconds, provider_first_token_ms: beforeMs };
    const ainonymous = { provider: world.provider, model_spec: "uhCEkSpecSpecSpecSpecSpecSpecSpecSpecSpecSpecSpecSpec1", route, receipt_path: world.provider === null ? null : "/ainonymous/v1/receipts/ab" };
    response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }], timings, ainonymous })}\n\n`);
    response.end("data: [DONE]\n\n");
  }

  function status() {
    const info = { context_tokens: 32_768, backend: "cuda", backend_detail: "NVIDIA RTX 3060", file_bytes: 4_980_000_000, gpu_layers: 36, layers: 35, threads: 8, images: world.takesImages ?? false };
    const engine = { running: 1, queued: 2, restarts: 0, worker_rss_bytes: 5_600_000_000 };
    return {
      ...{ version: "0.1.0", phase: world.phase, network: world.network, agent: SELF, dna_hash: "uhC0kNetworkNetworkNetworkNetworkNetworkNetworkNetwor1", share: true, paused: world.paused },
      models: world.models.filter(({ local }) => local).map(({ id, state }) => (state === "loaded" ? { id, state: "ready", info, engine } : { id, state: "resting" })),
      counters: { asked: 41, answered: 318, refused: 7, retried: 1, receipts_published: 318, receipts_checked: 40 },
      ...{ uptime_s: 19_400, rss_bytes: 290_000_000, audits: world.audits },
    };
  }

  /** Busy by day: the counts of six hours. */
  function timeline() {
    const now = Math.floor(startedMs / 1_000);
    let [asked, answered] = [0, 0];
    const samples = Array.from({ length: 540 }, (_, at) => {
      answered += Math.sin(at / 40) > 0.1 ? (at * 7) % 3 : at % 9 === 0 ? 1 : 0;
      asked += at % 41 === 0 ? 3 : 0;
      return { at_s: now - (540 - at) * 20, asked, answered, refused: 0 };
    });
    return { every_s: 20, samples };
  }

  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    world,
    url: `http://127.0.0.1:${server.address().port}/`,
    stop: () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections())),
  };
}

function file(path) {
  return join(DIST, normalize(path));
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
