// Storage that fails, tables that are full, images that contradict themselves: what was refused has changed nothing, and
// what failed left a sound image.
import { copyFileSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DiskImageError } from '#src/disk/errors.js';
import { likeQemu } from '#src/disk/gates.js';
import { HostFile } from '#src/disk/hostFile.js';
import { resolveLimits } from '#src/disk/limits.js';
import { openDisk } from '#src/formats/open.js';
import { openWritableQcow2, WritableQcow2Disk } from '#src/formats/qcow2/writable.js';
import { digest } from '../../support/craft.js';
import { RecordingFile } from '../../support/recordingFile.js';
import { failsWith } from '../../support/settled.js';
import { qemuImg, qemuIo } from '../../support/tools.js';

const MiB = 2 ** 20;

/** A file whose next calls fail when told so. */
class FailingFile extends RecordingFile {
  broken: 'ENOSPC' | 'EIO' | undefined;

  override write(buffer: Uint8Array, offset: number): Promise<void> {
    return this.broken === 'ENOSPC' ? this.#fail('write') : super.write(buffer, offset);
  }

  override writePieces(buffer: Uint8Array, offsets: Float64Array, lengths: Uint32Array): Promise<void> {
    return this.broken === 'ENOSPC' ? this.#fail('write') : super.writePieces(buffer, offsets, lengths);
  }

  override sync(): Promise<void> {
    return this.broken === 'EIO' ? this.#fail('fdatasync') : super.sync();
  }

  #fail(syscall: string): Promise<never> {
    const message = `${this.broken}: injected, ${syscall}`;
    return Promise.reject(new DiskImageError('IO', message, { errno: this.broken, syscall }));
  }
}

/** A file of fixed size, as a block device is. */
class DeviceFile extends RecordingFile {
  override get isBlockDevice(): boolean {
    return true;
  }
}

async function openFailing(image: string): Promise<{ file: FailingFile; disk: WritableQcow2Disk }> {
  const file = new FailingFile(await HostFile.open(image, { write: true }));
  return { file, disk: await openOn(file) };
}

function openOn(file: RecordingFile): Promise<WritableQcow2Disk> {
  return openWritableQcow2(file as unknown as HostFile, {
    limits: resolveLimits(),
    gate: likeQemu,
    chain: true,
    write: true,
    depth: 0,
    ancestors: [],
    lock: false,
    openBacking: () => Promise.reject(new RangeError('no backing file here')),
    openDataFile: () => Promise.reject(new RangeError('no data file here')),
  });
}

t.test('storage that is full: the write fails, what is there stays, and later writes succeed', async (t) => {
  const image = join(t.testdir(), 'image.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', image, '4M');
  const { file, disk } = await openFailing(image);
  await disk.write(Buffer.alloc(8192, 1), 4096);
  file.broken = 'ENOSPC';
  const error = await failsWith(t, disk.write(Buffer.alloc(20_000, 2), MiB), 'IO', 'ENOSPC');
  t.equal(error.errno, 'ENOSPC');
  await failsWith(t, disk.flush(), 'IO', 'ENOSPC');
  t.ok((await disk.read(4096, 8192)).equals(Buffer.alloc(8192, 1)));
  file.broken = undefined;
  await disk.write(Buffer.alloc(20_000, 3), MiB);
  await disk.close();
  t.match(qemuImg('check', '-f', 'qcow2', image), 'No errors', 'nothing leaks: the places were given back');
  qemuIo(image, 'qcow2', 'read -P 1 4k 8k', `read -P 3 1M 20000`);
});

t.test('a sync that fails: nothing is published any more', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', image, '4M');
  qemuIo(image, 'qcow2', 'write -q -P 9 0 64k');
  const { file, disk } = await openFailing(image);
  await disk.write(Buffer.alloc(100, 1), MiB);
  file.broken = 'EIO';
  await failsWith(t, disk.flush(), 'IO', 'EIO');
  file.broken = undefined;
  const error = await failsWith(t, disk.write(Buffer.alloc(1), 0), 'IO', 'no more changes', image);
  t.equal(error.errno, 'EIO');
  await failsWith(t, disk.flush(), 'IO', 'no more changes');
  const before = digest(image);
  await disk.close();
  t.equal(digest(image), before);
  qemuIo(image, 'qcow2', 'read -P 9 0 64k', 'read -P 0 1M 1M');
});

