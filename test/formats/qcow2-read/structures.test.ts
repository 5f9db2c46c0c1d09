// The pure structures: compressed descriptors, refcount entries, L2 entries, headers both ways.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { HostFile } from '#src/disk/hostFile.js';
import { defaultLimits } from '#src/disk/limits.js';
import {
  compressedLength,
  compressedOffset,
  compressedOffsetBits,
  encodeCompressed,
  maxCompressedOffset,
} from '#src/formats/qcow2/compressedDescriptor.js';
import { knownFeatures, parseFeatureNames, serializeFeatureNames } from '#src/formats/qcow2/featureNames.js';
import { parseHeader } from '#src/formats/qcow2/header.js';
import { L2Cache } from '#src/formats/qcow2/l2Cache.js';
import {
  entryOffset,
  entryWords,
  SubclusterType,
  subclusterType,
  tableBytes,
  tableWords,
} from '#src/formats/qcow2/l2Entry.js';
import {
  maxRefcount,
  refcountGetter,
  refcountSetter,
  refcountsPerBlock,
} from '#src/formats/qcow2/refcounts.js';
import { serializeHeader } from '#src/formats/qcow2/serializeHeader.js';
import { Random } from '../../support/random.js';
import { qemuImg } from '../../support/tools.js';

t.test('compressed descriptors at every cluster size', async (t) => {
  // x = 62 - (cluster_bits - 8): the specification's formula, worked out by hand.
  const offsetBits = [61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49];
  const random = new Random(3);
  for (let bits = 9; bits <= 21; bits++) {
    t.equal(compressedOffsetBits(bits), offsetBits[bits - 9], `${bits} bits`);
    const most = Math.min(2 ** 53, 2 ** offsetBits[bits - 9]);
    t.equal(maxCompressedOffset(bits), most);
    for (let i = 0; i < 200; i++) {
      const offset = Math.floor(random.next() * (i < 100 ? 2 ** 34 : most));
      const length = random.integer(1, 2 ** bits - 1);
      const sectors = Math.floor((offset + length - 1) / 512) - Math.floor(offset / 512);
      if (sectors >= 2 ** (bits - 8)) continue;
      const [hi, lo] = encodeCompressed(offset, length, bits);
      const whole = (BigInt(hi) << 32n) | BigInt(lo);
      if (whole >> 62n !== 1n) t.fail(`flags of ${whole}`);
      const place = { offset: compressedOffset(hi, lo, bits), length: compressedLength(hi, lo, bits) };
      const expected = { offset, length: (sectors + 1) * 512 - (offset % 512) };
      if (place.offset !== expected.offset || place.length !== expected.length) t.same(place, expected);
      if (place.length < length) t.fail(`${place.length} bytes for ${length} at ${offset}`);
    }
    t.throws(() => encodeCompressed(0, 2 ** bits * 2 + 513, bits), { name: 'RangeError' });
    t.throws(() => encodeCompressed(most, 1, bits), { name: 'RangeError' });
  }
});

t.test('refcount entries of every width', async (t) => {
  const random = new Random(4);
  for (let order = 0; order <= 6; order++) {
    const get = refcountGetter(order);
    const set = refcountSetter(order);
    const entries = refcountsPerBlock(512, order);
    t.equal(entries, 4096 >> order);
    const block = Buffer.alloc(512);
    const expected = Array.from({ length: entries }, () =>
      Math.floor(random.next() * Math.min(2 ** 53, maxRefcount(order) + 1)),
    );
    for (const i of expected.keys()) set(block, i, maxRefcount(order));
    for (const [i, value] of expected.entries()) set(block, i, value);
    t.same(
      expected.map((_, i) => get(block, i)),
      expected,
      `order ${order}`,
    );
  }
  const block = Buffer.alloc(8);
  refcountSetter(0)(block, 3, 1);
  refcountSetter(2)(block, 3, 5);
  t.equal(block.toString('hex'), '0850000000000000', 'below a byte: from the low bits up');
  t.throws(() => refcountGetter(7), { name: 'RangeError' });
});

