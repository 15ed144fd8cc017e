import { describe, expect, it } from "vitest";
import type { NetworkPicture, Peer } from "../chat/backend";
import { graphOf, nearestFirst } from "./graph";
import { plotOf } from "../node/plot";

const peer = (key: string, roundTripMs: number | null, models: string[], kinship: Peer["kinship"] = "public"): Peer => ({
  ...{ key, kinship, device: "", route: "direct", roundTripMs, waiting: null, freeSlots: null, slots: null, heardAgoS: null, isFailing: false },
  models: models.map((id) => ({ id, label: id, tokensPerS: 10, isMeasured: true })),
});
const picture = (...peers: Peer[]): NetworkPicture => ({ self: null, network: null, peers, online: null, readAgoS: null, audits: null });

describe("the picture of the network", () => {
  it("puts further peers further away, and unknown ones apart", () => {
    const seen = picture(peer("c", null, ["m"]), peer("b", 100, ["m"]), peer("a", 2, ["m", "n"]), peer("me", 0, [], "self"));
    expect(nearestFirst(seen.peers).map(({ key }) => key)).toEqual(["me", "a", "b", "c"]);
    const graph = graphOf(seen);
    const xs = graph.peers.map(({ x }) => x);
    expect(xs).toEqual(xs.toSorted((a, b) => a - b));
    expect(graph.models.map(({ id, providers }) => [id, providers])).toEqual([["m", 3], ["n", 1]]);
    expect(graph.lines).toHaveLength(4);
    expect(graph.hasUnknown).toBe(true);
  });

  it("is bounded", () => {
    const graph = graphOf(picture(...Array.from({ length: 100 }, (_, at) => peer(String(at), at, ["m"]))));
    expect([graph.peers.length, graph.left]).toEqual([24, 76]);
  });

  it("stands when nobody is there", () => {
    expect(graphOf(picture())).toMatchObject({ peers: [], models: [], lines: [], left: 0 });
  });
});

describe("a plot of counts", () => {
  const samples = (counts: number[]) => ({ every_s: 20, samples: counts.map((asked, at) => ({ at_s: at * 20, asked, answered: 0, refused: 0 })) });

  it("shows what was added in each interval", () => {
    const plot = plotOf(samples([5, 5, 8, 9]), "asked");
    expect([plot.total, plot.most, plot.spanS]).toEqual([4, 3, 60]);
    expect(plot.bars.map(({ count }) => count)).toEqual([0, 3, 1]);
    expect(plot.bars[1]!.height).toBeGreaterThan(plot.bars[2]!.height);
  });

  it("joins intervals where there are many, and survives an empty one", () => {
    const plot = plotOf(samples(Array.from({ length: 1_081 }, (_, at) => at)), "asked");
    expect(plot.bars.length).toBeLessThanOrEqual(96);
    expect(plot.total).toBe(1_080);
    expect(plotOf(samples([]), "asked")).toMatchObject({ bars: [], total: 0 });
  });
});
