import t from 'tap';
import { all, convert, cut, edit, put, table } from '../support/imageFields.js';
import { u32be, u64be } from '../support/inspection.js';
import { Random } from '../support/random.js';

const MiB = 2 ** 20;
const bench = { dir: t.testdir(), random: new Random(430043) };

/** A header extension, padded to 8 bytes, and the end mark. */
function extension(type: number, data: Buffer): Buffer {
  const padded = Buffer.alloc(Math.ceil(data.length / 8) * 8 + 8);
  data.copy(padded);
  return Buffer.concat([u32be(type), u32be(data.length), padded]);
}

function featureName(bit: number, name: string): Buffer {
  const entry = Buffer.alloc(48);
  entry[1] = bit;
  entry.write(name, 2, 'latin1');
  return entry;
}

table(bench, 'qcow2', convert(bench, 'qcow2'), [
  { what: 'version 0', change: put(4, u32be(0)), codes: ['unsupported-version'], says: 'version 0' },
  { what: 'cluster_bits 8', change: put(20, u32be(8)), codes: ['invalid-header'], says: 'cluster_bits of 8' },
  {
    what: 'cluster_bits 22',
    change: put(20, u32be(22)),
    codes: ['invalid-header'],
    says: 'cluster_bits of 22',
  },
  {
    what: 'backing offset without a name',
    change: put(8, u64be(1024n)),
    codes: ['backing-file'],
    says: 'byte 1024',
  },
  {
    what: 'backing name without an offset',
    change: put(16, u32be(5)),
    codes: ['invalid-header'],
    says: 'name of 5 bytes without an offset',
  },
  {
    what: 'backing name of 1,024 bytes',
    change: all(put(8, u64be(4096n)), put(16, u32be(1024))),
    codes: ['backing-file', 'invalid-header'],
    says: '1024 bytes exceeds the limit of 1023',
  },
  {
    what: 'backing name beyond the first cluster',
    change: all(put(8, u64be(65530n)), put(16, u32be(10))),
    codes: ['backing-file', 'invalid-header'],
    says: 'byte 65530 is not in the first cluster',
  },
  {
    what: 'size 2^63',
    change: put(24, u64be(2n ** 63n)),
    codes: ['virtual-size'],
    says: '9223372036854775808',
  },
  { what: 'crypt_method 3', change: put(32, u32be(3)), codes: ['encrypted'], says: 'method 3' },
  {
    what: 'L1 too short',
    change: put(24, u64be(2n ** 40n)),
    codes: ['invalid-header'],
    says: 'L1 table of 1 entries; 1099511627776 bytes need 2048',
  },
  {
    what: 'L1 of 4 Mi + 1 entries',
    change: put(36, u32be(4 * MiB + 1)),
    codes: ['table-size'],
    says: '4194305 entries exceeds the limit of 4194304',
  },
  {
    what: 'L1 past the end',
    change: put(36, u32be(4 * MiB)),
    codes: ['truncated'],
    says: 'the L1 table needs',
  },
  { what: 'L1 at byte 0', change: put(40, u64be(0n)), codes: ['invalid-table'], says: 'byte 0 is not' },
  { what: 'L1 not at a cluster', change: put(40, u64be(65537n)), codes: ['invalid-table'], says: '65537' },
  {
    what: 'L2 past the end',
    change: edit((image) => image.writeBigUInt64BE(2n ** 50n, Number(image.readBigUInt64BE(40)))),
    codes: ['truncated'],
    says: '1125899906842624',
  },
  {
    what: 'L2 not at a cluster',
    change: edit((image) => image.writeBigUInt64BE(0x10200n, Number(image.readBigUInt64BE(40)))),
    codes: ['invalid-table'],
    says: '1 L2 tables are not',
  },
  { what: 'refcount table at byte 0', change: put(48, u64be(0n)), codes: ['invalid-table'], says: 'byte 0' },
  {
    what: 'refcount table past the end',
    change: put(48, u64be(2n ** 40n)),
    codes: ['truncated'],
    says: '1099511627776',
  },
  {
    what: 'refcount table of 0 clusters',
    change: put(56, u32be(0)),
    codes: ['invalid-header'],
    says: '0 clusters',
  },
  {
    what: 'refcount table of 129 clusters',
    change: put(56, u32be(129)),
    codes: ['table-size'],
    says: '8454144 bytes exceeds the limit of 8388608',
  },
  {
    what: 'refcount_order 7',
    change: put(96, u32be(7)),
    codes: ['invalid-header'],
    says: 'refcount_order of 7',
  },
  { what: 'last cluster cut', change: cut(5 * 65536), codes: ['truncated'], says: 'the file ends at 327680' },
  {
    what: '65,537 snapshots',
    change: put(60, u32be(65537)),
    codes: ['table-size'],
    says: '65537 snapshots exceed the limit of 65536',
  },
  {
    what: 'snapshot table past the end',
    change: all(put(60, u32be(2)), put(64, u64be(2n ** 41n))),
    codes: ['truncated'],
    says: '2199023255552',
  },
  { what: 'header length 96', change: put(100, u32be(96)), codes: ['invalid-header'], says: 'length of 96' },
  {
    what: 'header length 108',
    change: put(100, u32be(108)),
    codes: ['invalid-header'],
    says: 'length of 108',
  },
  {
    what: 'compression type without its bit',
    change: put(104, [1]),
    codes: ['invalid-header'],
    says: 'compression type 1 contradicts',
  },
  {
    what: 'compression type 2',
    change: all(put(104, [2]), put(79, [8])),
    codes: ['unknown-features'],
    says: 'compression type 2',
  },
  {
    what: 'extended L2 with small clusters',
    change: all(put(79, [16]), put(20, u32be(13))),
    codes: ['invalid-header'],
    says: 'at least 14, not 13',
  },
  {
    what: 'an unknown feature with a name',
    change: all(put(72, u64be(32n)), put(112, extension(0x6803f857, featureName(5, "evil\x1b[31m'name'")))),
    codes: ['unknown-features'],
    says: "bit 5 is unknown, which calls itself 'evil\\u{1b}[31m\\u{27}name\\u{27}'",
  },
  {
    what: 'a data file name without the bit',
    change: put(112, extension(0x44415441, Buffer.from('/etc/shadow'))),
    codes: ['data-file'],
    says: "'/etc/shadow'",
  },
  {
    what: 'two data file names',
    change: put(
      112,
      Buffer.concat([
        extension(0x44415441, Buffer.from('a')).subarray(0, 16),
        extension(0x44415441, Buffer.from('b')),
      ]),
    ),
    codes: ['data-file', 'invalid-header'],
    says: '0x44415441 is there 2 times',
  },
  {
    what: 'an extension past the first cluster',
    change: put(112, Buffer.concat([u32be(0x1234), u32be(0xfffffff0)])),
    codes: ['invalid-header'],
    says: '0x1234 of 4294967280 bytes',
  },
  {
    what: 'a bitmap directory past the end',
    change: put(
      112,
      extension(0x23852875, Buffer.concat([u32be(1), u32be(0), u64be(32n), u64be(2n ** 42n)])),
    ),
    codes: ['truncated'],
    says: '4398046511104',
  },
]);

table(bench, 'qcow2-v2', convert(bench, 'qcow2', '-o', 'compat=0.10'), [
  {
    what: 'bytes at 72, strict',
    change: put(79, [4]),
    codes: ['strict-feature'],
    says: 'non-zero bytes at 72',
    strict: true,
  },
]);
