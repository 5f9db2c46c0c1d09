import * as fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Row } from '#src/bench/model.js';
import { absentRow, type Bench, type Custom, type Entry, program } from '../entry.js';
import type { LibraryCall } from '../library.js';
import { run } from '../programs.js';
import { KERNELS, KERNELS_PROGRAM } from './kernels.js';

const LIBRARY = fileURLToPath(new URL('../library.js', import.meta.url));
const MiB = 2 ** 20;

/** A program that does something `times` times; what `more` take beyond what `fewer` take is counted. */
interface Counted {
  command: (times: number) => readonly string[];
  fewer: number;
  more: number;
  /** Units that one time handles. */
  units: number;
}

/** One count as it is: of a whole process. */
interface Whole {
  command: readonly string[];
}

interface Count {
  id: string;
  name: string;
  ours: Counted;
  rival: { name: string; count: Counted | Whole };
}

/**
 * Instructions executed, counted by callgrind: the same on every machine of the architecture, whatever else runs. What a
 * program takes to start is in both of two counts and cancels out in their difference. Callgrind knows no AVX-512, so
 * its kernels are not among those counted. The overlay is counted in Node itself, single-threaded: the JavaScript is
 * the larger part of it.
 */
export function instructionCases(bench: Bench): Entry[] {
  const { inputs } = bench;
  const folder = inputs.scratch('instructions');
  const backingFile = inputs.path('raw');
  const zeros = (mebibytes: number): string => `${folder}/${mebibytes}.zeros`;
  const digested = { fewer: 8, more: 24, units: MiB };
  const kernel = (set: string, form: 'one' | 'many'): Counted => ({
    ...digested,
    command: (times) => [KERNELS_PROGRAM, '--fixed', set, form, String(times)],
  });
  const openssl: Count['rival'] = {
    name: 'openssl dgst -md5',
    count: { ...digested, command: (times) => ['openssl', 'dgst', '-md5', zeros(times)] },
  };
  const overlays: LibraryCall = { call: 'createImage', warm: false, request: { folder, backingFile } };
  const counts: Count[] = [
    ...(['portable', 'scalar'] as const).map((set) => ({
      id: `instructions-md5-${set}`,
      name: `md5, one stream, ${set} kernel, of a byte`,
      ours: kernel(set, 'one'),
      rival: openssl,
    })),
    {
      id: 'instructions-md5-avx2',
      name: 'md5 of each 64 KiB, avx2 kernel, of a byte',
      ours: kernel('avx2', 'many'),
      rival: openssl,
    },
    {
      id: 'instructions-overlay',
      name: 'create an overlay, library, no flush, of each',
      ours: {
        command: (times) => [
          process.execPath,
          '--single-threaded',
          LIBRARY,
          JSON.stringify({ ...overlays, times }),
        ],
        fewer: 100,
        more: 300,
        units: 1,
      },
      rival: {
        name: 'qemu-img create, the process',
        count: {
          command: [
            'qemu-img',
            'create',
            '-q',
            '-f',
            'qcow2',
            '-b',
            backingFile,
            '-F',
            'raw',
            `${folder}/rival`,
          ],
        },
      },
    },
  ];
  const prepare = (): void => {
    inputs.make('raw');
    // Builds it: callgrind would not follow the script into the program.
    run(KERNELS, '--fixed', 'portable', 'one', '1');
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder);
    for (const size of [digested.fewer, digested.more])
      fs.writeFileSync(zeros(size), Buffer.alloc(size * MiB));
  };
  return counts.map((count) => {
    const entry = { id: count.id, group: 'Instructions', name: count.name };
    return {
      ...entry,
      measure: async () => {
        const absent = bench.programs.lacks('valgrind', 'openssl');
        if (absent) return [absentRow(entry, absent)];
        prepare();
        try {
          return [await countRow(bench, entry, count)];
        } finally {
          fs.rmSync(folder, { recursive: true });
        }
      },
    };
  });
}

async function countRow(
  bench: Bench,
  entry: Pick<Custom, 'id' | 'group' | 'name'>,
  { ours, rival }: Count,
): Promise<Row> {
  const instructions = await each(bench, ours);
  const { count } = rival;
  const theirInstructions =
    'units' in count ? await each(bench, count) : await collected(bench, count.command);
  const ratio = theirInstructions / instructions;
  return {
    ...entry,
    terms: `callgrind; the difference of ${ours.more} and ${ours.fewer} times`,
    cache: 'none',
    durability: 'none',
    rounds: 1,
    instructions,
    rival: rival.name,
    theirInstructions,
    ratio: { median: ratio, min: ratio, max: ratio, mad: 0 },
    checks: [],
  };
}

async function each(bench: Bench, { command, fewer, more, units }: Counted): Promise<number> {
  const difference = (await collected(bench, command(more))) - (await collected(bench, command(fewer)));
  return difference / (more - fewer) / units;
}

async function collected(bench: Bench, command: readonly string[]): Promise<number> {
  const words = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', '--trace-children=no'];
  const { stderr } = await program(bench, ...words, ...command)();
  const found = /Collected : (\d+)/.exec(stderr);
  if (!found) throw new Error(`callgrind counted nothing: ${stderr}`);
  return Number(found[1]);
}
