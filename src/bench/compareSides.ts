// Interleaved rounds: machine noise meets all sides alike.
import type { Case, Check, CheckKind, Figures, Rival, Row, Sample, Side, Targets } from './model.js';
import { median, pairRatio, spread } from './statistics.js';

export interface CompareOptions {
  rounds: number;
  /** Checked between runs. */
  signal?: AbortSignal;
}

type Present = Exclude<Rival, { absent: string }>;

/**
 * Runs all sides in turn, another one first each round; the first round warms up and is not counted (but for cases
 * with a cold cache). Gives one row for each rival, or one without when there is none.
 */
export async function compareSides(entry: Case, { rounds, signal }: CompareOptions): Promise<Row[]> {
  const counted = entry.rounds ?? rounds;
  const rivals = entry.rivals.filter((rival): rival is Present => !('absent' in rival));
  const sides: Side[] = [entry.ours, ...rivals];
  const samples: Sample[][] = sides.map(() => []);
  try {
    await entry.setUp?.();
    for (let round = entry.cache === 'cold' ? 1 : 0; round <= counted; round++) {
      for (let i = 0; i < sides.length; i++) {
        const at = (i + round) % sides.length;
        signal?.throwIfAborted();
        await sides[at].before?.();
        const sample = await sides[at].work();
        if (round > 0) samples[at].push(perUnit(sample, sides[at].units ?? 1));
      }
    }
    const sizes = await entry.verify?.();
    return rowsOf(entry, counted, samples, sizes);
  } finally {
    await entry.cleanUp?.();
  }
}

function perUnit({ wall, cpu, peakMemory }: Sample, units: number): Sample {
  return { wall: wall / units, cpu: cpu === undefined ? undefined : cpu / units, peakMemory };
}

function rowsOf(entry: Case, rounds: number, samples: Sample[][], sizes: Row['sizes']): Row[] {
  const { id, group, name, terms, cache, durability, bytes, targets = {} } = entry;
  const common = { group, name, terms, cache, durability, rounds, bytes };
  const ours = figures(samples[0]);
  const absolute = absoluteChecks(entry, ours, sizes, targets);
  if (entry.rivals.length === 0) return [{ id, ...common, ours, checks: absolute }];
  let next = 1;
  return entry.rivals.map((rival, index) => {
    // Absolute targets are ours alone: told once, with the first rival.
    const own = index === 0 ? absolute : [];
    const row = { id: `${id}/${rival.name}`, ...common, ours, rival: rival.name, checks: own };
    if ('absent' in rival) return { ...row, absent: rival.absent };
    const theirs = samples[next++];
    const ratio = pairRatio(
      samples[0].map((sample) => sample.wall),
      theirs.map((sample) => sample.wall),
    );
    const checks = rival.target === undefined ? own : [atLeast('ratio', rival.target, ratio.median), ...own];
    return { ...row, theirs: figures(theirs), ratio, sizes: index === 0 ? sizes : undefined, checks };
  });
}

export function figures(samples: readonly Sample[]): Figures {
  const cpu = samples.map((sample) => sample.cpu).filter((value) => value !== undefined);
  const memory = samples.map((sample) => sample.peakMemory).filter((value) => value !== undefined);
  return {
    wall: spread(samples.map((sample) => sample.wall)),
    cpu: cpu.length > 0 ? median(cpu) : undefined,
    peakMemory: memory.length > 0 ? Math.max(...memory) : undefined,
  };
}

function absoluteChecks({ bytes }: Case, ours: Figures, sizes: Row['sizes'], targets: Targets): Check[] {
  const checks: Check[] = [];
  if (targets.milliseconds !== undefined)
    checks.push(atMost('milliseconds', targets.milliseconds, ours.wall.median * 1e3));
  if (targets.throughput !== undefined && bytes !== undefined) {
    checks.push(atLeast('throughput', targets.throughput, bytes / ours.wall.median));
  }
  if (targets.size !== undefined && sizes)
    checks.push(atMost('size', targets.size, sizes.ours / sizes.rival));
  if (targets.memory !== undefined && ours.peakMemory !== undefined) {
    checks.push(atMost('memory', targets.memory, ours.peakMemory));
  }
  return checks;
}

export function atLeast(kind: CheckKind, target: number, value: number): Check {
  return { kind, target, value, met: value >= target };
}

export function atMost(kind: CheckKind, target: number, value: number): Check {
  return { kind, target, value, met: value <= target };
}
