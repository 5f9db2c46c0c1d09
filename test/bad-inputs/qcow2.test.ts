// Hostile and broken qcow2 files: the stated code, the value in the message, nothing changed on disk.
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { DiskImageErrorCode } from '#src/disk/errors.js';
import { ExtentColumns } from '#src/disk/extents.js';
import { denyAll, likeQemu, localFiles } from '#src/disk/gates.js';
import { readDisk } from '#src/disk/view.js';
import { type OpenDiskOptions, openDisk } from '#src/formats/open.js';
import {
  digest,
  extension,
  type Patch,
  patched,
  sample,
  u8,
  u16,
  u32,
  u64,
  writeCrafted,
} from '../support/craft.js';
import { ourMap, qemuMap } from '../support/qemuMap.js';
import { qemuImg, qemuIo } from '../support/tools.js';

/** Open, map everything and read everything: whatever is wrong must come out as `code`. */
async function use(file: string, options: Partial<OpenDiskOptions> = {}): Promise<void> {
  const disk = await openDisk(file, { format: 'qcow2', ...options });
  try {
    for (let at = 0; at < disk.virtualSize; ) at = await disk.map(new ExtentColumns(), at, disk.virtualSize);
    await readDisk(disk, 0, Math.min(disk.virtualSize, 2 ** 23));
  } finally {
    await disk.close();
  }
}

async function refused(
  t: Test,
  file: string,
  what: string,
  code: DiskImageErrorCode,
  message: RegExp,
  options: Partial<OpenDiskOptions> = {},
): Promise<void> {
  const before = digest(file);
  const error = await use(file, options).then(
    () => undefined,
    (thrown) => thrown,
  );
  t.match(error, { name: 'DiskImageError', code, message }, what);
  t.equal(digest(file), before, `${what}: nothing changed`);
}

