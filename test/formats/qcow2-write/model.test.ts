// Random sequences of write, zero, discard, flush and reopening, many requests at once, by us and by qemu-io on twins:
// the twins must hold the same bytes, those of a model in memory, and ours must pass qemu-img check. SEED=number in the
// environment runs other sequences, ROUNDS=number more of them.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { openDisk } from '#src/formats/open.js';
import {
  applyToDisk,
  applyToModel,
  type Change,
  type ChangeRules,
  qemuIoCommand,
  randomChange,
} from '../../support/modelDisk.js';
import { Random } from '../../support/random.js';
import { run } from '../../support/tools.js';

const SEED = Number(process.env.SEED ?? 4_100);
const ROUNDS = Number(process.env.ROUNDS ?? 1);
const SIZE = 2 * 2 ** 20 + 3 * 512;
const CHANGES = 36;

interface Case {
  options: string;
  /** Bytes of the backing file. */
  backing?: number;
  compressedBacking?: boolean;
  compressed?: boolean;
  snapshots?: number;
  dataFile?: boolean;
  bitmap?: boolean;
  size?: number;
}

const cases: Record<string, Case> = {
  'clusters of 512 bytes': { options: 'cluster_size=512', size: 2 ** 20 + 512 },
  'clusters of 512 bytes, 64-bit refcounts': { options: 'cluster_size=512,refcount_bits=64', size: 2 ** 20 },
  'clusters of 4 KiB, 1-bit refcounts': { options: 'cluster_size=4k,refcount_bits=1' },
  'clusters of 4 KiB, 2-bit refcounts, snapshot': {
    options: 'cluster_size=4k,refcount_bits=2',
    snapshots: 1,
  },
  '4-bit refcounts, snapshots': { options: 'cluster_size=16k,refcount_bits=4', snapshots: 3 },
  '8-bit refcounts': { options: 'cluster_size=32k,refcount_bits=8' },
  '32-bit refcounts over a shorter base': { options: 'refcount_bits=32', backing: 700 * 1024 + 512 },
  defaults: { options: 'cluster_size=64k' },
  'over a longer base': { options: 'cluster_size=64k', backing: SIZE + 300_032 },
  'clusters of 2 MiB over a base': { options: 'cluster_size=2M', backing: SIZE, size: 5 * 2 ** 20 + 512 },
  'version 2': { options: 'compat=0.10,cluster_size=8k' },
  'version 2 over a shorter base': { options: 'compat=0.10,cluster_size=8k', backing: 2 ** 20 + 512 },
  'version 2, snapshots': { options: 'compat=0.10,cluster_size=4k', snapshots: 2 },
  'over a compressed base': { options: 'cluster_size=16k', backing: SIZE - 5120, compressedBacking: true },
  'compressed clusters': { options: 'cluster_size=8k', compressed: true },
  'compressed clusters of zstd with a snapshot': {
    options: 'cluster_size=64k,compression_type=zstd',
    compressed: true,
    snapshots: 1,
  },
  'extended entries': { options: 'cluster_size=16k,extended_l2=on' },
  'extended entries over a shorter base': {
    options: 'cluster_size=64k,extended_l2=on',
    backing: 2 ** 20 + 1536,
  },
  'extended entries, snapshots, base': {
    options: 'cluster_size=32k,extended_l2=on',
    backing: SIZE,
    snapshots: 2,
  },
  'extended entries, compressed': {
    options: 'cluster_size=16k,extended_l2=on',
    compressed: true,
    snapshots: 1,
  },
  'metadata preallocated': { options: 'cluster_size=16k,preallocation=metadata' },
  'extended entries, preallocated, base': {
    options: 'cluster_size=32k,extended_l2=on,preallocation=metadata',
    backing: SIZE,
  },
  'data file': { options: 'cluster_size=16k,data_file=data.raw', dataFile: true },
  'raw data file': { options: 'cluster_size=64k,data_file=data.raw,data_file_raw=on', dataFile: true },
  'data file, extended entries, base': {
    options: 'cluster_size=32k,data_file=data.raw,extended_l2=on',
    dataFile: true,
    backing: 2 ** 20,
  },
  'lazy refcounts': { options: 'cluster_size=4k,lazy_refcounts=on', snapshots: 1 },
  bitmaps: { options: 'cluster_size=4k', bitmap: true },
  'bitmaps with clusters of 512 bytes': { options: 'cluster_size=512', bitmap: true, backing: 2 ** 20 },
};

