import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { check } from '#src/operations/check.js';
import { randomChain, randomRaw } from '../support/images.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { md5sum, qemuImg, tryRun } from '../support/tools.js';

t.test('sound images: the figures of qemu-img', async (t) => {
  const dir = t.testdir();
  const random = new Random(61);
  const layers = randomChain(dir, random, { depth: 3, size: 4 * 2 ** 20 });
  const packed = join(dir, 'c.qcow2');
  qemuImg('convert', '-c', '-O', 'qcow2', layers[2], packed);
  for (const path of [layers[1], layers[2], packed]) {
    const theirs = JSON.parse(qemuImg('check', '--output=json', '-f', 'qcow2', path));
    const ours = await check({ path, format: 'qcow2', gate: 'qemu' });
    t.match(ours, {
      filename: theirs.filename,
      format: theirs.format,
      checkErrors: theirs['check-errors'],
      corruptions: theirs.corruptions ?? 0,
      leaks: theirs.leaks ?? 0,
      totalClusters: theirs['total-clusters'],
      allocatedClusters: theirs['allocated-clusters'] ?? 0,
      fragmentedClusters: theirs['fragmented-clusters'] ?? 0,
      compressedClusters: theirs['compressed-clusters'] ?? 0,
      imageEndOffset: theirs['image-end-offset'],
      messages: [],
    });
  }
});

t.test('a damaged image is reported and not touched', async (t) => {
  const dir = t.testdir();
  const path = join(dir, 'a.qcow2');
  qemuImg('convert', '-O', 'qcow2', randomRaw(join(dir, 'a.raw'), new Random(62), 2 ** 20), path);
  const used = readFileSync(path);
  const bytes = Buffer.concat([used, Buffer.alloc(2 * 65536 - (used.length % 65536))]);
  // A refcount of the first refcount block, and one more cluster nobody refers to.
  const block = Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(48))));
  bytes.writeUInt16BE(0, block + 2 * 5);
  bytes.writeUInt16BE(1, block + 2 * (bytes.length / 65536 - 1));
  writeFileSync(path, bytes);
  const before = md5sum(path);
  const ours = await check({ path, format: 'qcow2' });
  t.equal(md5sum(path), before);
  const theirs = tryRun('qemu-img', ['check', '--output=json', path]);
  const counts = JSON.parse(theirs.stdout);
  t.match(ours, { corruptions: counts.corruptions, leaks: counts.leaks });
  t.ok(ours.corruptions > 0 && ours.leaks > 0);
  t.strictSame(
    ours.messages,
    theirs.stderr
      .trim()
      .split('\n')
      .filter((line) => line !== ''),
  );
});

t.test('a format without a check', async (t) => {
  const path = randomRaw(join(t.testdir(), 'a.raw'), new Random(63), 2 ** 20);
  await failsWith(t, check({ path, format: 'raw' }), 'UNSUPPORTED_OPERATION', /does not support checks/);
  await failsWith(t, check({ path, format: 'qcow2' }), 'NOT_QCOW2', /a\.raw/);
});
