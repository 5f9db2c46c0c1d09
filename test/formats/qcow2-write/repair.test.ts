// Repairs through the library: many windows, dirty images that are opened for writing, repairs that are cut off.
import { closeSync, copyFileSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { JobControl } from '#src/disk/control.js';
import { likeQemu } from '#src/disk/gates.js';
import { HostFile } from '#src/disk/hostFile.js';
import { resolveLimits } from '#src/disk/limits.js';
import { openDisk } from '#src/formats/open.js';
import { checkQcow2 } from '#src/formats/qcow2/check/index.js';
import { openQcow2 } from '#src/formats/qcow2/open.js';
import { check } from '#src/operations/check.js';
import { Random } from '../../support/random.js';
import { crashed, RecordingFile } from '../../support/recordingFile.js';
import { qemuImg, qemuIo, tryRun } from '../../support/tools.js';

function poke(path: string, offset: number, bytes: number[]): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Uint8Array.from(bytes), 0, bytes.length, offset);
  closeSync(fd);
}

/** 512-byte clusters: 256 counts in a block of 16-bit counts. */
function smallClusters(path: string): void {
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512', path, '2M');
  qemuIo(path, 'qcow2', 'write -q -P 1 0 300k', 'write -q -P 2 1M 64k', 'write -q -P 3 512k 128k');
  qemuImg('snapshot', '-c', 's', path);
  qemuIo(path, 'qcow2', 'write -q -P 4 100k 50k');
}

async function repair(path: string, windowClusters?: number) {
  const disk = await openDisk(path, { format: 'qcow2', writable: true, check: true });
  try {
    return await checkQcow2(disk, new JobControl(), { repair: 'all', windowClusters });
  } finally {
    await disk.close();
  }
}

/** Seeded damage to refcounts, within the blocks. */
function damage(path: string, random: Random, withZeros: boolean): void {
  const bytes = readFileSync(path);
  const table = Number(bytes.readBigUInt64BE(48));
  for (let block = 0; block < 12; block++) {
    const offset = Number(bytes.readBigUInt64BE(table + 8 * block));
    if (offset === 0) break;
    for (let i = 0; i < 8; i++) {
      const at = offset + 2 * random.integer(0, 255);
      const count = bytes.readUInt16BE(at);
      if (count > 0) bytes.writeUInt16BE(withZeros && i === 0 ? 0 : random.integer(1, 5), at);
    }
  }
  writeFileSync(path, bytes);
}

t.test('windows: the same repair whatever is counted at a time', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  smallClusters(image);
  for (const [seed, withZeros] of [
    [1, false],
    [2, true],
    [3, true],
  ] as const) {
    const damaged = join(dir, `damaged${seed}`);
    copyFileSync(image, damaged);
    damage(damaged, new Random(seed), withZeros);
    const results = [];
    for (const window of [undefined, 256, 1024]) {
      const path = join(dir, `repaired${seed}-${window}`);
      copyFileSync(damaged, path);
      const found = await repair(path, window);
      t.ok(found.corruptionsFixed + found.leaksFixed > 0, `seed ${seed}: something was repaired`);
      results.push([found.corruptions, found.leaks, found.corruptionsFixed, found.leaksFixed]);
      t.match(tryRun('qemu-img', ['check', '-f', 'qcow2', path]), { status: 0, stderr: '' });
      t.match(qemuImg('compare', '-f', 'qcow2', '-F', 'qcow2', path, image), 'identical');
    }
    t.strictSame(results[1], results[0], `seed ${seed}`);
    t.strictSame(results[2], results[0], `seed ${seed}`);
  }
});

t.test('a dirty image is repaired when it is opened for writing', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'lazy_refcounts=on', image, '4M');
  // Aborted: counts were never written, and the dirty bit is set.
  tryRun('qemu-io', ['-f', 'qcow2', '-c', 'write -q -P 7 1M 256k', '-c', 'flush', '-c', 'abort', image]);
  t.equal(readFileSync(image)[79], 1, 'dirty');
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  t.match(disk.warnings.join('\n'), /Repairing cluster|Rebuilding refcount structure/);
  t.equal(readFileSync(image)[79], 0, 'clean before anything is written');
  await disk.write(Buffer.alloc(65536, 9), 0);
  t.ok((await disk.read(2 ** 20, 2 ** 18)).equals(Buffer.alloc(2 ** 18, 7)));
  await disk.close();
  qemuImg('check', '-q', image);
  qemuIo(image, 'qcow2', 'read -P 9 0 64k', 'read -P 7 1M 256k');
});

t.test('cut off anywhere, a repair leaves what it can be begun again on', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  smallClusters(image);
  const damaged = join(dir, 'damaged');
  copyFileSync(image, damaged);
  damage(damaged, new Random(4), true);
  poke(damaged, 79, [2]);
  const before = readFileSync(damaged);
  const log = await recorded(damaged);
  t.ok(log.length > 4);
  const random = new Random(77);
  const path = join(dir, 'cut');
  let again = 0;
  for (let cut = 0; cut <= log.length; cut++) {
    const bytes = crashed(before, log, cut, random);
    writeFileSync(path, bytes);
    const outcome = await check({ path, format: 'qcow2', repair: 'all' });
    t.match(outcome, { corruptions: 0, leaks: 0, checkErrors: 0 }, `cut at ${cut}`);
    t.equal(readFileSync(path)[79], 0, 'the mark is gone');
    again += outcome.corruptionsFixed;
    qemuImg('check', '-q', path);
    t.match(qemuImg('compare', '-f', 'qcow2', '-F', 'qcow2', path, image), 'identical');
    if (bytes[79] !== 0) continue;
    writeFileSync(path, bytes);
    t.equal(tryRun('qemu-img', ['check', '-q', path]).status, 0, `cut at ${cut}: no mark, no fault`);
  }
  t.ok(again > 0);
});

async function recorded(path: string): Promise<RecordingFile['log']> {
  const file = await HostFile.open(path, { write: true });
  const recording = new RecordingFile(file);
  const disk = await openQcow2(recording as unknown as HostFile, {
    limits: resolveLimits(),
    gate: likeQemu,
    chain: true,
    write: true,
    check: true,
    depth: 0,
    ancestors: [],
    lock: false,
    openBacking: () => Promise.reject(new RangeError('no backing file')),
    openDataFile: () => Promise.reject(new RangeError('no data file')),
  });
  await checkQcow2(disk, new JobControl(), { repair: 'all' });
  await disk.close();
  return recording.log;
}

t.test('what cannot be repaired leaves the file alone', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  smallClusters(image);
  const bytes = readFileSync(image);
  // The first block's first count: the header itself is not counted, which asks for a rebuild.
  const block = Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(48))));
  poke(image, block, [0, 0]);
  const before = readFileSync(image);
  const outcome = await check({ path: image, format: 'qcow2', repair: 'leaks' });
  t.equal(outcome.failure, 'EIO');
  t.ok(outcome.messages.includes('ERROR need to rebuild refcount structures'));
  t.ok(readFileSync(image).equals(before));
  await t.rejects(check({ path: image, format: 'qcow2', repair: 'some' as 'all' }), {
    code: 'INVALID_ARGUMENT',
    message: /some/,
  });
  await t.rejects(check({ path: image, format: 'raw', repair: 'all' }), { code: 'UNSUPPORTED_OPERATION' });
  t.ok(readFileSync(image).equals(before));
});
