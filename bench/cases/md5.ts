import type { Case, Rival } from '#src/bench/model.js';
import { coldBy, makeCold, makeWarm } from '../cache.js';
import { type Bench, type Entry, program } from '../entry.js';
import { inLibrary } from '../inLibrary.js';
import { BASECOW, run } from '../programs.js';

const MiB = 2 ** 20;
const CHUNK = 4 * MiB;

/** Digests of bytes in the page cache: one stream, and many at once as a chunk list. */
export function md5Cases(bench: Bench): Entry[] {
  const { inputs, programs } = bench;
  const path = inputs.path('dense');
  const rival = (name: string, words: string[], target?: number): Rival => {
    const absent = programs.lacks(words[0]);
    return absent ? { name, absent, target } : { name, target, work: program(bench, ...words, path) };
  };
  const common = {
    group: 'MD5',
    cache: 'warm',
    durability: 'none',
    bytes: inputs.dataBytes,
    setUp: () => {
      inputs.make('dense');
      makeWarm(path);
    },
  } as const;
  const chunks = { path, algorithms: [], chunkSize: CHUNK };
  const list = (threads: number, env?: Record<string, string>) =>
    inLibrary(bench, { call: 'hash', request: chunks, settings: { threads } }, env);
  const whole = inLibrary(bench, { call: 'hash', request: { path, algorithms: ['md5'] } });
  const entries: (Case & { quick?: boolean })[] = [
    {
      ...common,
      id: 'md5-one-stream',
      name: 'md5 of a file, library',
      terms: "both in Node, the process's start not counted; Node reads 1 MiB at a time into createHash",
      quick: true,
      ours: { name: 'hash', work: whole },
      rivals: [
        {
          name: "Node's createHash",
          target: 1.15,
          work: inLibrary(bench, { call: 'nodeHash', request: { path } }),
        },
      ],
      verify: () => same(path, whole),
    },
    {
      ...common,
      id: 'md5-command',
      name: 'md5 of a file, command',
      terms: 'process against process',
      ours: { name: 'basecow hash', work: program(bench, ...BASECOW, 'hash', '-a', 'md5', path) },
      rivals: [rival('md5sum', ['md5sum']), rival('openssl dgst -md5', ['openssl', 'dgst', '-md5'])],
    },
    {
      ...common,
      id: 'md5-chunks',
      name: 'md5 of each 4 MiB, library, 1 thread',
      terms:
        "the process's start not counted for basecow; md5sum digests the whole file, the others the same chunks",
      quick: true,
      targets: { throughput: 8e9 },
      ours: { name: 'hash', work: list(1) },
      rivals: [rival('md5sum', ['md5sum'], 12), rival('md5deep -p', ['md5deep', '-p', String(CHUNK)])],
    },
    {
      ...common,
      id: 'md5-chunks-command',
      name: 'md5 of each 4 MiB, command',
      terms: 'process against process, all cores',
      ours: {
        name: 'basecow hash',
        work: program(bench, ...BASECOW, 'hash', '-a', 'md5', '--chunk', String(CHUNK), path),
      },
      rivals: [rival('md5deep -p', ['md5deep', '-p', String(CHUNK)])],
    },
    {
      ...common,
      id: 'md5-two-cores',
      name: 'md5 of each 4 MiB, 2 threads against 1',
      terms: 'the same library call',
      ours: { name: '2 threads', work: list(2) },
      rivals: [{ name: 'basecow, 1 thread', target: 1.8, work: list(1) }],
    },
    {
      ...common,
      id: 'md5-avx2',
      name: 'md5 of each 4 MiB, AVX2 kernel, 1 thread',
      terms: 'BASECOW_MD5=avx2 against the kernel chosen for this processor',
      targets: { throughput: 6e9 },
      ours: { name: 'avx2', work: list(1, { BASECOW_MD5: 'avx2' }) },
      rivals: [{ name: 'basecow, own choice', work: list(1) }],
    },
    {
      ...common,
      id: 'md5-whole-and-chunks',
      name: 'md5 of the whole and of each 4 MiB, library',
      terms: 'the price of the chunk list when the whole is digested: 1 is nothing',
      ours: {
        name: 'whole and chunks',
        work: inLibrary(bench, { call: 'hash', request: { path, algorithms: ['md5'], chunkSize: CHUNK } }),
      },
      rivals: [{ name: 'basecow, whole only', target: 0.95, work: whole }],
    },
    {
      ...common,
      id: 'md5-cold',
      name: 'md5 of a file, command',
      cache: 'cold',
      terms: `process against process; caches emptied by ${coldBy()} before each run`,
      ours: {
        name: 'basecow hash',
        before: () => makeCold(path),
        work: program(bench, ...BASECOW, 'hash', path),
      },
      rivals: [rival('md5sum', ['md5sum'])].map((one) =>
        'absent' in one ? one : { ...one, before: () => makeCold(path) },
      ),
    },
    {
      ...common,
      id: 'md5-chunks-cold',
      name: 'md5 of each 4 MiB, command',
      cache: 'cold',
      terms: `process against process; md5sum digests the whole; caches emptied by ${coldBy()} before each run`,
      ours: {
        name: 'basecow hash',
        before: () => makeCold(path),
        work: program(bench, ...BASECOW, 'hash', '--chunk', String(CHUNK), path),
      },
      rivals: [rival('md5sum', ['md5sum'])].map((one) =>
        'absent' in one ? one : { ...one, before: () => makeCold(path) },
      ),
    },
  ];
  return entries;
}

/** What was measured is right. */
async function same(path: string, work: () => Promise<unknown>): Promise<undefined> {
  const { digests } = (await work()) as { digests?: { md5?: string } };
  const truth = run('md5sum', path).split(' ')[0];
  if (digests?.md5 !== truth) throw new Error(`md5 of ${path} is ${digests?.md5}, md5sum's is ${truth}`);
}
