import { join } from 'node:path';
import type { Figures, Row } from '#src/bench/model.js';
import { type Bench, type Entry, program } from '../entry.js';
import { ROOT } from '../programs.js';

/** What bench/codec prints with --json. */
interface CodecReport {
  /** Bytes of the sample. */
  bytes: number;
  rounds: number;
  rows: {
    group: string;
    name: string;
    megabytesPerSecond: number;
    speedRatio: number;
    /** Bytes compressed. */
    bytes: number;
    sizeRatio: number;
  }[];
}

const NAMES: Readonly<Record<string, string>> = {
  deflate: 'deflate clusters in memory',
  inflate: 'inflate clusters in memory',
  zstd: 'zstd: compress clusters in memory',
  unzstd: 'zstd: decompress clusters in memory',
};

/** The codecs alone: one thread, in memory, the way QEMU calls its libraries as the rival. */
export function codecCases(bench: Bench): Entry[] {
  const { inputs } = bench;
  const entry = { id: 'codec', group: 'Codecs', name: 'codecs in memory' };
  return [
    {
      ...entry,
      measure: async (rounds) => {
        inputs.make('raw');
        const words = [
          join(ROOT, 'bench/codec/run.sh'),
          '--json',
          '--rounds',
          String(rounds),
          inputs.path('raw'),
        ];
        const { stdout } = await program(bench, ...words)();
        return codecRows(JSON.parse(stdout));
      },
    },
  ];
}

export function codecRows({ bytes, rounds, rows }: CodecReport): Row[] {
  const rivals = new Map(rows.filter(({ name }) => name.endsWith('as QEMU')).map((one) => [one.group, one]));
  const figures = (megabytes: number): Figures => {
    const wall = bytes / (megabytes * 1e6);
    return { wall: { median: wall, min: wall, max: wall, mad: 0 } };
  };
  return rows
    .filter(({ name }) => !name.endsWith('as QEMU'))
    .map(({ group, name, megabytesPerSecond, speedRatio, bytes: size }) => {
      const rival = rivals.get(group)!;
      return {
        id: `codec-${group}-${name}`,
        group: 'Codecs',
        name: `${NAMES[group] ?? group}: ${name}`,
        terms: `one thread, CPU time, best of ${rounds} rounds`,
        cache: 'none',
        durability: 'none',
        rounds,
        bytes,
        ours: figures(megabytesPerSecond),
        rival: rival.name,
        theirs: figures(rival.megabytesPerSecond),
        ratio: { median: speedRatio, min: speedRatio, max: speedRatio, mad: 0 },
        sizes: { ours: size, rival: rival.bytes },
        checks: [],
      };
    });
}
