// Words of the command line.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './programs.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;

export interface Options {
  full: boolean;
  /** Words of which one must be in the id, group or name of a row; empty: all. */
  only: string[];
  /** Counted rounds of rows that have no number of their own. */
  rounds: number;
  /** Bytes of data in the inputs. */
  dataBytes: number;
  folder: string;
  list: boolean;
  help: boolean;
  /** Update docs/performance.* and README.md. */
  write: boolean;
  json?: string;
  baseline?: string;
}

export const USAGE = `usage: npm run bench[:full] -- [options]
  --full            all rows (bench:full); else those that together take some minutes
  --only WORD,...   rows with one of these words in their id, group or name
  --rounds N        counted rounds (default: 3, full 5)
  --data SIZE       data in the inputs, a power of two from 64M (default: 256M, full 1G)
  --folder DIR      where inputs and results lie (default: bench/work); inputs are kept for the next run
  --list            only name the rows
  --json FILE       write the report to FILE
  --baseline FILE   compare with the report of an earlier run; exit 1 when a ratio fell by more than 15 %
  --write           update docs/performance.* and the table of README.md
`;

/** @throws Error with a sentence for wrong words. */
export function parseOptions(words: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...words],
    options: {
      full: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      rounds: { type: 'string' },
      data: { type: 'string' },
      folder: { type: 'string', default: join(ROOT, 'bench/work') },
      list: { type: 'boolean', default: false },
      json: { type: 'string' },
      baseline: { type: 'string' },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { full, only, folder, list, write, json, baseline, help } = values;
  const rounds = Number(values.rounds ?? (full ? 5 : 3));
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds ${values.rounds}: not a number of rounds`);
  const dataBytes = sizeOf(values.data ?? (full ? '1G' : '256M'));
  return {
    full,
    only: only.split(',').filter(Boolean),
    rounds,
    dataBytes,
    folder: join(folder, values.data ?? (full ? '1G' : '256M')),
    list,
    help,
    write,
    json,
    baseline,
  };
}

function sizeOf(text: string): number {
  const [, number, unit] = /^(\d+)([MG])$/.exec(text) ?? [];
  const size = Number(number) * (unit === 'G' ? GiB : MiB);
  if (!(size >= 64 * MiB && size <= 64 * GiB && Number.isInteger(Math.log2(size)))) {
    throw new Error(`--data ${text}: not a power of two from 64M to 64G`);
  }
  return size;
}
