// VDI, VMDK and LUKS with one field changed.
import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { type Change, convert, cut, put, table } from '../support/imageFields.js';
import { codes, judge, u32be, u32le, u64le } from '../support/inspection.js';
import { Random } from '../support/random.js';
import { qemuImg } from '../support/tools.js';

const MiB = 2 ** 20;
const bench = { dir: t.testdir(), random: new Random(430043) };
const { dir, random } = bench;

table(bench, 'vdi', convert(bench, 'vdi'), [
  { what: 'cut at 100', change: cut(100), codes: ['truncated'], says: 'ends at 100' },
  {
    what: 'version 2.0',
    change: put(68, u32le(0x20000)),
    codes: ['unsupported-version'],
    says: 'version 2.0',
  },
  { what: 'a differencing type', change: put(76, u32le(4)), codes: ['backing-file'], says: 'differencing' },
  { what: 'type 9', change: put(76, u32le(9)), codes: ['invalid-header'], says: 'type 9' },
  { what: 'a link UUID', change: put(424, [1]), codes: ['backing-file'], says: 'child of another image' },
  { what: 'a parent UUID', change: put(455, [1]), codes: ['backing-file'], says: 'child of another image' },
  {
    what: 'size 2^60',
    change: put(368, u64le(2n ** 60n)),
    codes: ['virtual-size'],
    says: '1152921504606846976',
  },
  {
    what: 'too few blocks',
    change: put(368, u64le(2n ** 40n)),
    codes: ['invalid-header'],
    says: '1099511627776',
  },
  { what: 'sector size', change: put(360, u32le(4096)), codes: ['invalid-header'], says: 'size 4096' },
  { what: 'block size', change: put(376, u32le(MiB * 2)), codes: ['invalid-header'], says: '2097152' },
  {
    what: 'blocks 2^32 - 1',
    change: put(384, u32le(0xffffffff)),
    codes: ['table-size', 'truncated'],
    says: '4294967295 entries',
  },
  { what: 'data cut', change: cut(2 * MiB), codes: ['truncated'], says: 'the VDI data' },
]);

table(bench, 'vmdk', convert(bench, 'vmdk'), [
  { what: 'cut at 80', change: cut(80), codes: ['truncated'], says: 'ends at 80' },
  { what: 'version 4', change: put(4, u32le(4)), codes: ['unsupported-version'], says: 'version 4' },
  { what: 'text-mode transfer', change: put(73, [10, 32, 10, 10]), codes: ['corrupt'], says: 'newline' },
  {
    what: 'old ESX magic',
    change: put(0, Buffer.from('COWD')),
    codes: ['unsupported-version'],
    says: 'COWD',
  },
  {
    what: 'capacity 2^60',
    change: put(12, u64le(2n ** 60n)),
    codes: ['virtual-size'],
    says: '590295810358705651712',
  },
  {
    what: 'capacity 2^43',
    change: put(12, u64le(2n ** 43n)),
    codes: ['table-size'],
    says: 'grain directory of 536870912 bytes',
  },
  { what: 'grain size 3', change: put(20, u64le(3n)), codes: ['invalid-header'], says: '3 sectors' },
  { what: 'descriptor elsewhere', change: put(28, u64le(2n)), codes: ['descriptor'], says: 'byte 1024' },
  { what: 'no descriptor', change: put(36, u64le(0n)), codes: ['descriptor'], says: 'byte 512' },
  {
    what: 'descriptor of 2^50 sectors',
    change: put(36, u64le(2n ** 50n)),
    codes: ['table-size'],
    says: 'exceeds the limit of 1048575',
  },
  {
    what: 'grain table entries',
    change: put(44, u32le(513)),
    codes: ['invalid-header'],
    says: '513 entries',
  },
  { what: 'directory at byte 0', change: put(56, u64le(0n)), codes: ['invalid-table'], says: 'byte 0' },
  {
    what: 'directory past the end',
    change: put(56, u64le(2n ** 40n)),
    codes: ['truncated'],
    says: 'grain directory',
  },
  {
    what: 'directory at the end without a footer',
    change: put(56, u64le(2n ** 64n - 1n)),
    codes: ['truncated'],
    says: 'no VMDK footer',
  },
  { what: 'descriptor with NUL inside', change: put(530, [0]), codes: ['descriptor'], says: 'plain ASCII' },
  {
    what: 'descriptor that is not ASCII',
    change: put(530, [0xe9]),
    codes: ['descriptor'],
    says: 'plain ASCII',
  },
]);

/** A stream-optimised image's end: footer marker, the header with the directory's place, end marker. */
function withFooter(change: (footer: Buffer) => void): Change {
  return (path) => {
    const image = readFileSync(path);
    const marker = Buffer.alloc(512);
    marker.writeUInt32LE(1, 0);
    marker.writeUInt32LE(3, 12);
    const end = Buffer.concat([marker, image.subarray(0, 512), Buffer.alloc(512)]);
    change(end);
    image.writeBigUInt64LE(2n ** 64n - 1n, 56);
    writeFileSync(path, Buffer.concat([image, end]));
  };
}

t.test('vmdk with a footer that repeats the header is safe', async (t) => {
  const path = `${dir}/footer.vmdk`;
  convert(bench, 'vmdk')(path);
  withFooter(() => {})(path);
  t.same((await judge(t, path, { claimed: 'vmdk' }, random)).violations, []);
});

t.test('vmdk: a descriptor of 1 MiB of NULs and a letter is judged in linear time', async (t) => {
  const path = `${dir}/nuls.vmdk`;
  convert(bench, 'vmdk')(path);
  const bytes = Buffer.concat([readFileSync(path).subarray(0, 512), Buffer.alloc(MiB)]);
  bytes.writeBigUInt64LE(2047n, 36);
  bytes[512 + 2047 * 512 - 1] = 0x78;
  writeFileSync(path, bytes);
  t.ok(codes(await judge(t, path, { claimed: 'vmdk' }, random)).includes('descriptor'));
});

table(bench, 'vmdk-footer', convert(bench, 'vmdk'), [
  {
    what: 'another descriptor place',
    change: withFooter((end) => end.writeUInt8(9, 512 + 28)),
    codes: ['invalid-header'],
    says: 'differs from the header',
  },
  {
    what: 'no directory',
    change: withFooter((end) => end.writeBigUInt64LE(2n ** 64n - 1n, 512 + 56)),
    codes: ['invalid-header'],
    says: 'no grain directory',
  },
  {
    what: 'no end marker',
    change: withFooter((end) => end.writeUInt8(1, 1024)),
    codes: ['invalid-header'],
    says: 'end-of-stream',
  },
]);

const secret = ['--object', 'secret,id=s,data=x', '-o', 'key-secret=s,iter-time=10'];
table(bench, 'luks', (path) => void qemuImg('create', '-q', '-f', 'luks', ...secret, path, '1M'), [
  { what: 'version 2', change: put(6, [0, 2]), codes: ['unsupported-version'], says: 'version 2' },
  { what: 'cut at 500', change: cut(500), codes: ['truncated'], says: 'ends at 500' },
  {
    what: 'payload in the header',
    change: put(104, u32be(1)),
    codes: ['invalid-header'],
    says: 'offset 512',
  },
  {
    what: 'payload past the end',
    change: put(104, u32be(0x100000)),
    codes: ['truncated'],
    says: '536870912',
  },
  {
    what: 'key slot past the end',
    change: put(208 + 40, u32be(0x100000)),
    codes: ['truncated'],
    says: 'key slot 0',
  },
]);
