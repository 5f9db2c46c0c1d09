import { join } from 'node:path';
import { atLeast } from '#src/bench/compareSides.js';
import type { Check, Figures, Row } from '#src/bench/model.js';
import { type Bench, type Entry, program } from '../entry.js';
import { ROOT } from '../programs.js';

/** Builds what it needs, then runs it. */
export const KERNELS = join(ROOT, 'bench/kernels/run.sh');
/** What that makes. */
export const KERNELS_PROGRAM = join(ROOT, 'build-bench/kernels-md5');

/** What bench/kernels prints with --json. */
interface KernelReport {
  /** Kernels that basecow chose here. */
  choice: string;
  openssl: string;
  rows: { kernel: string; what: string; bytes: number; megabytesPerSecond: number; cyclesPerByte: number }[];
}

/** Chunks in memory, of the set that is chosen here. */
const CHUNKS = 'chunks of 1 MiB, 256 MiB';
const AVX512 = 11e9;
const AVX2 = 6e9;

/** The MD5 kernels alone, in memory, on one core. */
export function kernelCases(bench: Bench): Entry[] {
  const entry = { id: 'kernels', group: 'MD5', name: 'MD5 kernels in memory' };
  return [
    {
      ...entry,
      measure: async () => {
        const { stdout } = await program(bench, KERNELS, '--json')();
        return kernelRows(JSON.parse(stdout));
      },
    },
  ];
}

export function kernelRows({ rows }: KernelReport): Row[] {
  const openssl = new Map(rows.filter(({ kernel }) => kernel === 'openssl').map((row) => [row.what, row]));
  // Sets are listed best first by the processor's vendor.
  const chosen = rows.find(({ what }) => what === CHUNKS)?.kernel;
  return (
    rows
      // How many streams it takes to be fast is told for the chosen set only.
      .filter(({ kernel, what }) => kernel !== 'openssl' && (kernel === chosen || !what.endsWith('hot')))
      .map(({ kernel, what, bytes, megabytesPerSecond, cyclesPerByte }) => {
        const rival = openssl.get(what);
        const checks: Check[] = [];
        const rate = megabytesPerSecond * 1e6;
        if (what === CHUNKS && kernel === chosen && kernel.startsWith('avx512')) {
          checks.push(atLeast('throughput', AVX512, rate));
        }
        if (what === CHUNKS && kernel === 'avx2') checks.push(atLeast('throughput', AVX2, rate));
        const ratio = rival && megabytesPerSecond / rival.megabytesPerSecond;
        return {
          id: `kernels-${kernel}-${what}`,
          group: 'MD5',
          name: `${kernel} in memory: ${what}`,
          terms: 'one thread, CPU time, medians of interleaved rounds',
          cache: 'none',
          durability: 'none',
          rounds: 7,
          bytes,
          ours: figures(bytes, megabytesPerSecond),
          ...(rival &&
            ratio && {
              rival: 'OpenSSL in memory',
              theirs: figures(bytes, rival.megabytesPerSecond),
              ratio: { median: ratio, min: ratio, max: ratio, mad: 0 },
            }),
          checks,
          note: `${cyclesPerByte.toFixed(2)} cycles/byte`,
        };
      })
  );
}

function figures(bytes: number, megabytesPerSecond: number): Figures {
  const wall = bytes / (megabytesPerSecond * 1e6);
  return { wall: { median: wall, min: wall, max: wall, mad: 0 } };
}
