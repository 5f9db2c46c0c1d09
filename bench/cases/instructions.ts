import * as fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Row } from '#src/bench/model.js';
import { absentRow, type Bench, type Custom, type Entry } from '../entry.js';
import type { LibraryCall } from '../library.js';

const LIBRARY = fileURLToPath(new URL('../library.js', import.meta.url));
const MiB = 2 ** 20;
const BYTES = 32 * MiB;
const CHUNK = MiB;

/** One thing counted, per unit: what `more` calls take beyond what `fewer` take. */
interface Counted {
  id: string;
  name: string;
  unit: string;
  /** Units that one call handles. */
  units: number;
  call: LibraryCall;
  fewer: number;
  more: number;
  env?: Record<string, string>;
  rival?: { name: string; call?: LibraryCall; command?: string[] };
}

/**
 * Instructions executed, counted by callgrind: the same on every machine of the architecture, whatever else runs. Node
 * itself runs under callgrind, single-threaded; its start is in both of two counts and cancels out in their difference.
 * Callgrind knows no AVX-512, so the kernels counted are those that BASECOW_MD5 names.
 */
export function instructionCases(bench: Bench): Entry[] {
  const { inputs } = bench;
  const path = inputs.scratch('instructions.raw');
  const folder = inputs.scratch('instructions');
  const backingFile = inputs.path('raw');
  const hash = (request: Record<string, unknown>): LibraryCall => ({
    call: 'hash',
    warm: false,
    request: { path, ...request },
    settings: { threads: 1 },
  });
  const digest = (kernel: string, name: string, call: LibraryCall, rival?: Counted['rival']): Counted => ({
    id: `instructions-md5-${kernel}-${call.request.chunkSize ? 'chunks' : 'whole'}`,
    name,
    unit: 'byte',
    units: BYTES,
    call,
    fewer: 1,
    more: 3,
    env: { BASECOW_MD5: kernel },
    rival,
  });
  const whole = hash({ algorithms: ['md5'] });
  const chunks = hash({ algorithms: [], chunkSize: CHUNK });
  const node = {
    name: "Node's createHash",
    call: { call: 'nodeHash', warm: false, request: { path } },
  } as const;
  const counted: Counted[] = [
    digest('portable', 'md5 of a file, portable kernel, of a byte', whole, node),
    digest('scalar', 'md5 of a file, BMI1 kernel, of a byte', whole, node),
    digest('avx2', 'md5 of each 1 MiB, AVX2 kernel, of a byte', chunks, node),
    {
      id: 'instructions-overlay',
      name: 'create an overlay, library, no flush, of each',
      unit: 'overlay',
      units: 1,
      call: { call: 'createImage', warm: false, request: { folder, backingFile } },
      fewer: 100,
      more: 300,
      rival: {
        name: 'qemu-img create, the process',
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
  ];
  return counted.map((one) => {
    const entry = { id: one.id, group: 'Instructions', name: one.name };
    return {
      ...entry,
      measure: async () => {
        const absent = bench.programs.lacks('valgrind');
        if (absent) return [absentRow(entry, absent)];
        prepare(bench, path, folder);
        try {
          return [await counts(bench, entry, one)];
        } finally {
          fs.rmSync(folder, { recursive: true });
          fs.rmSync(path);
        }
      },
    };
  });
}

function prepare({ inputs }: Bench, path: string, folder: string): void {
  inputs.make('raw');
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder);
  fs.writeFileSync(path, Buffer.alloc(BYTES, 'instructions'));
}

async function counts(
  bench: Bench,
  entry: Pick<Custom, 'id' | 'group' | 'name'>,
  one: Counted,
): Promise<Row> {
  const per = async (call: LibraryCall): Promise<number> => {
    const at = (times: number): Promise<number> =>
      collected(
        bench,
        [process.execPath, '--single-threaded', LIBRARY, JSON.stringify({ ...call, times })],
        one.env,
      );
    return ((await at(one.more)) - (await at(one.fewer))) / (one.more - one.fewer) / one.units;
  };
  const instructions = await per(one.call);
  const { rival } = one;
  const row: Row = {
    ...entry,
    terms: `callgrind; (${one.more} calls - ${one.fewer} calls) / ${one.more - one.fewer}, of each ${one.unit}`,
    cache: 'none',
    durability: 'none',
    rounds: 1,
    instructions,
    checks: [],
  };
  if (!rival) return row;
  const theirs = rival.command ? await collected(bench, rival.command) : await per(rival.call!);
  const ratio = theirs / instructions;
  return {
    ...row,
    rival: rival.name,
    theirInstructions: theirs,
    ratio: { median: ratio, min: ratio, max: ratio, mad: 0 },
  };
}

async function collected(
  { meter, signal }: Bench,
  command: readonly string[],
  env?: Record<string, string>,
): Promise<number> {
  const words = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', '--trace-children=no'];
  const { stderr } = await meter.run([...words, ...command], { signal, env });
  const found = /Collected : (\d+)/.exec(stderr);
  if (!found) throw new Error(`callgrind counted nothing: ${stderr}`);
  return Number(found[1]);
}
