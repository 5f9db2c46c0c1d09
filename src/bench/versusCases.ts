// The rows of bench-vs.
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createImage } from '../operations/create.js';
import { info } from '../operations/info.js';
import { measureEach, measureHere, ProgramError, type ProgramMeter, type ProgramOptions } from './measure.js';
import type { Case, Rival, Side } from './model.js';

/** Where everything is, and how programs are run. */
export interface Bench {
  /** Scratch folder; holds `disk.raw`. */
  folder: string;
  /** basecow's command line, as words. */
  basecow: readonly string[];
  /** qemu-img. */
  rival: string;
  /** Not there: its rows are told as absent. */
  md5sum?: string;
  /** The rival knows zstd. */
  zstd: boolean;
  /** Bytes of the disk. */
  size: number;
  meter: ProgramMeter;
  options: ProgramOptions;
}

/** Calls, and processes, that one round of a library's row takes. */
const CALLS = 20;
const PROCESSES = 5;
const EMPTY_SIZE = 2 ** 40;

interface Conversion {
  id: string;
  name: string;
  words: string[];
  source: string;
  to: 'raw' | 'qcow2';
}

const ZSTD = ['-c', '-o', 'compression_type=zstd'];

const CONVERSIONS: readonly Conversion[] = [
  { id: 'raw-qcow2', name: 'convert raw to qcow2', words: ['-f', 'raw'], source: 'disk.raw', to: 'qcow2' },
  { id: 'raw-raw', name: 'convert raw to raw', words: ['-f', 'raw'], source: 'disk.raw', to: 'raw' },
  { id: 'qcow2-raw', name: 'convert qcow2 to raw', words: ['-f', 'qcow2'], source: 'disk.qcow2', to: 'raw' },
  {
    id: 'write-zlib',
    name: 'compressed write, zlib',
    words: ['-f', 'raw', '-c'],
    source: 'disk.raw',
    to: 'qcow2',
  },
  {
    id: 'write-zstd',
    name: 'compressed write, zstd',
    words: ['-f', 'raw', ...ZSTD],
    source: 'disk.raw',
    to: 'qcow2',
  },
  {
    id: 'read-zlib',
    name: 'compressed read, zlib',
    words: ['-f', 'qcow2'],
    source: 'disk.zlib.qcow2',
    to: 'raw',
  },
  {
    id: 'read-zstd',
    name: 'compressed read, zstd',
    words: ['-f', 'qcow2'],
    source: 'disk.zstd.qcow2',
    to: 'raw',
  },
];

export function versusCases(bench: Bench): Case[] {
  // Without the rival's zstd there is no source to read.
  const conversions = CONVERSIONS.filter(({ id }) => bench.zstd || id !== 'read-zstd');
  return [
    startCase(bench),
    ...libraryCases(bench),
    ...conversions.map((one) => conversionCase(bench, one)),
    md5Case(bench),
  ];
}

/** Makes the sources that the conversions read, with the rival. Tells whether it knows zstd. */
export async function makeSources({ folder, rival, meter, options }: Omit<Bench, 'zstd'>): Promise<boolean> {
  const make = (name: string, ...words: string[]): Promise<unknown> =>
    meter.run(
      [rival, 'convert', '-f', 'raw', '-O', 'qcow2', ...words, join(folder, 'disk.raw'), join(folder, name)],
      options,
    );
  await make('disk.qcow2');
  await make('disk.zlib.qcow2', '-c');
  await meter.run(
    [rival, 'create', '-q', '-f', 'qcow2', join(folder, 'empty.qcow2'), String(EMPTY_SIZE)],
    options,
  );
  try {
    await make('disk.zstd.qcow2', ...ZSTD);
    return true;
  } catch (error) {
    if (error instanceof ProgramError) return false;
    throw error;
  }
}

function startCase({ basecow, rival, meter, options }: Bench): Case {
  return {
    id: 'start',
    group: 'start',
    name: 'start of the command',
    terms: '--version, process against process',
    cache: 'warm',
    durability: 'none',
    ours: { name: 'basecow', work: () => meter.run([...basecow, '--version'], options) },
    rivals: [{ name: 'qemu-img', work: () => meter.run([rival, '--version'], options) }],
  };
}