const HEADER_CASES: [string, Patch[], DiskImageErrorCode, RegExp][] = [
  ['wrong magic', [[0, u32(0x514649fa)]], 'NOT_QCOW2', /0x514649fa found/],
  ['version 0', [[4, u32(0)]], 'UNSUPPORTED_VERSION', /version 0/],
  ['version 1', [[4, u32(1)]], 'UNSUPPORTED_VERSION', /version 1/],
  ['version 4', [[4, u32(4)]], 'UNSUPPORTED_VERSION', /version 4/],
  ['cluster_bits 0', [[20, u32(0)]], 'INVALID_HEADER', /cluster_bits is 0/],
  ['cluster_bits 8', [[20, u32(8)]], 'INVALID_HEADER', /cluster_bits is 8/],
  ['cluster_bits 22', [[20, u32(22)]], 'INVALID_HEADER', /cluster_bits is 22.*21/],
  ['cluster_bits huge', [[20, u32(0xffffffff)]], 'INVALID_HEADER', /cluster_bits is 4294967295/],
  ['header_length too small', [[100, u32(96)]], 'INVALID_HEADER', /header_length is 96/],
  ['header_length not a multiple of 8', [[100, u32(108)]], 'INVALID_HEADER', /header_length is 108/],
  ['header_length above the cluster', [[100, u32(4104)]], 'INVALID_HEADER', /header_length is 4104.*4096/],
  ['extension past its area', [[112, extension(0x1234, '', 4000)]], 'INVALID_HEADER', /0x1234.*claims 4000/],
  ['extension length near 2^32', [[112, extension(0x1234, '', 0xfffffff8)]], 'INVALID_HEADER', /4294967288/],
  [
    'two backing formats',
    [[112, Buffer.concat([extension(0xe2792aca, 'raw'), extension(0xe2792aca, 'qcow2'), extension(0, '')])]],
    'INVALID_HEADER',
    /0xe2792aca occurs twice/,
  ],
  [
    'two data files',
    [[112, Buffer.concat([extension(0x44415441, 'one'), extension(0x44415441, 'two'), extension(0, '')])]],
    'INVALID_HEADER',
    /0x44415441 occurs twice/,
  ],
  [
    'backing format too long',
    [[112, extension(0xe2792aca, 'a'.repeat(16))]],
    'INVALID_HEADER',
    /16 bytes, above 15/,
  ],
  ['backing format with NUL', [[112, extension(0xe2792aca, 'ra\0w')]], 'INVALID_HEADER', /NUL/],
  [
    'bitmaps extension of 16 bytes',
    [[112, extension(0x23852875, 'x'.repeat(16))]],
    'INVALID_HEADER',
    /16 bytes, not 24/,
  ],
  [
    'bitmaps extension without bitmaps',
    [[112, extension(0x23852875, Buffer.alloc(24))]],
    'INVALID_HEADER',
    /zero bitmaps/,
  ],
  ['unknown incompatible bit', [[72, u64(1n << 40n)]], 'UNSUPPORTED_FEATURE', /bit 40/],
  [
    'unknown incompatible bit with a name',
    [
      [72, u64(1n << 9n)],
      [
        112,
        extension(
          0x6803f857,
          Buffer.concat([u8(0), u8(9), Buffer.from('time\x1b[31m travel'.padEnd(46, '\0'))]),
        ),
      ],
    ],
    'UNSUPPORTED_FEATURE',
    /'time\?\[31m travel' \(bit 9\)/,
  ],
  ['compression type unknown', [[104, u8(2)]], 'UNSUPPORTED_FEATURE', /Compression type 2/],
  ['compression type without its bit', [[104, u8(1)]], 'UNSUPPORTED_FEATURE', /type 1.*bit 3 being clear/],
  ['compression bit without a type', [[72, u64(8)]], 'UNSUPPORTED_FEATURE', /type 0.*bit 3 being set/],
  ['extended L2 with small clusters', [[72, u64(16)]], 'INVALID_HEADER', /cluster_bits is 12.*16384/],
  ['data file without a name', [[72, u64(4)]], 'UNSUPPORTED_FEATURE', /external file/],
  ['AES', [[32, u32(1)]], 'UNSUPPORTED_FEATURE', /encrypted \(AES\)/],
  ['LUKS without its header', [[32, u32(2)]], 'INVALID_HEADER', /LUKS/],
  ['unknown encryption', [[32, u32(3)]], 'UNSUPPORTED_FEATURE', /method 3/],
  [
    'LUKS header without LUKS',
    [[112, extension(0x0537be77, Buffer.alloc(16))]],
    'INVALID_HEADER',
    /crypt_method 0/,
  ],
  ['size near 2^64', [[24, u64(2n ** 64n - 1n)]], 'LIMIT_EXCEEDED', /18446744073709551615.*9007199254740991/],
  ['size of 2^53', [[24, u64(2n ** 53n)]], 'LIMIT_EXCEEDED', /9007199254740992/],
  [
    'l1_size huge',
    [[36, u32(0xffffffff)]],
    'LIMIT_EXCEEDED',
    /4294967295 entries exceeds the limit of 4194304/,
  ],
  ['l1_size one above the limit', [[36, u32(4_194_305)]], 'LIMIT_EXCEEDED', /4194305/],
  ['l1_size too small', [[36, u32(1)]], 'INVALID_HEADER', /l1_size is 1.*needs 2/],
  ['l1_size 0', [[36, u32(0)]], 'INVALID_HEADER', /l1_size is 0/],
  ['l1_table_offset 0', [[40, u64(0)]], 'CORRUPT_IMAGE', /L1 table's offset 0/],
  ['l1_table_offset unaligned', [[40, u64(4097)]], 'CORRUPT_IMAGE', /4097 is not a multiple/],
  ['l1_table_offset past the end', [[40, u64(2n ** 40n)]], 'CORRUPT_IMAGE', /1099511627776/],
  ['l1_table_offset near 2^64', [[40, u64(2n ** 64n - 4096n)]], 'CORRUPT_IMAGE', /18446744073709547520/],
  ['L1 table larger than the file', [[36, u32(4_000_000)]], 'CORRUPT_IMAGE', /32000000 bytes/],
  ['refcount table offset 0', [[48, u64(0)]], 'CORRUPT_IMAGE', /refcount table's offset 0/],
  ['refcount table unaligned', [[48, u64(4100)]], 'CORRUPT_IMAGE', /4100/],
  ['refcount table past the end', [[48, u64(2n ** 41n)]], 'CORRUPT_IMAGE', /2199023255552/],
  ['refcount table of 0 clusters', [[56, u32(0)]], 'CORRUPT_IMAGE', /refcount_table_clusters is 0/],
  [
    'refcount table huge',
    [[56, u32(0xffffffff)]],
    'LIMIT_EXCEEDED',
    /4294967295 clusters exceeds the limit of 2048/,
  ],
  ['refcount_order 7', [[96, u32(7)]], 'INVALID_HEADER', /refcount_order is 7/],
  ['refcount_order huge', [[96, u32(0xffffffff)]], 'INVALID_HEADER', /refcount_order is 4294967295/],
  ['too many snapshots', [[60, u32(65_537)]], 'LIMIT_EXCEEDED', /65537.*65536/],
  [
    'snapshot table unaligned',
    [
      [60, u32(1)],
      [64, u64(4104)],
    ],
    'CORRUPT_IMAGE',
    /4104/,
  ],
  [
    'snapshot table past the end',
    [
      [60, u32(1)],
      [64, u64(2n ** 50n)],
    ],
    'CORRUPT_IMAGE',
    /1125899906842624/,
  ],
  ...(
    [
      ['offset without size', 200, 0, '', /backing_file_offset is 200.*size is 0/],
      ['size without offset', 0, 5, '', /backing_file_size is 5/],
      ['inside the header', 64, 5, 'abcde', /64 lies inside the header/],
      ['longer than 1023', 200, 1024, '', /1024, above 1023/],
      ['outside the first cluster', 4094, 5, 'abcde', /4094.*4096/],
      ['offset near 2^64', 2n ** 64n - 1n, 5, '', /18446744073709551615/],
      ['with NUL', 512, 5, 'ab\0de', /NUL/],
      ['not UTF-8', 512, 3, '\xff\xfe\xfd', /UTF-8/],
    ] as const
  ).map(([what, offset, size, name, message]): [string, Patch[], DiskImageErrorCode, RegExp] => [
    `backing name ${what}`,
    [
      [8, u64(offset)],
      [16, u32(size)],
      ...(typeof offset === 'number' && name !== '' ? [[offset, Buffer.from(name, 'latin1')] as const] : []),
    ],
    'INVALID_HEADER',
    message,
  ]),
];

t.test('headers', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'x.qcow2');
  const { bytes } = sample(file);
  for (const [what, patches, code, message] of HEADER_CASES) {
    writeCrafted(file, patched(bytes, patches));
    await refused(t, file, what, code, message, { gate: likeQemu });
  }
  for (const [length, code, message] of [
    [0, 'NOT_QCOW2', /0 bytes/],
    [3, 'NOT_QCOW2', /3 bytes/],
    [4, 'TRUNCATED', /version needs 8 bytes.*has 4/],
    [71, 'TRUNCATED', /needs 72 bytes.*has 71/],
    [72, 'TRUNCATED', /needs 104 bytes.*has 72/],
    [103, 'TRUNCATED', /needs 104 bytes.*has 103/],
    [104, 'TRUNCATED', /needs 112 bytes.*has 104/],
    [600, 'CORRUPT_IMAGE', /file ends at 600/],
  ] as const) {
    writeCrafted(file, bytes.subarray(0, length));
    await refused(t, file, `cut to ${length} bytes`, code, message);
  }
  // 3,976 bytes are exactly what is left of the first cluster: the area is full, and nothing ends it.
  writeCrafted(file, patched(bytes, [[112, extension(0x1234, Buffer.alloc(3976))]]));
  await refused(t, file, 'no end marker', 'INVALID_HEADER', /no end marker/);
  writeCrafted(
    file,
    patched(
      bytes,
      [
        [24, u64(2 ** 33)],
        [36, u32(4096)],
      ],
      10_000_000,
    ),
  );
  await refused(t, file, "above the caller's limit", 'LIMIT_EXCEEDED', /8589934592.*1000000/, {
    limits: { virtualSize: 1_000_000 },
  });
});

