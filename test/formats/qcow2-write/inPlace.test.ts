// Writing existing images in place: random changes, and qemu-img says whether the image is sound and what it holds.
import { copyFileSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { isWritable, type WritableDisk } from '#src/disk/disk.js';
import { ExtentColumns } from '#src/disk/extents.js';
import { openDisk } from '#src/formats/open.js';
import { Random } from '../../support/random.js';
import { qemuImg, qemuIo, run } from '../../support/tools.js';

const SIZE = 3 * 2 ** 20 + 5 * 512;

interface Case {
  name: string;
  options: string;
  backing?: boolean;
  compressed?: boolean;
  snapshot?: boolean;
}

const cases: Case[] = [
  { name: 'defaults', options: 'cluster_size=64k' },
  { name: 'clusters of 512 bytes', options: 'cluster_size=512' },
  { name: 'clusters of 4 KiB, 64-bit refcounts', options: 'cluster_size=4k,refcount_bits=64' },
  { name: 'clusters of 1 MiB', options: 'cluster_size=1M' },
  { name: '1-bit refcounts', options: 'cluster_size=4k,refcount_bits=1' },
  { name: 'version 2', options: 'cluster_size=4k,compat=0.10' },
  { name: 'version 2 over a base', options: 'cluster_size=4k,compat=0.10', backing: true },
  { name: 'over a base', options: 'cluster_size=16k', backing: true },
  { name: 'extended entries', options: 'cluster_size=64k,extended_l2=on' },
  { name: 'extended entries over a base', options: 'cluster_size=64k,extended_l2=on', backing: true },
  { name: 'compressed clusters', options: 'cluster_size=4k', compressed: true },
  { name: 'compressed clusters, zstd', options: 'cluster_size=64k,compression_type=zstd', compressed: true },
  { name: 'compressed, extended entries', options: 'cluster_size=16k,extended_l2=on', compressed: true },
  { name: 'with a snapshot', options: 'cluster_size=4k', snapshot: true },
  { name: 'with a snapshot, extended entries', options: 'cluster_size=32k,extended_l2=on', snapshot: true },
  { name: 'compressed with a snapshot', options: 'cluster_size=8k', compressed: true, snapshot: true },
  {
    name: 'compressed with a snapshot over a base',
    options: 'cluster_size=8k',
    compressed: true,
    snapshot: true,
    backing: true,
  },
  { name: 'metadata preallocated', options: 'cluster_size=16k,preallocation=metadata' },
  {
    name: 'metadata preallocated, extended entries',
    options: 'cluster_size=16k,extended_l2=on,preallocation=metadata',
  },
  { name: 'lazy refcounts', options: 'cluster_size=4k,lazy_refcounts=on' },
];

for (const [number, one] of cases.entries()) {
  t.test(one.name, async (t) => {
    const seed = 20260 + number;
    t.comment(`seed ${seed}`);
    const random = new Random(seed);
    const dir = t.testdir();
    const image = join(dir, 'image.qcow2');
    const model = join(dir, 'model.raw');
    makeImage(dir, image, one, random);
    qemuImg('convert', '-O', 'raw', image, model);
    const before = join(dir, 'before.raw');
    copyFileSync(model, before);
    truncateSync(model, SIZE);

    for (let round = 0; round < 3; round++) {
      const disk = await openDisk(image, { format: 'qcow2', writable: true });
      t.equal(disk.virtualSize, SIZE);
      const fd = openSync(model, 'r+');
      for (let i = 0; i < 25; i++) await change(disk, fd, random);
      await disk.flush();
      await disk.close();
      qemuImg('check', '-f', 'qcow2', image);
      t.match(qemuImg('compare', '-f', 'qcow2', '-F', 'raw', image, model), 'identical');
    }
    if (one.snapshot) {
      const snapshot = join(dir, 'snapshot.raw');
      qemuImg('convert', '-l', 's1', '-O', 'raw', image, snapshot);
      t.ok(readFileSync(snapshot).equals(readFileSync(before)), 'the snapshot is as it was');
      qemuImg('snapshot', '-a', 's1', image);
      qemuImg('check', '-f', 'qcow2', image);
    }
  });
}

t.test('a change that is not flushed is not in the image', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  qemuImg('create', '-f', 'qcow2', image, '1M');
  qemuIo(image, 'qcow2', 'write -P 1 0 128k');
  const content = qemuImg('map', '--output=json', image);
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  await disk.allocate(new ExtentColumns(), 2 ** 19, 65536);
  await disk.zero(0, 65536);
  await disk.close();
  t.equal(qemuImg('map', '--output=json', image), content);
  qemuImg('check', image);
});

