// Check against `qemu-img check`: the same counts and sentences, on whole and on damaged images.
import { closeSync, copyFileSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { JobControl } from '#src/disk/control.js';
import type { CheckResult } from '#src/disk/format.js';
import { likeQemu } from '#src/disk/gates.js';
import { openDisk } from '#src/formats/open.js';
import { checkQcow2 } from '#src/formats/qcow2/check/index.js';
import type { Qcow2Disk } from '#src/formats/qcow2/disk.js';
import { Random } from '../../support/random.js';
import { qemuImg, qemuIo, tryRun } from '../../support/tools.js';

async function check(file: string, windowClusters?: number): Promise<CheckResult> {
  const disk = await openDisk(file, { format: 'qcow2', gate: likeQemu, check: true });
  try {
    return await checkQcow2(disk, new JobControl(), { windowClusters });
  } finally {
    await disk.close();
  }
}

/** Our result against qemu-img's JSON and stderr; the image must not change. */
async function same(t: Test, file: string, what: string): Promise<CheckResult> {
  const before = readFileSync(file);
  const ran = tryRun('qemu-img', ['check', '-f', 'qcow2', '--output=json', file]);
  const theirs = JSON.parse(ran.stdout);
  const ours = await check(file);
  t.same(
    {
      'check-errors': ours.checkErrors,
      corruptions: ours.corruptions,
      leaks: ours.leaks,
      'total-clusters': ours.totalClusters,
      'allocated-clusters': ours.allocatedClusters,
      'fragmented-clusters': ours.fragmentedClusters,
      'compressed-clusters': ours.compressedClusters,
      'image-end-offset': ours.imageEndOffset,
    },
    {
      'check-errors': theirs['check-errors'],
      corruptions: theirs.corruptions ?? 0,
      leaks: theirs.leaks ?? 0,
      'total-clusters': theirs['total-clusters'] ?? 0,
      'allocated-clusters': theirs['allocated-clusters'] ?? 0,
      'fragmented-clusters': theirs['fragmented-clusters'] ?? 0,
      'compressed-clusters': theirs['compressed-clusters'] ?? 0,
      'image-end-offset': theirs['image-end-offset'],
    },
    `${what}: counts`,
  );
  // What the program says about its own result is not part of the check.
  const sentences = ran.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('qemu-img:'));
  t.same(ours.messages, sentences, `${what}: sentences`);
  t.ok(readFileSync(file).equals(before), `${what}: image unchanged`);
  const windows = await check(file, 3);
  t.same(
    { ...windows, messages: [] },
    { ...ours, messages: [] },
    `${what}: the same in windows of 3 clusters`,
  );
  return ours;
}

