// Interleaved rounds, medians, ratios.
import type { Measured } from './process.js';

export interface Side {
  /** Undoes the round before, untimed. */
  before?: () => void | Promise<void>;
  work: () => Measured | Promise<Measured>;
  /** How many units one `work` makes (overlays in a group); times are divided by it. */
  units?: number;
}

export interface Case {
  name: string;
  /** What makes the two sides equal: cache mode, durability, warm or cold. */
  terms: string;
  ours: Side;
  rival: Side;
  rivalName: string;
  /** Ratio rival/ours to reach, and whether more than that is promised in the README. */
  target?: number;
  /** After the last round: proves both results right (qemu-img compare …); returns sizes to compare, bytes. */
  verify?: () => { ours: number; rival: number } | undefined;
  rounds?: number;
}

export interface Row {
  name: string;
  terms: string;
  rivalName: string;
  ours: Median;
  rival: Median;
  /** rival wall time / ours: above 1 we are faster. */
  ratio: number;
  target?: number;
  sizes?: { ours: number; rival: number };
  rounds: number;
}

export interface Median {
  wall: number;
  cpu: number;
  peakMemory: number;
}

/** Runs both sides in turn, who goes first changing each round; the first round warms up and is not counted. */
export async function compare(entry: Case, rounds: number): Promise<Row> {
  const counted = entry.rounds ?? rounds;
  const ours: Measured[] = [];
  const rival: Measured[] = [];
  for (let round = 0; round <= counted; round++) {
    const order: [Side, Measured[]][] = [
      [entry.ours, ours],
      [entry.rival, rival],
    ];
    if (round % 2) order.reverse();
    for (const [side, list] of order) {
      await side.before?.();
      const measured = await side.work();
      const units = side.units ?? 1;
      if (round > 0) list.push({ ...measured, wall: measured.wall / units, cpu: measured.cpu / units });
    }
  }
  const sizes = entry.verify?.();
  const a = median(ours);
  const b = median(rival);
  return {
    name: entry.name,
    terms: entry.terms,
    rivalName: entry.rivalName,
    ours: a,
    rival: b,
    ratio: b.wall / a.wall,
    target: entry.target,
    sizes,
    rounds: counted,
  };
}

function median(list: Measured[]): Median {
  const middle = (pick: (m: Measured) => number): number => {
    const sorted = list.map(pick).sort((x, y) => x - y);
    const half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };
  return {
    wall: middle((m) => m.wall),
    cpu: middle((m) => m.cpu),
    peakMemory: Math.max(...list.map((m) => m.peakMemory)),
  };
}