t.test('a device that is full: refused before it is passed, and freed clusters are used again', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  const SIZE = 4 * MiB + 512;
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=16k', image, '8M');
  // What lay on the device before is not zeros.
  writeFileSync(image, Buffer.concat([readFileSync(image), Buffer.alloc(SIZE, 0xee)]).subarray(0, SIZE));
  const disk = await openOn(new DeviceFile(await HostFile.open(image, { write: true })));
  let at = 0;
  const full = (async () => {
    for (; at < 8 * MiB; at += 16_384) await disk.write(Buffer.alloc(1000, 1), at);
  })();
  const error = await failsWith(t, full, 'IO', `${SIZE} bytes has no room`);
  t.equal(error.errno, 'ENOSPC');
  t.ok(at > 3.5 * MiB, `${at} bytes were mapped`);
  await disk.discard(MiB, MiB);
  await disk.flush();
  await disk.write(Buffer.alloc(1000, 2), 7 * MiB);
  await disk.close();
  t.equal(readFileSync(image).length, SIZE);
  t.match(qemuImg('check', '-f', 'qcow2', image), 'No errors');
  qemuIo(image, 'qcow2', 'read -P 1 0 1000', 'read -P 0 1000 15384', 'read -P 0 1M 1M', 'read -P 2 7M 1000');
  qemuIo(image, 'qcow2', `read -P 0 ${7 * MiB + 1000} 15384`, `read -P 0 ${at} 16384`);
});

t.test('a refcount table that may not grow: refused before anything changes', async (t) => {
  const image = join(t.testdir(), 'image.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512,refcount_bits=64', image, '8M');
  const limits = { refcountTableBytes: 512 };
  const disk = await openDisk(image, { format: 'qcow2', writable: true, limits });
  // 64 entries of 64 counts of 512 bytes: 2 MiB.
  let at = 0;
  const full = (async () => {
    for (; at < 4 * MiB; at += 16_384) await disk.write(Buffer.alloc(16_384, 1), at);
  })();
  await failsWith(t, full, 'LIMIT_EXCEEDED', 'table of 2 clusters', 'limit of 1 ');
  t.ok(at > MiB, `${at} bytes were written`);
  await disk.flush();
  const before = digest(image);
  await failsWith(t, disk.write(Buffer.alloc(MiB, 2), 6 * MiB), 'LIMIT_EXCEEDED', 'limit of 1 ');
  await disk.close();
  t.equal(digest(image), before);
  t.match(qemuImg('check', '-f', 'qcow2', image), 'No errors');
  qemuIo(image, 'qcow2', `read -P 1 0 ${at}`, 'read -P 0 6M 1M');
});

t.test('counts that do not fit refcount_bits are refused by name', async (t) => {
  const image = join(t.testdir(), 'image.qcow2');
  for (const [bits, most] of [
    [1, 1],
    [2, 3],
    [4, 15],
  ]) {
    qemuImg('create', '-q', '-f', 'qcow2', '-o', `refcount_bits=${bits}`, image, '4M');
    qemuIo(image, 'qcow2', 'write -q 0 64k');
    const before = digest(image);
    const disk = await openDisk(image, { format: 'qcow2', writable: true });
    if (!(disk instanceof WritableQcow2Disk)) throw new RangeError('no qcow2 disk');
    const last = (await disk.core.allocator.end()) * 65536 - 65536;
    const wrong = disk.exclusive(async ({ allocator }) => {
      for (let count = 2; count <= most; count++) t.equal(await allocator.retain(last, 65536), count);
      await failsWith(t, allocator.retain(last + 65536, 1), 'CORRUPT_IMAGE', 'refcount 0');
      await allocator.retain(last, 65536);
    });
    await failsWith(t, wrong, 'LIMIT_EXCEEDED', `refcount ${most}`, `${bits} refcount bits`);
    // What was counted already is not published by the close, and nothing else may build on it.
    if (most > 1)
      await failsWith(t, disk.write(Buffer.alloc(1), 0), 'IO', 'no more changes', `refcount ${most}`);
    await disk.close();
    t.equal(digest(image), before);
  }
});

t.test('an entry that points into metadata is not written through', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', image, '4M');
  qemuIo(image, 'qcow2', 'write -q -P 1 0 64k');
  const bytes = readFileSync(image);
  const l1 = Number(bytes.readBigUInt64BE(40));
  const l2 = Number(bytes.readBigUInt64BE(l1) & 0x00fffffffffffe00n);
  for (const [target, what] of [
    [65536n, 'refcount table'],
    [BigInt(l1), 'L1 table'],
    [0x50004n, 'reserved bits'],
    [0x50200n, 'not a multiple of the cluster size 65536'],
  ] as const) {
    const bad = join(dir, 'bad.qcow2');
    copyFileSync(image, bad);
    const entry = Buffer.alloc(8);
    entry.writeBigUInt64BE(target | (1n << 63n));
    const fd = openSync(bad, 'r+');
    writeSync(fd, entry, 0, 8, l2);
    const before = digest(bad);
    const disk = await openDisk(bad, { format: 'qcow2', writable: true });
    await failsWith(t, disk.write(Buffer.alloc(512, 2), 0), 'CORRUPT_IMAGE', what, 'L2 entry 0');
    await failsWith(t, disk.zero(0, 65536), 'CORRUPT_IMAGE', what);
    await failsWith(t, disk.discard(0, 65536), 'CORRUPT_IMAGE', what);
    await disk.close();
    t.equal(digest(bad), before, what);
  }
});