t.test('headers that are odd but legal', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'x.qcow2');
  const { bytes } = sample(file);
  const expected = await content(file);
  const area = Buffer.from(bytes.subarray(112, 600));
  const cases: [string, Patch[]][] = [
    [
      'unknown compatible and autoclear bits',
      [
        [80, u64(1n << 33n)],
        [88, u64(1n << 44n)],
      ],
    ],
    ['an unknown extension first', [[112, Buffer.concat([extension(0x12345678, 'hello'), area])]]],
    [
      'the same extension twice',
      [[112, Buffer.concat([extension(0xe2792aca, 'raw'), extension(0xe2792aca, 'raw'), area])]],
    ],
    [
      'a longer header with unknown fields',
      [
        [100, u32(160)],
        [112, Buffer.concat([Buffer.alloc(48, 0xaa), area])],
      ],
    ],
    [
      'a header of 104 bytes',
      [
        [100, u32(104)],
        [104, extension(0, '')],
      ],
    ],
    ['autoclear bits without what they speak of', [[88, u64(3)]]],
  ];
  for (const [what, patches] of cases) {
    const before = writeCrafted(file, patched(bytes, patches));
    t.ok((await content(file)).equals(expected), what);
    t.equal(digest(file), before, `${what}: nothing changed`);
  }
  const large = join(dir, 'large.qcow2');
  const big = sample(large, 'cluster_size=65536');
  const moved = Buffer.from(big.bytes.subarray(112, 700));
  writeCrafted(
    large,
    patched(big.bytes, [
      [100, u32(8192)],
      [112, Buffer.alloc(8080, 0x55)],
      [8192, moved],
    ]),
  );
  t.equal((await content(large)).length, 4 * 2 ** 20, 'header_length above 4096');

  const old = join(dir, 'v2.qcow2');
  const second = sample(old, 'cluster_size=4096', 2);
  for (const [what, junk] of [
    ['0xff', Buffer.alloc(100, 0xff)],
    [
      'what would be version 3 fields',
      Buffer.concat([u64(0xffffn), u64(1n), u64(1n), u32(9), u32(5000), u8(7)]),
    ],
  ] as const) {
    writeCrafted(old, patched(second.bytes, [[72, junk]]));
    t.equal((await content(old)).length, 4 * 2 ** 20, `version 2 with ${what} after the header`);
  }
});

