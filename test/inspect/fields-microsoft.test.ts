// VHD and VHDX with one field changed.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { crc32c } from '#src/inspect/crc32c.js';
import { all, convert, cut, edit, put, table } from '../support/imageFields.js';
import { codes, judge, u32be, u32le, u64be, u64le } from '../support/inspection.js';
import { Random } from '../support/random.js';

const MiB = 2 ** 20;
const bench = { dir: t.testdir(), random: new Random(430043) };
const { dir, random } = bench;

/** Makes the footer's checksum right again, in both copies. */
const signVhd = edit((image) => {
  for (const at of [0, image.length - 512]) {
    if (at > 0) image.copy(image, at, 0, 512);
    image.writeUInt32BE(0, at + 64);
    const sum = image.subarray(at, at + 512).reduce((total, byte) => total + byte, 0);
    image.writeUInt32BE(~sum >>> 0, at + 64);
  }
});
const signDynamic = edit((image) => {
  image.writeUInt32BE(0, 512 + 36);
  const sum = image.subarray(512, 1536).reduce((total, byte) => total + byte, 0);
  image.writeUInt32BE(~sum >>> 0, 512 + 36);
});

table(bench, 'vhd', convert(bench, 'vpc'), [
  {
    what: 'a wrong checksum',
    change: put(64, u32be(7)),
    codes: ['corrupt', 'invalid-header'],
    says: 'is 7,',
  },
  {
    what: 'version 2',
    change: all(put(12, u32be(0x20000)), signVhd),
    codes: ['unsupported-version'],
    says: '2.0',
  },
  {
    what: 'type differencing',
    change: all(put(60, u32be(4)), signVhd),
    codes: ['backing-file'],
    says: 'type 4',
  },
  {
    what: 'type fixed',
    change: all(put(60, u32be(2)), signVhd),
    codes: ['invalid-header'],
    says: 'fixed VHD',
  },
  { what: 'type 9', change: all(put(60, u32be(9)), signVhd), codes: ['invalid-header'], says: 'type 9' },
  { what: 'no closing footer', change: cut(2 * MiB), codes: ['truncated'], says: 'closing footer' },
  {
    what: 'header inside the footer copy',
    change: all(put(16, u64be(0n)), signVhd),
    codes: ['invalid-header'],
    says: 'offset 0',
  },
  {
    what: 'header past the end',
    change: all(put(16, u64be(2n ** 40n)), signVhd),
    codes: ['truncated'],
    says: '1099511627776',
  },
  { what: 'no header cookie', change: put(512, [0]), codes: ['invalid-header'], says: 'cxsparse' },
  {
    what: 'a parent name',
    change: all(put(512 + 64, [0, 0x70, 0, 0x2e, 0, 0x76]), signDynamic),
    codes: ['backing-file'],
    says: "'p.v'",
  },
  {
    what: 'a parent locator',
    change: all(put(512 + 576, Buffer.from('W2ku')), signDynamic),
    codes: ['backing-file'],
    says: 'parent image',
  },
  {
    what: 'block size 3',
    change: all(put(512 + 32, u32be(3)), signDynamic),
    codes: ['invalid-header'],
    says: 'block size 3',
  },
  {
    what: 'too many blocks',
    change: all(put(512 + 28, u32be(0xfffffffe)), signDynamic),
    codes: ['table-size'],
    says: '4294967294 entries',
  },
  {
    what: 'too few blocks',
    change: all(put(512 + 28, u32be(1)), signDynamic),
    codes: ['invalid-header'],
    says: '1 VHD blocks',
  },
  {
    what: 'block table inside the header',
    change: all(put(512 + 16, u64be(600n)), signDynamic),
    codes: ['invalid-header'],
    says: 'offset 600',
  },
  {
    what: 'a block past the end',
    change: put(1536, u32be(0xfffffff0)),
    codes: ['truncated'],
    says: 'last VHD block',
  },
]);

/** Both region tables or headers changed alike, with a right CRC-32C. */
const vhdxTable = (at: number, length: number, offset: number, bytes: Buffer) =>
  edit((image) => {
    for (const copy of at === 65536 ? [65536, 131072] : [196608, 262144]) {
      const structure = image.subarray(copy, copy + length);
      bytes.copy(structure, offset);
      structure.writeUInt32LE(0, 4);
      structure.writeUInt32LE(crc32c(structure), 4);
    }
  });
const vhdxHeader = (offset: number, bytes: Buffer) => vhdxTable(65536, 4096, offset, bytes);
const vhdxRegions = (offset: number, bytes: Buffer) => vhdxTable(196608, 65536, offset, bytes);

/** Place of the metadata region, and of an item's entry in it. */
function metadataAt(image: Buffer): number {
  const id = Buffer.from('06a27c8b90479a4bb8fe575f050f886e', 'hex');
  return Number(image.readBigUInt64LE(image.indexOf(id, 196608) + 16));
}
function itemEntry(image: Buffer, id: string): number {
  return image.indexOf(Buffer.from(id, 'hex'), metadataAt(image));
}
const FILE_PARAMETERS = '3767a1ca36fa434db3b633f0aa44e76b';
const DISK_SIZE = '2442a52f1bcd7648b2115dbed83bf4b8';
const valueAt = (image: Buffer, id: string) =>
  metadataAt(image) + image.readUInt32LE(itemEntry(image, id) + 16);