/** What an agent that has basecow inside does, against one that starts qemu-img. */
function libraryCases({ folder, rival, meter, options }: Bench): Case[] {
  const backingFile = join(folder, 'disk.raw');
  const empty = join(folder, 'empty.qcow2');
  const overlay = (side: string, i: number): string => join(folder, `overlay.${side}.${i}`);
  const clean = (side: string) => async () => {
    for (let i = 0; i < CALLS; i++) await rm(overlay(side, i), { force: true });
  };
  const here = (one: (i: number) => Promise<unknown>) => () =>
    measureHere(async () => {
      for (let i = 0; i < CALLS; i++) await one(i);
    });
  const there = (words: (i: number) => string[]) => () =>
    measureEach(PROCESSES, (i) => meter.run([rival, ...words(i)], options));
  const overlayWords = ['create', '-q', '-f', 'qcow2', '-b', backingFile, '-F', 'raw'];
  const common = {
    group: 'library',
    terms: 'basecow in this process, qemu-img as a process',
    durability: 'none',
  } as const;
  return [
    {
      ...common,
      id: 'overlay-library',
      name: 'create an overlay, library',
      cache: 'warm',
      ours: {
        name: 'basecow',
        units: CALLS,
        before: clean('ours'),
        work: here((i) =>
          createImage(overlay('ours', i), {
            format: 'qcow2',
            backingFile,
            backingFormat: 'raw',
            sync: false,
          }),
        ),
      },
      rivals: [
        {
          name: 'qemu-img',
          units: PROCESSES,
          before: clean('rival'),
          work: there((i) => [...overlayWords, overlay('rival', i)]),
        },
      ],
      verify: async () => {
        await meter.run([rival, 'check', '-q', overlay('ours', 0)], options);
        return undefined;
      },
    },
    {
      ...common,
      id: 'info-library',
      name: 'info of an empty 1 TiB disk, library',
      cache: 'warm',
      ours: { name: 'basecow', units: CALLS, work: here(() => info({ path: empty, format: 'qcow2' })) },
      rivals: [
        {
          name: 'qemu-img',
          units: PROCESSES,
          work: there(() => ['info', '-f', 'qcow2', '--output=json', empty]),
        },
      ],
    },
  ];
}

function conversionCase(bench: Bench, { id, name, words, source, to }: Conversion): Case {
  const { folder, basecow, rival, meter, options, size } = bench;
  const needsZstd = id.endsWith('zstd') && !bench.zstd;
  const target = (side: string): string => join(folder, `target.${side}.${to}`);
  const run = (program: readonly string[], side: string): Side => ({
    name: side === 'ours' ? 'basecow' : 'qemu-img',
    before: () => rm(target(side), { force: true }),
    work: () =>
      meter.run([...program, 'convert', ...words, '-O', to, join(folder, source), target(side)], options),
  });
  return {
    id,
    group: 'conversion',
    name,
    terms: 'process against process, the same words',
    cache: 'warm',
    durability: 'none',
    bytes: size,
    ours: run(basecow, 'ours'),
    rivals: needsZstd ? [{ name: 'qemu-img', absent: `${rival} has no zstd` }] : [run([rival], 'rival')],
    verify: async () => {
      if (needsZstd) return undefined;
      await meter.run([rival, 'compare', '-f', to, '-F', to, target('ours'), target('rival')], options);
      const occupied = async (path: string): Promise<number> => (await stat(path)).blocks * 512;
      return { ours: await occupied(target('ours')), rival: await occupied(target('rival')) };
    },
    cleanUp: async () => {
      for (const side of ['ours', 'rival']) await rm(target(side), { force: true });
    },
  };
}

function md5Case({ folder, basecow, md5sum, meter, options, size }: Bench): Case {
  const path = join(folder, 'disk.raw');
  const digests: string[] = [];
  const digest = (words: readonly string[], index: number) => async () => {
    const ran = await meter.run([...words, path], options);
    digests[index] = ran.stdout.split(' ')[0];
    return ran;
  };
  const rival: Rival = md5sum
    ? { name: 'md5sum', work: digest([md5sum], 1) }
    : { name: 'md5sum', absent: 'md5sum is not in PATH' };
  return {
    id: 'md5',
    group: 'digest',
    name: 'md5 of the raw disk',
    terms: 'process against process',
    cache: 'warm',
    durability: 'none',
    bytes: size,
    ours: { name: 'basecow', work: digest([...basecow, 'hash', '-a', 'md5'], 0) },
    rivals: [rival],
    verify: () => {
      if (md5sum && digests[0] !== digests[1])
        throw new Error(`md5 ${digests[0]} is not md5sum's ${digests[1]}`);
      return undefined;
    },
  };
}