t.test('L2 entries', async (t) => {
  for (const offset of [0x10000, 0xfffff000, 0x100000000, 2 ** 52]) {
    for (const copied of [false, true]) {
      const [hi, lo] = entryWords(offset, copied);
      t.equal(entryOffset(hi, lo), offset);
      t.equal((BigInt(hi) << 32n) | BigInt(lo), BigInt(offset) | (copied ? 1n << 63n : 0n));
    }
  }
  const { unallocated, unallocatedPlaced, zero, zeroPlaced, data, invalid } = SubclusterType;
  t.equal(subclusterType(false, 0, 0, 31), unallocated);
  t.equal(subclusterType(true, 0, 0, 31), unallocatedPlaced);
  t.equal(subclusterType(false, 0, 2 ** 31, 31), zero);
  t.equal(subclusterType(true, 1, 2 ** 31, 31), zeroPlaced);
  t.equal(subclusterType(true, 2 ** 31, 1, 31), data);
  t.equal(subclusterType(true, 1, 1, 0), invalid, 'both bits');
  t.equal(subclusterType(false, 1, 0, 0), invalid, 'data without a place');
  const bytes = new Uint8Array(16);
  Buffer.from('8000000000050000000000000000ff01', 'hex').copy(bytes);
  const words = tableWords(bytes);
  t.same([...words], [0x80000000, 0x50000, 0, 0xff01]);
  t.equal(tableBytes(words).toString('hex'), '8000000000050000000000000000ff01');
});

t.test('feature names', async (t) => {
  t.same(parseFeatureNames(serializeFeatureNames()), knownFeatures);
  t.same(parseFeatureNames(Buffer.alloc(47)), []);
  t.same(parseFeatureNames(Buffer.concat([Buffer.from([9, 1]), Buffer.alloc(46, 65)])), [], 'unknown type');
});

t.test('headers made by qemu-img come out byte for byte', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'x.qcow2');
  for (const options of [
    ['-o', 'compat=0.10'],
    ['-o', 'compat=1.1'],
    ['-o', 'cluster_size=512,refcount_bits=1'],
    ['-o', 'cluster_size=2M,compression_type=zstd,lazy_refcounts=on,extended_l2=on'],
    ['-o', `data_file=${dir}/d.img,data_file_raw=on`],
    ['-u', '-b', 'some/böse name.raw', '-F', 'raw'],
    ['-u', '-b', 'x'.repeat(1023), '-F', 'raw', '-o', 'compat=0.10'],
  ]) {
    qemuImg('create', '-q', '-f', 'qcow2', ...options, file, '123M');
    const bytes = readFileSync(file);
    const first = bytes.subarray(0, 2 ** bytes.readUInt32BE(20));
    const header = parseHeader(first, bytes.length, defaultLimits, file);
    const written = serializeHeader(header);
    t.ok(written.equals(first.subarray(0, written.length)), options.join(' '));
    t.ok(
      first.subarray(written.length).every((byte) => byte === 0),
      'and nothing is left out',
    );
    t.equal(header.virtualSize, 123 * 2 ** 20);
  }
});

t.test('what is not understood survives a rewrite', async (t) => {
  const file = join(t.testdir(), 'x.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', file, '1M');
  const bytes = readFileSync(file);
  const header = parseHeader(bytes, bytes.length, defaultLimits, file);
  const unknown = serializeHeader({
    ...header,
    headerLength: 128,
    unknownFields: Buffer.from('0123456789abcdef'),
    extensions: [{ type: 0xabcdef01, data: Buffer.from('seven b') }, ...header.extensions],
    compatible: 1n << 50n,
  });
  const again = parseHeader(Buffer.concat([unknown, Buffer.alloc(65536)]), bytes.length, defaultLimits, file);
  t.equal(again.unknownFields.toString(), '0123456789abcdef');
  t.equal(again.extensions[0].data.toString(), 'seven b');
  t.ok(serializeHeader(again).equals(unknown));
  t.throws(() => serializeHeader({ ...header, backingFile: 'x'.repeat(1024) }), {
    code: 'INVALID_HEADER',
    message: /1024.*1023/,
  });
  t.throws(() => serializeHeader({ ...header, clusterBits: 9, backingFile: 'x'.repeat(1000) }), {
    code: 'INVALID_HEADER',
    message: /exceed the cluster of 512/,
  });
});

t.test('the L2 cache stays within its bytes', async (t) => {
  const path = join(t.testdir({ x: Buffer.from(Array.from({ length: 64 * 512 }, (_, i) => i >> 9)) }), 'x');
  const file = await HostFile.open(path);
  const cache = new L2Cache(file, 512, 4096);
  const first = async (offset: number, ahead?: number) => (await cache.get(offset, ahead))[0] & 0xff;
  t.equal(await first(512 * 5, 4), 5);
  t.equal(cache.peek(512 * 8)?.[0], 0x08080808, 'read ahead');
  t.equal(cache.peek(512 * 9), undefined);
  t.equal(await first(512 * 3, 100), 3, 'ahead stops at what is held');
  for (let i = 20; i < 28; i++) t.equal(await first(512 * i), i);
  t.equal(cache.peek(512 * 5), undefined, 'the oldest went out');
  t.equal(cache.peek(512 * 27)?.[0], 0x1b1b1b1b);
  cache.invalidate(512 * 27);
  t.equal(cache.peek(512 * 27), undefined);
  t.equal(await first(512 * 63, 8), 63, 'past the end of the file: zeros');
  await file.close();
});