t.test('places are not published before their bytes can be there', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  // Each L2 table of 2 MiB maps 512 GiB: a few of them are more than memory is set aside for.
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', image, '8T');
  const empty = qemuImg('map', '--output=json', image);
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  t.equal(disk.flushDue, false);
  const places = new ExtentColumns();
  const step = 2 ** 39;
  for (let i = 0; i < 12; i++) {
    await disk.allocate(places, i * step, 2 ** 21);
    await disk.zero(i * step + 2 ** 30, 2 ** 30);
  }
  t.equal(disk.flushDue, true, 'the writer is asked to flush');
  t.equal(qemuImg('map', '-U', '--output=json', image), empty, 'nothing was published meanwhile');
  for (let row = 0; row < places.count; row++) {
    await disk.file.write(Buffer.alloc(512, row + 1), places.offset[row]);
  }
  await disk.flush();
  t.equal(disk.flushDue, false);
  await disk.close();
  qemuImg('check', image);
  for (let i = 0; i < 12; i++) qemuIo(image, 'qcow2', `read -P ${i + 1} ${i * step} 512`);
});

t.test('an overlay without its chain, and damaged images, are refused with what to do', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  const base = join(dir, 'base.raw');
  writeFileSync(base, Buffer.alloc(65536, 1));
  qemuImg('create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', image);
  const headerOnly = await openDisk(image, { format: 'qcow2', writable: true, chain: false });
  t.notOk(isWritable(headerOnly), 'without its chain, only the header can change');
  await headerOnly.close();
  const fd = openSync(image, 'r+');
  writeSync(fd, Buffer.from([2]), 0, 1, 79);
  const before = readFileSync(image);
  await t.rejects(openDisk(image, { format: 'qcow2', writable: true }), {
    code: 'CORRUPT_IMAGE',
    message: /marked corrupt.*qemu-img check -r all/,
  });
  t.ok(readFileSync(image).equals(before), 'nothing changed');
});

t.test('the refcount table grows', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  const model = join(dir, 'model.raw');
  // One table cluster of 64 entries counts 64 * 64 clusters of 512 bytes: 2 MiB.
  qemuImg('create', '-f', 'qcow2', '-o', 'cluster_size=512,refcount_bits=64', image, '12M');
  writeFileSync(model, '');
  truncateSync(model, 12 * 2 ** 20);
  const random = new Random(7);
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  const fd = openSync(model, 'r+');
  for (let at = 0; at < 9 * 2 ** 20; at += 3 * 2 ** 19) {
    await write(disk, fd, at, random.bytes(2 ** 20));
  }
  await disk.flush();
  await disk.close();
  qemuImg('check', image);
  t.match(qemuImg('compare', '-f', 'qcow2', '-F', 'raw', image, model), 'identical');
});

t.test('autoclear bits that nobody knows are cleared by the first change, not by opening', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  qemuImg('create', '-f', 'qcow2', image, '1M');
  qemuImg('bitmap', '--add', image, 'b0');
  const autoclear = () => readFileSync(image).readBigUInt64BE(88);
  t.equal(autoclear(), 1n);
  const fd = openSync(image, 'r+');
  writeSync(fd, Buffer.from([0x80]), 0, 1, 88);
  t.equal(autoclear(), 0x8000000000000001n);
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  t.equal(autoclear(), 0x8000000000000001n);
  await disk.zero(0, 65536);
  t.equal(autoclear(), 1n, 'bitmaps are maintained');
  await disk.close();
  t.equal(autoclear(), 1n);
});

