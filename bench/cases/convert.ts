import * as fs from 'node:fs';
import type { Rival, Side } from '#src/bench/model.js';
import { coldBy, makeCold, makeWarm } from '../cache.js';
import { type Bench, type Entry, program } from '../entry.js';
import { inLibrary } from '../inLibrary.js';
import type { InputName } from '../inputs.js';
import { BASECOW, run } from '../programs.js';

interface Conversion {
  id: string;
  group?: string;
  name: string;
  source: InputName;
  from: 'raw' | 'qcow2';
  to: 'raw' | 'qcow2';
  /** Of the target. */
  compression?: 'zlib' | 'zstd';
  target?: number;
  /** Largest ours / rival's size. */
  size?: number;
  cold?: boolean;
  durable?: boolean;
  quick?: boolean;
  /** Programs that copy raw files. */
  others?: boolean;
  /** Also as a call of the library, against the program. */
  library?: boolean;
  /** Where the rival takes most of a minute. */
  rounds?: number;
}

const CONVERSIONS: readonly Conversion[] = [
  {
    id: 'raw-raw',
    library: true,
    name: 'convert raw to raw, sparse',
    source: 'raw',
    from: 'raw',
    to: 'raw',
    target: 1.25,
    quick: true,
    others: true,
  },
  {
    id: 'raw-qcow2',
    library: true,
    name: 'convert raw to qcow2',
    source: 'raw',
    from: 'raw',
    to: 'qcow2',
    target: 1.25,
    quick: true,
  },
  {
    id: 'qcow2-raw',
    library: true,
    name: 'convert qcow2 to raw',
    source: 'qcow2',
    from: 'qcow2',
    to: 'raw',
    target: 1.25,
    quick: true,
  },
  { id: 'qcow2-qcow2', name: 'convert qcow2 to qcow2', source: 'qcow2', from: 'qcow2', to: 'qcow2' },
  { id: 'raw-qcow2-cold', name: 'convert raw to qcow2', source: 'raw', from: 'raw', to: 'qcow2', cold: true },
  {
    id: 'raw-raw-durable',
    name: 'convert raw to raw, durable',
    source: 'raw',
    from: 'raw',
    to: 'raw',
    durable: true,
  },
  {
    id: 'raw-qcow2-durable',
    name: 'convert raw to qcow2, durable',
    source: 'raw',
    from: 'raw',
    to: 'qcow2',
    durable: true,
  },
  {
    id: 'every-4k',
    name: 'convert raw with every other 4 KiB a hole, to qcow2',
    source: 'every4k',
    from: 'raw',
    to: 'qcow2',
    target: 1,
  },
  {
    id: 'every-4k-raw',
    name: 'convert raw with every other 4 KiB a hole, to raw',
    source: 'every4k',
    from: 'raw',
    to: 'raw',
    target: 1,
  },
  {
    id: 'every-cluster',
    name: 'convert qcow2 with every other cluster, to raw',
    source: 'everyCluster',
    from: 'qcow2',
    to: 'raw',
    target: 1,
  },
  {
    id: 'scattered',
    name: 'convert qcow2 of scattered 4 KiB clusters, to raw',
    source: 'scattered',
    from: 'qcow2',
    to: 'raw',
    target: 1,
    rounds: 3,
  },
  {
    id: 'write-zlib',
    group: 'Codecs',
    name: 'compressed write, zlib',
    source: 'raw',
    from: 'raw',
    to: 'qcow2',
    compression: 'zlib',
    target: 20,
    size: 1.05,
    quick: true,
    rounds: 3,
  },
  {
    id: 'write-zstd',
    group: 'Codecs',
    name: 'compressed write, zstd',
    source: 'raw',
    from: 'raw',
    to: 'qcow2',
    compression: 'zstd',
    target: 3,
    quick: true,
  },
  {
    id: 'read-zlib',
    library: true,
    group: 'Codecs',
    name: 'compressed read, zlib',
    source: 'zlib',
    from: 'qcow2',
    to: 'raw',
    target: 4,
    quick: true,
  },
  {
    id: 'read-zstd',
    library: true,
    group: 'Codecs',
    name: 'compressed read, zstd',
    source: 'zstd',
    from: 'qcow2',
    to: 'raw',
    target: 2,
    quick: true,
  },
];

