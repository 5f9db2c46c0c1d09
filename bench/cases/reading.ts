import { makeCold, makeWarm } from '../cache.js';
import { type Bench, type Entry, program } from '../entry.js';
import { inLibrary } from '../inLibrary.js';
import { BASECOW } from '../programs.js';

const MiB = 2 ** 20;
const CHUNK = 4 * MiB;

/** Digests where reading matters: holes, guests' disks in other formats, past the page cache. */
export function readingCases(bench: Bench): Entry[] {
  const { inputs, programs } = bench;
  const [raw, dense, sparse, zlib, zstd] = (['raw', 'dense', 'sparse', 'zlib', 'zstd'] as const).map((name) =>
    inputs.path(name),
  );
  const chunkList = (path: string) =>
    inLibrary(bench, { call: 'hash', request: { path, algorithms: [], chunkSize: CHUNK } });
  const common = { group: 'Reading', cache: 'warm', durability: 'none' } as const;
  const shell = (script: string, ...args: string[]) => program(bench, 'sh', '-c', script, ...args);
  const temporary = inputs.scratch('guest.raw');
  const guest = (name: 'zlib' | 'zstd', path: string): Entry => ({
    ...common,
    id: `guest-md5-${name}`,
    name: `md5 of the guest's disk in a ${name} qcow2`,
    terms:
      'whole processes; nbdcopy reads through qemu-nbd into a pipe to md5sum; qemu-img writes a raw file for md5sum',
    bytes: inputs.virtualSize,
    setUp: () => {
      inputs.make(name);
      makeWarm(path);
    },
    ours: { name: 'basecow hash', work: program(bench, ...BASECOW, 'hash', '--guest', '-f', 'qcow2', path) },
    rivals: [
      {
        name: 'qemu-img convert; md5sum',
        work: shell('qemu-img convert -f qcow2 -O raw "$0" "$1" && md5sum "$1" && rm "$1"', path, temporary),
      },
      withPrograms(programs.lacks('nbdcopy', 'qemu-nbd'), 'nbdcopy | md5sum', () =>
        shell('nbdcopy -- [ qemu-nbd -r -f qcow2 "$0" ] - | md5sum', path),
      ),
    ],
  });
  return [
    {
      ...common,
      id: 'sparse-md5',
      name: 'md5 of a sparse disk, three quarters holes, command',
      terms: 'process against process; md5sum reads the holes',
      quick: true,
      bytes: inputs.virtualSize,
      setUp: () => {
        inputs.make('raw');
        makeWarm(raw);
      },
      ours: { name: 'basecow hash', work: program(bench, ...BASECOW, 'hash', '-a', 'md5', raw) },
      rivals: [{ name: 'md5sum', work: program(bench, 'md5sum', raw) }],
    },
    {
      ...common,
      id: 'sparse-chunks',
      name: 'md5 of each 4 MiB of 1 TiB that is nearly all holes',
      terms: 'library, all cores; against the same bytes in a file without holes: 0.95 is 5 % dearer',
      setUp: () => {
        inputs.make('dense', 'sparse');
        makeWarm(dense);
      },
      ours: { name: '1 TiB', work: chunkList(sparse) },
      rivals: [{ name: 'basecow, no holes', target: 0.95, work: chunkList(dense) }],
    },
    guest('zlib', zlib),
    guest('zstd', zstd),
    {
      ...common,
      id: 'direct-md5',
      name: 'md5 of each 4 MiB past the page cache, command',
      cache: 'cold',
      terms:
        'basecow -T none, which leaves the page cache alone; md5sum through the cache, digesting the whole',
      bytes: inputs.dataBytes,
      setUp: () => inputs.make('dense'),
      ours: {
        name: 'basecow hash -T none',
        before: () => makeCold(dense),
        work: program(bench, ...BASECOW, 'hash', '-T', 'none', '--chunk', String(CHUNK), dense),
      },
      rivals: [{ name: 'md5sum', before: () => makeCold(dense), work: program(bench, 'md5sum', dense) }],
    },
    {
      ...common,
      id: 'blkhash',
      name: 'block hash (sha256) of a sparse disk, command',
      terms: "the digest that blksum prints; beside it, one SHA-256 over the guest's disk",
      bytes: inputs.virtualSize,
      setUp: () => {
        inputs.make('raw');
        makeWarm(raw);
      },
      ours: {
        name: 'basecow hash --blkhash',
        work: program(bench, ...BASECOW, ...blkhash, '-f', 'raw', raw),
      },
      rivals: [
        withPrograms(programs.lacks('blksum'), 'blksum', () => program(bench, 'blksum', '-d', 'sha256', raw)),
        withPrograms(programs.lacks('openssl'), 'openssl dgst -sha256', () =>
          program(bench, 'openssl', 'dgst', '-sha256', raw),
        ),
      ],
    },
  ];
}

const blkhash = ['hash', '--blkhash', '-a', 'sha256'];

export function withPrograms(
  absent: string | undefined,
  name: string,
  work: () => ReturnType<typeof program>,
) {
  return absent ? { name, absent } : { name, work: work() };
}
