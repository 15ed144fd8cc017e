// Where peers and models stand in the picture: a peer as far to the right as its round trip is long, a model at the right edge,
// a line where one serves the other. Pure.
import type { NetworkPicture, Peer } from "../chat/backend";

export const WIDTH = 720;
const ROW_PX = 40;
const TOP_PX = 34;
const LEFT_PX = 60;
/** Where the axis of round trips ends, and where peers stand whose distance nobody knows. */
const AXIS_END_PX = 330;
const UNKNOWN_PX = 395;
const MODELS_PX = 540;
/** Longest round trip that the axis tells apart, in milliseconds. */
const ROUND_TRIP_MAX_MS = 1_000;
const PEERS_MAX = 24;

export interface PlacedPeer {
  readonly peer: Peer;
  readonly x: number;
  readonly y: number;
}

export interface PlacedModel {
  readonly id: string;
  readonly label: string;
  readonly x: number;
  readonly y: number;
  readonly providers: number;
}

export interface Line {
  readonly d: string;
  readonly peer: string;
  readonly model: string;
  /** In pixels: thicker is faster. */
  readonly width: number;
}

export interface Graph {
  readonly height: number;
  readonly peers: readonly PlacedPeer[];
  readonly models: readonly PlacedModel[];
  readonly lines: readonly Line[];
  readonly ticks: readonly { readonly ms: number; readonly x: number }[];
  /** Peers for which there was no room. */
  readonly left: number;
  readonly hasUnknown: boolean;
}

/** One's own node first, then nearer ones. */
export function nearestFirst(peers: readonly Peer[]): Peer[] {
  const distance = (peer: Peer) => (peer.kinship === "self" ? -1 : (peer.roundTripMs ?? Number.MAX_SAFE_INTEGER));
  return peers.toSorted((a, b) => distance(a) - distance(b) || (a.key < b.key ? -1 : 1));
}

export function graphOf({ peers: all }: NetworkPicture): Graph {
  const sorted = nearestFirst(all);
  const shown = sorted.slice(0, PEERS_MAX);
  const peers = shown.map((peer, row) => ({ peer, x: xOf(peer), y: TOP_PX + row * ROW_PX }));
  const labels = new Map<string, { label: string; providers: number }>();
  for (const { models } of shown) {
    for (const { id, label } of models) {
      labels.set(id, { label, providers: (labels.get(id)?.providers ?? 0) + 1 });
    }
  }
  const most = Math.max(peers.length, labels.size, 1);
  const gap = labels.size > 1 ? ((most - 1) * ROW_PX) / (labels.size - 1) : 0;
  const first = labels.size > 1 ? TOP_PX : TOP_PX + ((most - 1) * ROW_PX) / 2;
  const models = [...labels]
    .sort(([, a], [, b]) => b.providers - a.providers || (a.label < b.label ? -1 : 1))
    .map(([id, { label, providers }], row) => ({ id, label, providers, x: MODELS_PX, y: first + row * gap }));
  const lines = peers.flatMap(({ peer, x, y }) =>
    peer.models.flatMap(({ id, tokensPerS }): Line[] => {
      const model = models.find((placed) => placed.id === id);
      if (model === undefined) return [];
      const middle = (x + model.x) / 2;
      const d = `M${x} ${y}C${middle} ${y} ${middle} ${model.y} ${model.x - 8} ${model.y}`;
      return [{ d, peer: peer.key, model: id, width: widthOf(tokensPerS) }];
    }),
  );
  return {
    height: TOP_PX + (most - 1) * ROW_PX + 58,
    peers,
    models,
    lines,
    ticks: [1, 10, 100, ROUND_TRIP_MAX_MS].map((ms) => ({ ms, x: onAxis(ms) })),
    left: sorted.length - shown.length,
    hasUnknown: shown.some((peer) => peer.kinship !== "self" && peer.roundTripMs === null),
  };
}

function xOf({ kinship, roundTripMs }: Peer): number {
  if (kinship === "self") return LEFT_PX / 2;
  return roundTripMs === null ? UNKNOWN_PX : onAxis(roundTripMs);
}

/** Ten times as long is one step further. */
function onAxis(ms: number): number {
  const share = Math.log10(Math.min(ROUND_TRIP_MAX_MS, Math.max(1, ms))) / Math.log10(ROUND_TRIP_MAX_MS);
  return Math.round(LEFT_PX + share * (AXIS_END_PX - LEFT_PX));
}

function widthOf(tokensPerS: number): number {
  return Math.min(5, 1 + Math.log10(1 + tokensPerS));
}
