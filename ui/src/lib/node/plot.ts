// Counts over time as a drawing: how many in each interval, from counters that only grow. Pure.
import type { Sample, Timeline } from "../sidecar/types";

export const WIDTH = 640;
export const HEIGHT = 120;
const FOOT_PX = 18;
/** Most bars; several intervals become one where there are more. */
const BARS_MAX = 96;

export interface Bar {
  readonly x: number;
  readonly width: number;
  readonly y: number;
  readonly height: number;
  readonly count: number;
  /** Seconds since the epoch, the end of the interval. */
  readonly atS: number;
}

export interface Plot {
  readonly bars: readonly Bar[];
  readonly most: number;
  readonly total: number;
  /** Seconds that the whole plot covers. */
  readonly spanS: number;
}

type Counter = Exclude<keyof Sample, "at_s">;

export function plotOf({ every_s, samples }: Timeline, counter: Counter): Plot {
  const steps = samples.slice(1).map((sample, index) => ({
    atS: sample.at_s,
    // A counter that fell was started anew.
    count: Math.max(0, sample[counter] - (samples[index]?.[counter] ?? 0)),
  }));
  const size = Math.max(1, Math.ceil(steps.length / BARS_MAX));
  const joined: { atS: number; count: number }[] = [];
  for (let at = 0; at < steps.length; at += size) {
    const part = steps.slice(at, at + size);
    joined.push({ atS: part.at(-1)?.atS ?? 0, count: part.reduce((sum, { count }) => sum + count, 0) });
  }
  const most = Math.max(0, ...joined.map(({ count }) => count));
  const width = WIDTH / Math.max(joined.length, 24);
  const room = HEIGHT - FOOT_PX - 4;
  const bars = joined.map(({ atS, count }, index) => {
    const height = most === 0 ? 0 : Math.max(count > 0 ? 2 : 0, (count / most) * room);
    return { x: index * width, width: Math.max(1, width - 1.5), y: HEIGHT - FOOT_PX - height, height, count, atS };
  });
  const total = joined.reduce((sum, { count }) => sum + count, 0);
  return { bars, most, total, spanS: steps.length * every_s };
}