t.test('a range outside the disk is refused and nothing changes', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  qemuImg('create', '-f', 'qcow2', image, '1M');
  const before = readFileSync(image);
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  const wrong = disk.allocate(new ExtentColumns(), 2 ** 20 - 512, 1024);
  await t.rejects(wrong, { code: 'INVALID_ARGUMENT', message: /1049088/ });
  await disk.close();
  t.ok(readFileSync(image).equals(before));
});

t.test('metadata with refcount 0 is not overwritten', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  qemuImg('create', '-f', 'qcow2', image, '1M');
  const fd = openSync(image, 'r+');
  writeSync(fd, Buffer.from([0, 0]), 0, 2, 2 * 65536 + 3 * 2); // the L1 table's refcount
  const before = readFileSync(image);
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  const wrong = disk.allocate(new ExtentColumns(), 0, 65536);
  await t.rejects(wrong, {
    code: 'CORRUPT_IMAGE',
    message: /cluster 3 at 0x30000 has refcount 0 but holds metadata/,
  });
  await disk.close();
  t.ok(readFileSync(image).equals(before));
});

function makeImage(dir: string, image: string, one: Case, random: Random): void {
  const args = ['create', '-f', 'qcow2', '-o', one.options];
  if (one.backing) {
    const base = join(dir, 'base.raw');
    // Shorter than the overlay, and not a whole number of its clusters.
    writeFileSync(base, random.bytes(2 * 2 ** 20 + 3 * 512));
    args.push('-b', base, '-F', 'raw');
  }
  qemuImg(...args, image, String(SIZE));
  const commands: string[] = [];
  for (let i = 0; i < 12; i++) {
    const start = 512 * random.integer(0, SIZE / 512 - 2);
    const length = Math.min(SIZE - start, 512 * random.integer(1, 300));
    commands.push(`write -P ${random.integer(1, 255)} ${start} ${length}`);
  }
  if (!/compat=0.10/.test(one.options)) commands.push('write -z 256k 200k', 'write -z -u 1M 128k');
  qemuIo(image, 'qcow2', ...commands);
  if (one.compressed) {
    const plain = `${image}.plain`;
    run('mv', [image, plain]);
    const backing = one.backing ? ['-B', join(dir, 'base.raw'), '-F', 'raw'] : [];
    qemuImg('convert', '-c', '-f', 'qcow2', '-O', 'qcow2', '-o', one.options, ...backing, plain, image);
    qemuIo(image, 'qcow2', 'write -P 77 300k 40k');
  }
  if (one.snapshot) {
    qemuImg('snapshot', '-c', 's1', image);
  }
}

/** One random write or zeroing, on both sides. */
async function change(disk: WritableDisk, model: number, random: Random): Promise<void> {
  const start = 512 * random.integer(0, SIZE / 512 - 1);
  const most = random.next() < 0.2 ? 2000 : 150;
  const length = Math.min(SIZE - start, 512 * random.integer(1, most));
  if (random.next() < 0.35) {
    await disk.zero(start, length);
    writeSync(model, Buffer.alloc(length), 0, length, start);
  } else await write(disk, model, start, random.bytes(length));
}

async function write(disk: WritableDisk, model: number, start: number, bytes: Buffer): Promise<void> {
  const places = new ExtentColumns();
  await disk.allocate(places, start, bytes.length);
  let at = start;
  for (let row = 0; row < places.count; row++) {
    const piece = bytes.subarray(at - start, at - start + places.length[row]);
    await places.files[places.file[row]].writeGuest(piece, places.offset[row], at);
    at += places.length[row];
  }
  writeSync(model, bytes, 0, bytes.length, start);
}