/** Program against program, the same words. */
export function convertCases(bench: Bench): Entry[] {
  return CONVERSIONS.flatMap((conversion) => [
    conversionEntry(bench, conversion),
    ...(conversion.library ? [libraryEntry(bench, conversion)] : []),
  ]);
}

/** What an agent has that does not start a program for each disk. */
function libraryEntry(bench: Bench, conversion: Conversion): Entry {
  const { id, name, source, from, to, compression } = conversion;
  const own = { ...conversion, id: `${id}-library`, name: `${name}, library`, quick: false, others: false };
  return conversionEntry(bench, own, (path) =>
    inLibrary(bench, {
      call: 'convert',
      request: {
        sources: [{ path: bench.inputs.path(source), format: from }],
        target: { path, format: to, options: compression && { compression_type: compression } },
        compress: compression !== undefined,
        targetCache: 'unsafe',
      },
    }),
  );
}

/** `library`: ours, instead of a command with the same words. */
function conversionEntry(
  bench: Bench,
  conversion: Conversion,
  library?: (target: string) => Side['work'],
): Entry {
  const { inputs } = bench;
  const { id, group = 'Conversion', name, from, to, compression, cold = false, durable = false } = conversion;
  const source = inputs.path(conversion.source);
  // By default both programs don't flush (cache mode unsafe); with writeback both do it once, at the end.
  const words = compression ? ['-c', '-o', `compression_type=${compression}`] : [];
  const all = ['convert', '-f', from, '-O', to, ...words, ...(durable ? ['-t', 'writeback'] : []), source];
  const how = library
    ? "a call in a running process, without that process's start, against a process"
    : 'process against process, the same words';
  const made: string[] = [];
  const sideWith = (side: string, work: (target: string) => Side['work']): Side => {
    const target = inputs.scratch(`made.${made.length}.${to}`);
    made.push(target);
    return {
      name: side,
      before: () => {
        fs.rmSync(target, { force: true });
        // What the run before wrote goes to the disk untimed.
        if (cold) makeCold(source);
        else run('sync');
      },
      work: work(target),
    };
  };
  const side = (name: string, words: readonly string[], after: readonly string[] = []): Side =>
    sideWith(name, (target) => program(bench, ...words, target, ...after));
  const ours = library ? sideWith('convert', library) : side('basecow convert', [...BASECOW, ...all]);
  const qemu = { ...side('qemu-img convert', ['qemu-img', ...all]), target: conversion.target };
  const others = conversion.others ? copiers(bench, source, side) : [];
  const size = (path: string): number => fs.statSync(path).blocks * 512;
  return {
    id,
    group,
    name,
    quick: conversion.quick,
    terms: `${how}${cold ? `; caches emptied by ${coldBy()} before each run` : ''}`,
    cache: cold ? 'cold' : 'warm',
    durability: durable ? 'fsync at the end' : 'none',
    bytes: inputs.virtualSize,
    rounds: conversion.rounds,
    targets: conversion.size ? { size: conversion.size } : undefined,
    setUp: () => {
      inputs.make(conversion.source);
      makeWarm(source);
    },
    ours,
    rivals: [qemu, ...others],
    verify: () => {
      run('qemu-img', 'compare', '-f', to, '-F', to, made[0], made[1]);
      if (to === 'qcow2') run('qemu-img', 'check', '-q', made[0]);
      return { ours: size(made[0]), rival: size(made[1]) };
    },
    cleanUp: () => {
      for (const path of made) fs.rmSync(path, { force: true });
    },
  };
}

/** What else copies a raw file with its holes. */
function copiers(
  { programs }: Bench,
  source: string,
  side: (name: string, words: readonly string[], after?: readonly string[]) => Side,
): Rival[] {
  const noNbd = programs.lacks('nbdcopy', 'qemu-nbd');
  return [
    side('cp --reflink=never', ['cp', '--reflink=never', '--sparse=auto', source]),
    side('cp --sparse=always', ['cp', '--reflink=never', '--sparse=always', source]),
    noNbd ? { name: 'nbdcopy', absent: noNbd } : side('nbdcopy', ['sh', '-c', NBDCOPY, source]),
  ];
}

/** $0 to $1, which is made with the size of $0. */
const NBDCOPY =
  'truncate -r "$0" "$1" && nbdcopy --destination-is-zero -- [ qemu-nbd -r -f raw "$0" ] [ qemu-nbd -f raw --discard=unmap "$1" ]';