table(bench, 'vhdx', convert(bench, 'vhdx'), [
  {
    what: 'no valid header',
    change: all(put(65536, [0]), put(131072, [0])),
    codes: ['corrupt'],
    says: 'neither',
  },
  {
    what: 'version 2',
    change: vhdxHeader(66, Buffer.from([2, 0])),
    codes: ['unsupported-version'],
    says: 'version 2',
  },
  {
    what: 'a log to replay',
    change: vhdxHeader(48, Buffer.from([1])),
    codes: ['pending-log'],
    says: 'log is not empty',
  },
  {
    what: 'a wrong region checksum',
    change: all(put(196612, [1, 2, 3, 4]), put(262148, [1, 2, 3, 4])),
    codes: ['corrupt'],
    says: 'region table',
  },
  {
    what: 'region tables that differ',
    change: put(262144 + 60000, [1]),
    codes: ['invalid-header'],
    says: 'differ',
  },
  {
    what: 'region count',
    change: vhdxRegions(8, u32le(2048)),
    codes: ['invalid-header', 'table-size'],
    says: '2048 exceeds the limit of 2047',
  },
  {
    what: 'no region',
    change: vhdxRegions(8, u32le(0)),
    codes: ['invalid-header'],
    says: 'no metadata region',
  },
  {
    what: 'a region in the header',
    change: vhdxRegions(16 + 16, u64le(65536n)),
    codes: ['invalid-table'],
    says: 'offset 65536',
  },
  {
    what: 'a required unknown region',
    change: all(
      vhdxRegions(8, u32le(3)),
      vhdxRegions(16 + 64, Buffer.concat([Buffer.alloc(16, 7), u64le(4n * 1048576n), u32le(1), u32le(1)])),
    ),
    codes: ['unknown-features'],
    says: '07070707',
  },
  {
    what: 'no metadata signature',
    change: edit((image) => image.write('x', metadataAt(image))),
    codes: ['invalid-table'],
    says: 'metadata table',
  },
  {
    what: 'item count',
    change: edit((image) => image.writeUInt16LE(2048, metadataAt(image) + 10)),
    codes: ['invalid-table', 'table-size'],
    says: '2048 exceeds the limit of 2047',
  },
  {
    what: 'has a parent',
    change: edit((image) => image.writeUInt32LE(2, valueAt(image, FILE_PARAMETERS) + 4)),
    codes: ['backing-file'],
    says: 'child',
  },
  {
    what: 'a parent locator',
    change: edit((image) =>
      Buffer.from('2d5fd3a80bb34d45abf7d3d84834ab0c', 'hex').copy(
        image,
        itemEntry(image, '1dbf41816fa90947ba47f233a8faab5f'),
      ),
    ),
    codes: ['backing-file'],
    says: 'parent locator',
  },
  {
    what: 'block size 3',
    change: edit((image) => image.writeUInt32LE(3, valueAt(image, FILE_PARAMETERS))),
    codes: ['invalid-table'],
    says: 'block size 3',
  },
  {
    what: 'size 2^63',
    change: edit((image) => image.writeBigUInt64LE(2n ** 63n, valueAt(image, DISK_SIZE))),
    codes: ['virtual-size'],
    says: '9223372036854775808',
  },
  {
    what: 'an item outside the region',
    change: edit((image) => image.writeUInt32LE(0x7fffffff, itemEntry(image, DISK_SIZE) + 16)),
    codes: ['invalid-table'],
    says: '2147483647',
  },
  {
    what: 'an item of 2 GiB',
    change: edit((image) => image.writeUInt32LE(0x7fffffff, itemEntry(image, DISK_SIZE) + 20)),
    codes: ['invalid-table'],
    says: '2147483647 bytes',
  },
  {
    what: 'a required unknown item',
    change: edit((image) => image.fill(9, itemEntry(image, DISK_SIZE), itemEntry(image, DISK_SIZE) + 16)),
    codes: ['invalid-table', 'unknown-features'],
    says: '09090909',
  },
  { what: 'data cut', change: cut(4 * MiB), codes: ['truncated'], says: 'VHDX block' },
]);

t.test('vhd: of geometry and size, the larger one counts', async (t) => {
  const path = `${dir}/geometry.vhd`;
  convert(bench, 'vpc')(path);
  all(put(56, [0x10, 0x00]), signVhd)(path);
  const heads = readFileSync(path)[58];
  const sectors = readFileSync(path)[59];
  const verdict = await judge(t, path, { claimed: 'vhd', maxVirtualSize: 64 * MiB }, random);
  t.equal(verdict.virtualSize, 4096 * heads * sectors * 512);
  t.same(codes(verdict), ['virtual-size']);
});

t.test('crc32c: the check value of RFC 3720', async (t) => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
});