for (let round = 0; round < ROUNDS; round++) {
  for (const [number, [name, one]] of Object.entries(cases).entries()) {
    const seed = SEED + 1000 * round + number;
    t.test(`${name} (seed ${seed})`, (t) => twins(t, one, new Random(seed)));
  }
}

async function twins(t: Test, one: Case, random: Random): Promise<void> {
  const dir = t.testdir({ ours: {} });
  const ours = join(dir, 'ours');
  const theirs = join(dir, 'theirs');
  make(ours, one, random);
  cpSync(ours, theirs, { recursive: true });
  const image = join(ours, 'image.qcow2');
  const model = content(ours);
  const before = readFileSync(join(ours, 'content.raw'));
  const size = model.length;
  const clusterSize = 2 ** readFileSync(image).readUInt32BE(20);
  const bytewise = random.next() < 0.5;
  const rules: ChangeRules = {
    size,
    clusterSize,
    alignment: bytewise ? 1 : 512,
    most: size,
    alignedDiscards: one.bitmap,
  };
  const ignored = one.options.includes('compat=0.10') && one.backing !== undefined;
  let changed = 0;
  const commands: string[] = [];
  for (let session = 0; session < 2; session++) {
    const disk = await openDisk(image, { format: 'qcow2', writable: true });
    t.equal(disk.virtualSize, size);
    while (changed < (CHANGES * (session + 1)) / 2) {
      // Some requests at once: those that overlap take effect in this order.
      const pending: Promise<unknown>[] = [];
      for (let i = random.integer(1, 6); i > 0; i--) {
        const change = randomChange(random, changed++, rules);
        applyToModel(model, change, { clusterSize, ignored });
        pending.push(applyToDisk(disk, change));
        commands.push(theirCommand(theirs, change, changed));
        pending.push(reads(t, disk, model, random));
      }
      if (random.next() < 0.3) pending.push(disk.flush());
      await Promise.all(pending);
    }
    await disk.close();
    sound(t, ours);
    t.ok(content(ours).equals(model), 'qemu-img reads what the model holds');
  }
  qemuIo(theirs, commands);
  t.ok(content(theirs).equals(model), 'qemu-io did the same');
  if (one.options.includes('data_file_raw')) {
    // QEMU makes it a whole number of clusters.
    const alone = readFileSync(join(ours, 'data.raw')).subarray(0, size);
    t.ok(alone.equals(model), 'the data file alone reads as the disk');
  }
  for (let i = 0; i < (one.snapshots ?? 0); i++) {
    run('qemu-img', ['convert', '-l', `s${i}`, '-O', 'raw', 'image.qcow2', 'snapshot.raw'], { cwd: ours });
    const held = readFileSync(join(ours, 'snapshot.raw'));
    t.ok(held.equals(readFileSync(join(ours, `s${i}.raw`))), `snapshot ${i} is as it was`);
  }
  if (one.bitmap) sameBitmaps(t, ours, theirs);
  t.notOk(model.equals(before), 'something was written');
}

/** Some bytes, read while changes are under way: what was asked for before must be there. */
async function reads(
  t: Test,
  disk: { read(start: number, length: number): Promise<Buffer> },
  model: Buffer,
  random: Random,
): Promise<void> {
  const start = random.integer(0, model.length - 1);
  const length = Math.min(model.length - start, random.integer(1, 100_000));
  const expected = Buffer.from(model.subarray(start, start + length));
  const found = await disk.read(start, length);
  if (!found.equals(expected)) t.fail(`bytes ${start} to ${start + length} are not what was written before`);
}