function poke(file: string, offset: number, bytes: Buffer): void {
  const fd = openSync(file, 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

function peek(file: string, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(file, 'r');
  readSync(fd, bytes, 0, length, offset);
  closeSync(fd);
  return bytes;
}

const u64 = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};

t.test('whole images', async (t) => {
  const dir = t.testdir();
  const cases: [string, string][] = [
    ['v2', 'compat=0.10'],
    ['v3', 'compat=1.1'],
    ['small clusters', 'cluster_size=512'],
    ['large clusters', 'cluster_size=2M'],
    ['extended', 'extended_l2=on'],
    ['zstd', 'compression_type=zstd'],
    ['preallocated', 'preallocation=metadata'],
    ...[1, 2, 4, 8, 32, 64].map((bits): [string, string] => [
      `refcounts of ${bits}`,
      `refcount_bits=${bits}`,
    ]),
  ];
  for (const [what, options] of cases) {
    const file = join(dir, `${what}.qcow2`);
    qemuImg('create', '-q', '-f', 'qcow2', '-o', options, file, '3M');
    const cluster = JSON.parse(qemuImg('info', '--output=json', file))['cluster-size'];
    if (what !== 'preallocated' && !/of [12]$/.test(what) && cluster < 2 ** 20) {
      qemuIo(file, 'qcow2', `write -q -c 2M ${cluster}`, `write -q -c ${2 ** 21 + cluster} ${cluster}`);
    }
    qemuIo(
      file,
      'qcow2',
      'write -q 0 5000',
      'write -q 300k 64k',
      'write -q 200k 100k',
      'write -q -z 1M 128k',
    );
    if (!what.endsWith('of 1')) {
      qemuImg('snapshot', '-c', 'one', file);
      qemuIo(file, 'qcow2', 'write -q 0 5000');
      qemuImg('snapshot', '-c', 'two', file);
    }
    const result = await same(t, file, what);
    t.same([result.corruptions, result.leaks, result.checkErrors], [0, 0, 0], `${what}: clean`);
  }
});

t.test('external data file, bitmaps, many compressed clusters in one', async (t) => {
  const dir = t.testdir();
  const external = join(dir, 'external.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${dir}/data.img`, external, '3M');
  qemuIo(external, 'qcow2', 'write -q 0 5000', 'write -q 1M 64k');
  await same(t, external, 'external data file');

  const bitmaps = join(dir, 'bitmaps.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', bitmaps, '64M');
  qemuImg('bitmap', '--add', bitmaps, 'b0');
  qemuImg('bitmap', '--add', '-g', '4k', bitmaps, 'b1');
  qemuIo(bitmaps, 'qcow2', 'write -q 0 10M');
  await same(t, bitmaps, 'bitmaps');

  const packed = join(dir, 'packed.qcow2');
  const source = join(dir, 'source.raw');
  writeFileSync(source, Buffer.alloc(64 * 2 ** 20, 'compressible '));
  qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o', 'cluster_size=4096', source, packed);
  const result = await same(t, packed, 'packed');
  t.equal(result.compressedClusters, 16384);
});

/** Where an image's tables are, read by hand. */
function layout(file: string) {
  const header = peek(file, 0, 104);
  const l1 = Number(header.readBigUInt64BE(40));
  const refcountTable = Number(header.readBigUInt64BE(48));
  const l2 = Number(peek(file, l1, 8).readBigUInt64BE() & 0x00fffffffffffe00n);
  const block = Number(peek(file, refcountTable, 8).readBigUInt64BE());
  return { l1, refcountTable, l2, block };
}

t.test('damaged images', async (t) => {
  const dir = t.testdir();
  const original = join(dir, 'original.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4096', original, '4M');
  qemuIo(
    original,
    'qcow2',
    'write -q -c 1M 4k',
    'write -q -c 1028k 4k',
    'write -q 0 64k',
    'write -q -z 80k 8k',
  );
  qemuImg('snapshot', '-c', 'kept', original);
  qemuIo(original, 'qcow2', 'write -q 8k 8k', 'write -q 3M 8k');
  await same(t, original, 'original');
  const { l1, l2, block, refcountTable } = layout(original);
  const entry = (i: number) => peek(original, l2 + 8 * i, 8).readBigUInt64BE();
  const l1Entry = peek(original, l1, 8).readBigUInt64BE();
  const u16 = (value: number) => Buffer.from([value >> 8, value & 255]);
  const damages: [string, (file: string) => void][] = [
    ['a refcount too low', (file) => poke(file, block + 2 * Math.floor(l2 / 4096), u16(0))],
    ['a refcount too high', (file) => poke(file, block + 2 * 5, u16(7))],
    ['a leaked cluster', (file) => poke(file, l2 + 8 * 2, u64(0n))],
    ['a cluster used twice', (file) => poke(file, l2 + 8 * 3, u64(entry(2)))],
    ['COPIED missing on data', (file) => poke(file, l2 + 8 * 2, u64(entry(2) & ~(1n << 63n)))],
    ['COPIED on shared data', (file) => poke(file, l2, u64(entry(0) | (1n << 63n)))],
    ['COPIED missing on L2', (file) => poke(file, l1, u64(l1Entry & ~(1n << 63n)))],
    ['reserved bits in L2', (file) => poke(file, l2 + 8 * 2, u64(entry(2) | 0x10n))],
    ['reserved bits in L1', (file) => poke(file, l1, u64(l1Entry | 0x3n))],
    ['unaligned data', (file) => poke(file, l2 + 8 * 2, u64(entry(2) | 0x200n))],
    ['unaligned zero', (file) => poke(file, l2 + 8 * 2, u64(entry(2) | 0x201n))],
    ['unaligned L2', (file) => poke(file, l1, u64(l1Entry | 0x200n))],
    ['data past the end', (file) => poke(file, l2 + 8 * 2, u64(0x8000000001000000n))],
    ['L2 past the end', (file) => poke(file, l1, u64(0x8000000001000000n))],
    ['COPIED on compressed', (file) => poke(file, l2 + 8 * 256, u64(entry(256) | (1n << 63n)))],
    ['compressed past the end', (file) => poke(file, l2 + 8 * 256, u64(0x4000000f00001234n))],
    ['refcount block unaligned', (file) => poke(file, refcountTable, u64(BigInt(block) | 0x200n))],
    ['refcount block reserved bits', (file) => poke(file, refcountTable, u64(BigInt(block) | 1n))],
    ['refcount block past the end', (file) => poke(file, refcountTable, u64(0x10000000n))],
    ['second refcount block past the end', (file) => poke(file, refcountTable + 8, u64(0x10000000n))],
    ['refcount block twice', (file) => poke(file, refcountTable + 8, u64(BigInt(block)))],
    ['no refcount block', (file) => poke(file, refcountTable, u64(0n))],
    ['data over the header', (file) => poke(file, l2 + 8 * 2, u64(entry(2) & (0xffn << 56n)))],
    ['dirty and corrupt', (file) => poke(file, 79, Buffer.from([3]))],
  ];
  for (const [what, damage] of damages) {
    const file = join(dir, 'damaged.qcow2');
    copyFileSync(original, file);
    damage(file);
    await same(t, file, what);
  }
});

t.test('damaged snapshots, extended L2 and data files', async (t) => {
  const dir = t.testdir();
  const snap = join(dir, 'snap.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', snap, '4M');
  qemuIo(snap, 'qcow2', 'write -q 0 64k');
  qemuImg('snapshot', '-c', 'one', snap);
  const table = Number(peek(snap, 64, 8).readBigUInt64BE());
  const file = join(dir, 'damaged.qcow2');
  copyFileSync(snap, file);
  poke(file, table, u64(0x10200n));
  await same(t, file, 'snapshot L1 unaligned');
  for (const [what, offset, value] of [
    ['L1 table past the end', 40, u64(1n << 40n)],
    ['refcount table past the end', 48, u64(1n << 40n)],
    ['no refcount table', 56, Buffer.alloc(4)],
    ['more snapshots than the table has', 60, Buffer.from([0, 0, 0, 3])],
    ['snapshot table past the end', 64, u64(1n << 40n)],
  ] as const) {
    copyFileSync(snap, file);
    poke(file, offset, value);
    await same(t, file, what);
  }
  copyFileSync(snap, file);
  poke(file, table + 8, Buffer.from([0x7f, 0, 0, 0]));
  await same(t, file, 'snapshot L1 too large');

  const extended = join(dir, 'extended.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'extended_l2=on', extended, '4M');
  qemuIo(extended, 'qcow2', 'write -q -c 1M 64k', 'write -q 0 64k', 'write -q 130k 4k');
  const { l2 } = layout(extended);
  for (const [what, offset, value] of [
    ['both bits of a subcluster', 8, 0xffffffffffffffffn],
    ['bitmap of an unallocated cluster', 16 * 9 + 8, 0x1n],
    ['bitmap of a compressed cluster', 16 * 16 + 8, 0x1n],
  ] as const) {
    copyFileSync(extended, file);
    poke(file, l2 + offset, u64(value));
    await same(t, file, what);
  }
});

t.test('random damage', async (t) => {
  const seed = Number(process.env.SEED ?? 5);
  t.comment(`SEED=${seed}`);
  const random = new Random(seed);
  const dir = t.testdir();
  const original = join(dir, 'original.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=1024', original, '2M');
  qemuIo(original, 'qcow2', 'write -q 0 200k', 'write -q 500k 30k', 'write -q -c 1M 1k');
  qemuImg('snapshot', '-c', 's', original);
  qemuIo(original, 'qcow2', 'write -q 100k 50k');
  const { l2, block } = layout(original);
  for (let round = 0; round < 40; round++) {
    const file = join(dir, 'damaged.qcow2');
    copyFileSync(original, file);
    for (let i = random.integer(1, 4); i > 0; i--) {
      if (random.next() < 0.5)
        poke(file, block + random.integer(0, 600), Buffer.from([random.integer(0, 255)]));
      else
        poke(
          file,
          l2 + 8 * random.integer(0, 127) + random.integer(4, 7),
          Buffer.from([random.integer(0, 255)]),
        );
    }
    await same(t, file, `round ${round} of seed ${seed}`);
  }
});

t.test('progress and cancel', async (t) => {
  const file = join(t.testdir(), 'x.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512', file, '4M');
  qemuIo(file, 'qcow2', 'write -q 0 3M');
  const disk = (await openDisk(file, { format: 'qcow2' })) as Qcow2Disk;
  const control = new JobControl();
  await checkQcow2(disk, control);
  t.ok(control.progress.total > 0);
  t.equal(control.progress.done, control.progress.total);
  const cancelled = new JobControl();
  cancelled.cancel();
  await t.rejects(checkQcow2(disk, cancelled), { code: 'CANCELLED' });
  await disk.close();
});