async function content(file: string): Promise<Buffer> {
  const disk = await openDisk(file, { format: 'qcow2' });
  try {
    return await readDisk(disk, 0, disk.virtualSize);
  } finally {
    await disk.close();
  }
}

t.test('tables', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'x.qcow2');
  const { bytes, l1, l2, refcountTable } = sample(file);
  const l1Entry = bytes.readBigUInt64BE(l1);
  const entry = (i: number) => bytes.readBigUInt64BE(l2 + 8 * i);
  const COPIED = 1n << 63n;
  const cases: [string, Patch[], RegExp][] = [
    ['L1 entry with low reserved bits', [[l1, u64(l1Entry | 1n)]], /L1 entry 0 .*reserved bits/],
    ['L1 entry with the compressed flag', [[l1, u64(l1Entry | (1n << 62n))]], /L1 entry 0 .*reserved bits/],
    ['L2 table unaligned', [[l1, u64(l1Entry | 0x200n)]], /not a multiple of the cluster size 4096/],
    ['L2 table past the end', [[l1, u64(COPIED | 0x10000000n)]], /0x10000000 lies past the end/],
    ['L2 table at the L1 table', [[l1, u64(COPIED | BigInt(l1))]], /overlaps the L1 table/],
    [
      'L2 table at the refcount table',
      [[l1, u64(COPIED | BigInt(refcountTable))]],
      /overlaps the refcount table/,
    ],
    [
      'L2 entry with low reserved bits',
      [[l2 + 16, u64(entry(2) | 0x10n)]],
      /L2 entry 2 .*of L1 entry 0.*reserved/,
    ],
    ['L2 entry with high reserved bits', [[l2 + 16, u64(entry(2) | (1n << 57n))]], /L2 entry 2 .*reserved/],
    ['data unaligned', [[l2 + 16, u64(entry(2) | 0x200n)]], /L2 entry 2 .*not a multiple/],
    ['data past the end', [[l2 + 16, u64(COPIED | 0x7000000n)]], /L2 entry 2 .*0x7000000 lies past the end/],
    ['data far past the end', [[l2 + 16, u64(COPIED | 0x00fffffffffff000n)]], /L2 entry 2 .*past the end/],
    ['data at the L1 table', [[l2 + 16, u64(COPIED | BigInt(l1))]], /L2 entry 2 .*overlaps the L1 table/],
    [
      'data at the refcount table',
      [[l2 + 16, u64(COPIED | BigInt(refcountTable))]],
      /overlaps the refcount table/,
    ],
    [
      'compressed past the end',
      [[l2 + 8 * 256, u64((1n << 62n) | 0x7000000n)]],
      /compressed cluster at 0x7000000/,
    ],
    ['compressed in the header', [[l2 + 8 * 256, u64((1n << 62n) | 0x10n)]], /overlaps the header/],
    ['zero cluster unaligned', [[l2 + 16, u64(COPIED | 0x5201n)]], /L2 entry 2/],
  ];
  for (const [what, patches, message] of cases) {
    writeCrafted(file, patched(bytes, patches));
    await refused(t, file, what, 'CORRUPT_IMAGE', message);
  }
  const old = sample(file, 'cluster_size=4096', 2);
  writeCrafted(file, patched(old.bytes, [[old.l2 + 8 * 40, u64(1)]]));
  await refused(t, file, 'zero flag in version 2', 'CORRUPT_IMAGE', /L2 entry 40 .*version 2/);

  const extended = sample(file, 'extended_l2=on');
  for (const [what, bitmap] of [
    ['a subcluster both allocated and zero', 0x00000001_00000001n],
    ['all of them', 0xffffffff_ffffffffn],
  ] as const) {
    writeCrafted(file, patched(extended.bytes, [[extended.l2 + 8, u64(bitmap)]]));
    await refused(t, file, what, 'CORRUPT_IMAGE', /bitmap .*contradicts/);
  }
  writeCrafted(file, patched(extended.bytes, [[extended.l2 + 16 * 20 + 8, u64(1)]]));
  await refused(t, file, 'subclusters allocated nowhere', 'CORRUPT_IMAGE', /L2 entry 20 .*contradicts/);

  qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${dir}/data.img`, file, '4M');
  qemuIo(file, 'qcow2', 'write -q 0 128k');
  const external = readFileSync(file);
  const table = Number(external.readBigUInt64BE(Number(external.readBigUInt64BE(40))) & 0x00fffffffffffe00n);
  writeCrafted(file, patched(external, [[table + 8, u64(COPIED | 0x20000n)]]));
  await refused(
    t,
    file,
    'data file offset that is not the guest offset',
    'CORRUPT_IMAGE',
    /0x20000 does not match.*0x10000/,
  );
  writeCrafted(file, patched(external, [[table + 8, u64((1n << 62n) | 0x20000n)]]));
  await refused(t, file, 'compressed with a data file', 'CORRUPT_IMAGE', /external data file/);
});

t.test('what must work though it looks wrong', async (t) => {
  const dir = t.testdir();
  const base = join(dir, 'base.raw');
  writeFileSync(base, Buffer.alloc(4 * 2 ** 20, 0x77));
  const file = join(dir, 'x.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', file, '4M');
  qemuIo(file, 'qcow2', 'write -q -z 64k 64k', 'write -q -P 1 3M 64k');
  t.ok(
    (await content(file)).subarray(65_536, 131_072).every((byte) => byte === 0),
    'zero flag without a place hides the backing file',
  );
  truncateSync(file, statSync(file).size - 60_000);
  const cut = await content(file);
  t.ok(
    cut.subarray(3 * 2 ** 20, 3 * 2 ** 20 + 5536).every((byte) => byte === 1),
    'a last cluster cut short: what there is',
  );
  t.ok(
    cut.subarray(3 * 2 ** 20 + 5536, 3 * 2 ** 20 + 65_536).every((byte) => byte === 0),
    'and zeros',
  );

  const plain = sample(file);
  const COPIED = 1n << 63n;
  writeCrafted(file, patched(plain.bytes, [[plain.l2 + 16, u64(COPIED)]]));
  t.same(await mapOf(file), qemuMap(file, 'qcow2'), 'COPIED alone is an unallocated cluster');

  const compressed = join(dir, 'compressed.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', compressed, '1M');
  qemuIo(compressed, 'qcow2', 'write -q -c -P 3 0 64k');
  const whole = readFileSync(compressed);
  const table = Number(whole.readBigUInt64BE(Number(whole.readBigUInt64BE(40))) & 0x00fffffffffffe00n);
  const stream = Number(whole.readBigUInt64BE(table) & ((1n << 54n) - 1n));
  let end = stream + 512;
  while (whole[end - 1] === 0) end--;
  writeCrafted(compressed, patched(whole, [[table, u64(whole.readBigUInt64BE(table) | (3n << 54n))]], end));
  const inflated = await content(compressed);
  t.ok(
    inflated.subarray(0, 65_536).every((byte) => byte === 3) &&
      inflated.subarray(65_536).every((byte) => byte === 0),
    'a compressed cluster whose claimed sectors the file does not have',
  );
});

async function mapOf(file: string) {
  const disk = await openDisk(file, { format: 'qcow2' });
  try {
    return await ourMap(disk);
  } finally {
    await disk.close();
  }
}

t.test('snapshots and bitmaps', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'x.qcow2');
  sample(file);
  qemuImg('snapshot', '-c', 'one', file);
  const bytes = readFileSync(file);
  const table = Number(bytes.readBigUInt64BE(64));
  await use(file, { snapshot: { name: 'one' } });
  const opened = { snapshot: { name: 'one' } };
  const cases: [string, Patch[], DiskImageErrorCode, RegExp, Partial<OpenDiskOptions>][] = [
    ['extra data too long', [[table + 36, u32(1025)]], 'CORRUPT_IMAGE', /entry 0 has 1025 bytes/, {}],
    ['extra data huge', [[table + 36, u32(0xffffffff)]], 'CORRUPT_IMAGE', /4294967295/, {}],
    ['more entries than the file holds', [[60, u32(60_000)]], 'CORRUPT_IMAGE', /file ends at/, {}],
    ['L1 table unaligned', [[table, u64(4100)]], 'CORRUPT_IMAGE', /'one'.*4100/, opened],
    ['L1 table at 0', [[table, u64(0)]], 'CORRUPT_IMAGE', /'one'.*offset 0/, opened],
    ['L1 table past the end', [[table, u64(2n ** 45n)]], 'CORRUPT_IMAGE', /35184372088832/, opened],
    ['L1 table huge', [[table + 8, u32(0xffffffff)]], 'LIMIT_EXCEEDED', /4294967295.*4194304/, opened],
    ['disk size huge', [[table + 48, u64(2n ** 63n)]], 'LIMIT_EXCEEDED', /9223372036854775808/, opened],
    ['no such name', [], 'SNAPSHOT_NOT_FOUND', /two/, { snapshot: { idOrName: 'two' } }],
  ];
  for (const [what, patches, code, message, options] of cases) {
    writeCrafted(file, patched(bytes, patches));
    await refused(t, file, what, code, message, options);
  }

  sample(file);
  qemuImg('bitmap', '--add', file, 'b');
  const marked = readFileSync(file);
  const at = marked.indexOf(u32(0x23852875), 112);
  const directory = Number(marked.readBigUInt64BE(at + 24));
  const bitmapCases: [string, Patch[], DiskImageErrorCode, RegExp][] = [
    ['directory unaligned', [[at + 24, u64(directory + 8)]], 'CORRUPT_IMAGE', /not a cluster/],
    ['directory past the end', [[at + 24, u64(2n ** 44n)]], 'CORRUPT_IMAGE', /17592186044416/],
    ['directory huge', [[at + 16, u64(2n ** 40n)]], 'LIMIT_EXCEEDED', /1099511627776/],
    ['too many bitmaps', [[at + 8, u32(65_536)]], 'LIMIT_EXCEEDED', /65536.*65535/],
    ['another count', [[at + 8, u32(2)]], 'CORRUPT_IMAGE', /1 entries.*says 2/],
    ['type 2', [[directory + 16, u8(2)]], 'CORRUPT_IMAGE', /type 2/],
    ['granularity 2^40', [[directory + 17, u8(40)]], 'CORRUPT_IMAGE', /granularity_bits 40/],
    ['name too long', [[directory + 18, u16(2000)]], 'CORRUPT_IMAGE', /2000 bytes/],
    ['extra data huge', [[directory + 20, u32(0xffffff00)]], 'CORRUPT_IMAGE', /end of the directory/],
  ];
  for (const [what, patches, code, message] of bitmapCases) {
    const before = writeCrafted(file, patched(marked, patches));
    const disk = await openDisk(file, { format: 'qcow2', chain: false });
    await t.rejects(disk.info(), { code, message }, `bitmaps: ${what}`);
    await disk.close();
    t.equal(digest(file), before, `bitmaps: ${what}: nothing changed`);
  }
});

t.test('compressed clusters', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'x.qcow2');
  const { bytes, l2 } = sample(file);
  const place = Number(bytes.readBigUInt64BE(l2 + 8 * 256) & ((1n << 58n) - 1n));
  for (const [what, junk] of [
    ['zeros', Buffer.alloc(20)],
    ['0xff', Buffer.alloc(20, 0xff)],
    ['a stored block with a wrong complement', Buffer.from([0x00, 0x10, 0x10, 0x00, 0x00])],
  ] as const) {
    writeCrafted(file, patched(bytes, [[place, junk]]));
    await refused(t, file, what, 'CORRUPT_IMAGE', /compressed cluster/i);
  }
});

t.test('backing files', async (t) => {
  const dir = t.testdir();
  const at = (name: string) => join(dir, name);
  const overlay = (name: string, backing: string, format = 'raw') =>
    qemuImg(
      'create',
      '-q',
      '-u',
      '-f',
      'qcow2',
      '-b',
      backing,
      ...(format ? ['-F', format] : []),
      at(name),
      '1M',
    );
  overlay('missing', 'nowhere.raw');
  await refused(
    t,
    at('missing'),
    'missing',
    'BACKING_NOT_FOUND',
    new RegExp(`'nowhere.raw' of '${at('missing')}'.*'${at('nowhere.raw')}'`),
  );
  writeFileSync(at('here.raw'), Buffer.alloc(2048, 1));
  mkdirSync(at('sub'));
  overlay('sub/relative', '../here.raw');
  await use(at('sub/relative'));
  t.pass('relative names are resolved from the image, whatever the working directory');
  overlay('denied', 'here.raw');
  await refused(t, at('denied'), 'denied', 'BACKING_DENIED', /'here.raw'/, { gate: denyAll });
  const inside = localFiles({ roots: [at('sub')] });
  await refused(t, at('sub/relative'), 'outside the root', 'BACKING_DENIED', /'\.\.\/here\.raw'/, {
    gate: inside,
  });
  symlinkSync('../here.raw', at('sub/link.raw'));
  overlay('sub/linked', 'link.raw');
  await refused(t, at('sub/linked'), 'a link out of the root', 'BACKING_DENIED', /'link.raw'/, {
    gate: inside,
  });
  for (const name of ['/proc/self/mem', '/dev/zero', 'nbd:localhost:1', 'json:{}', 'http://host/x']) {
    overlay('away', name);
    await refused(t, at('away'), name, 'BACKING_DENIED', new RegExp(name.replace(/[/{}:]/g, '.')));
  }
  overlay('self', 'self', 'qcow2');
  await refused(t, at('self'), 'itself', 'BACKING_CYCLE', /'self'/);
  overlay('a', 'b', 'qcow2');
  overlay('b', 'a', 'qcow2');
  await refused(t, at('a'), 'each other', 'BACKING_CYCLE', /'a'/);
  overlay('deep0', 'here.raw');
  for (let i = 1; i < 6; i++) overlay(`deep${i}`, `deep${i - 1}`, 'qcow2');
  await use(at('deep5'), { limits: { chainDepth: 7 } });
  await refused(t, at('deep5'), 'too deep', 'BACKING_TOO_DEEP', /limit of 6/, { limits: { chainDepth: 6 } });
  overlay('unknown', 'here.raw', 'raw');
  const bytes = readFileSync(at('unknown'));
  const format = bytes.indexOf(u32(0xe2792aca), 112);
  writeCrafted(at('unknown'), patched(bytes, [[format + 8, Buffer.from('odd')]]));
  await refused(t, at('unknown'), 'unknown format', 'BACKING_FORMAT_UNSUPPORTED', /'odd'/);
  writeCrafted(at('unknown'), patched(bytes, [[format, u32(0x11111111)]]));
  await refused(t, at('unknown'), 'no format', 'BACKING_FORMAT_MISSING', /'here.raw'/);
  rmSync(at('here.raw'));
});

t.test('opening fails without leaving descriptors', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'x.qcow2');
  const { bytes, l1 } = sample(file);
  const count = () => readdirSync('/proc/self/fd').length;
  writeCrafted(file, patched(bytes, [[0, u32(1)]]));
  const before = count();
  for (let i = 0; i < 20; i++) await t.rejects(use(file), { code: 'NOT_QCOW2' });
  writeCrafted(file, patched(bytes, [[l1, u64(1n)]]));
  for (let i = 0; i < 20; i++) await t.rejects(use(file), { code: 'CORRUPT_IMAGE' });
  const data = join(dir, 'data.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${dir}/data.img`, data, '1M');
  qemuImg('create', '-q', '-u', '-f', 'qcow2', '-b', data, '-F', 'qcow2', file, '1M');
  rmSync(join(dir, 'data.img'));
  for (let i = 0; i < 20; i++) await t.rejects(use(file), { code: 'BACKING_NOT_FOUND', message: /data.img/ });
  t.equal(count(), before);
});