function make(dir: string, one: Case, random: Random): void {
  const cwd = dir;
  const size = one.size ?? SIZE;
  const args = ['create', '-q', '-f', 'qcow2', '-o', one.options];
  if (one.backing !== undefined) {
    writeFileSync(join(dir, 'base.raw'), sparse(random, one.backing));
    if (one.compressedBacking) {
      run('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', 'base.raw', 'base.qcow2'], { cwd });
      args.push('-b', 'base.qcow2', '-F', 'qcow2');
    } else args.push('-b', 'base.raw', '-F', 'raw');
  }
  run('qemu-img', [...args, 'image.qcow2', String(size)], { cwd });
  if (one.compressed) {
    writeFileSync(join(dir, 'plain.raw'), sparse(random, size));
    const words = [
      'convert',
      '-c',
      '-f',
      'raw',
      '-O',
      'qcow2',
      '-o',
      one.options,
      'plain.raw',
      'image.qcow2',
    ];
    run('qemu-img', words, { cwd });
  }
  for (let i = 0; i <= (one.snapshots ?? 0); i++) {
    const commands: string[] = [];
    for (let n = 0; n < 6; n++) {
      const start = 512 * random.integer(0, size / 512 - 1);
      const length = Math.min(size - start, 512 * random.integer(1, 400));
      const flags = n === 5 && !one.options.includes('0.10') ? '-z' : `-P ${random.integer(1, 255)}`;
      commands.push(`write -q ${flags} ${start} ${length}`);
    }
    run('qemu-io', ['-f', 'qcow2', ...commands.flatMap((one) => ['-c', one]), 'image.qcow2'], { cwd });
    if (i === (one.snapshots ?? 0)) break;
    run('qemu-img', ['snapshot', '-c', `s${i}`, 'image.qcow2'], { cwd });
    run('qemu-img', ['convert', '-O', 'raw', 'image.qcow2', `s${i}.raw`], { cwd });
  }
  if (one.bitmap) {
    for (const [name, granularity] of [
      ['b0', '512'],
      ['b1', '64k'],
    ]) {
      run('qemu-img', ['bitmap', '--add', '-g', granularity, 'image.qcow2', name], { cwd });
    }
    run('qemu-img', ['bitmap', '--add', '--disable', 'image.qcow2', 'off'], { cwd });
  }
}

function sparse(random: Random, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += random.integer(1, 200) * 512) {
    bytes.fill(random.integer(1, 255), at, Math.min(size, at + random.integer(1, 100) * 512));
  }
  return bytes;
}

/** Read by qemu-img, from where it was made: it looks for a data file in the working directory. */
function content(dir: string): Buffer {
  run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', 'image.qcow2', 'content.raw'], { cwd: dir });
  return readFileSync(join(dir, 'content.raw'));
}

function sound(t: Test, dir: string): void {
  t.match(run('qemu-img', ['check', '-f', 'qcow2', 'image.qcow2'], { cwd: dir }), 'No errors were found');
}

function theirCommand(dir: string, change: Change, number: number): string {
  const file = join(dir, `bytes${number}`);
  if (change.kind === 'write') writeFileSync(file, change.bytes);
  return qemuIoCommand(change, file);
}

function qemuIo(dir: string, commands: string[]): void {
  const words = commands.flatMap((command) => ['-c', command]);
  run('qemu-io', ['-d', 'unmap', '-f', 'qcow2', ...words, 'image.qcow2'], { cwd: dir });
}

/** What each bitmap says, as qemu-nbd exports it. */
function sameBitmaps(t: Test, ours: string, theirs: string): void {
  for (const name of ['b0', 'b1']) {
    const [found, expected] = [ours, theirs].map((dir) => bitmapMap(dir, name));
    t.same(found, expected, `bitmap ${name}`);
    // A dirty stretch is one without data, to those who ask for block status.
    t.ok(
      found.some(({ data }) => !data),
      'something is dirty',
    );
  }
}

function bitmapMap(dir: string, name: string): { data: boolean }[] {
  // Names of sockets are short.
  const socket = join(mkdtempSync(join(tmpdir(), 'nbd-')), 's');
  const export_ = `driver=nbd,server.type=unix,server.path=${socket},x-dirty-bitmap=qemu:dirty-bitmap:${name}`;
  run('qemu-nbd', ['--fork', '-r', '-B', name, '-k', socket, '-f', 'qcow2', join(dir, 'image.qcow2')]);
  try {
    return JSON.parse(run('qemu-img', ['map', '--output=json', '--image-opts', export_])) as {
      data: boolean;
    }[];
  } finally {
    rmSync(dirname(socket), { recursive: true });
  }
}
