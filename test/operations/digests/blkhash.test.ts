// The block hash: blkhash's own published digests, and hashlib's over the same construction.
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { blkhash, type HashAlgorithm, hashAlgorithms } from 'basecow';
import t from 'tap';
import { Random } from '../../support/random.js';
import { qemuImg, run } from '../../support/tools.js';
import { runHere } from '../../support/twins.js';

process.chdir(t.testdir());
const BLOCK = 65_536;

/** Extents as blkhash's own tests have them: a character and how many bytes; `-` is a hole. */
function image(path: string, extents: readonly [byte: string, length: number][]): void {
  const fd = openSync(path, 'w');
  let at = 0;
  for (const [byte, length] of extents) {
    if (byte !== '-') writeSync(fd, Buffer.alloc(length, byte), 0, length, at);
    at += length;
  }
  closeSync(fd);
  truncateSync(path, at);
}

const half = BLOCK / 2;
/** sha256, blocks of 64 KiB (blkhash, test/blkhash-test.c). */
const PUBLISHED: readonly [what: string, extents: [string, number][], digest: string][] = [
  ['a block', [['A', BLOCK]], '2e3a5f57d5e726ee5de62db1a85ff816f4fa6ea4627807d9a51bdc4c883e165e'],
  ['a block of zeros', [['\0', BLOCK]], '8ab067ab7939a3d4f40cbb118956c07c06aeae2d075d6e0a2ebbb94bd42832af'],
  ['a hole', [['-', BLOCK]], '8ab067ab7939a3d4f40cbb118956c07c06aeae2d075d6e0a2ebbb94bd42832af'],
  ['part of a block', [['A', half]], '9467334d6d7668a2f06898185b5cddc78cdfbd962f50c6bf250101f03a0e54dc'],
  [
    'part of a block of zeros',
    [['\0', half]],
    '842d185f0ff348b0d689e184bddc47f69a19032a6934c89b879479f1e86f9d56',
  ],
  ['part of a hole', [['-', half]], '842d185f0ff348b0d689e184bddc47f69a19032a6934c89b879479f1e86f9d56'],
  ['holes', [['-', BLOCK * 8]], '722ac11a3a81034edf196aa3ee68d1a2e345cd0838b0c78c2ce2fb015d4d817d'],
  ['a GiB of hole', [['-', 2 ** 30]], 'c6d6562c3074a2caa0ceea3e1f460f3af678c792ed05e64157eb51e68ae5260d'],
  [
    'holes and a half',
    [['-', BLOCK * 8.5]],
    'e623a5702b1feb08fbb3d18e35bbb7ec10146b8cd1bcff811200a3948c78c55c',
  ],
  [
    'zeros and a half',
    [['\0', BLOCK * 8.5]],
    'e623a5702b1feb08fbb3d18e35bbb7ec10146b8cd1bcff811200a3948c78c55c',
  ],
  [
    'full',
    [...'ABCDEF'].map((byte) => [byte, half]),
    '4ab1586084326f5beb911621282e9557cd26856105eff7f78cace5986af4738b',
  ],
  [
    'full and a half',
    [...'ABCDE'].map((byte) => [byte, half]),
    '2cad558b3a2a8d87435e80fe7bae69fa664d92eaa1b9411f573b9fbb412a4d43',
  ],
  [
    'mixed',
    [
      ['A', half],
      ['-', BLOCK],
      ['\0', half],
      ['E', half],
      ['-', BLOCK],
      ['\0', half],
    ],
    '4b2b5acd96f8105f4fb26abaf35c7c5756338ef9ccce19ffe7714c9ad94b4398',
  ],
  [
    'mixed and a half',
    [
      ['A', half],
      ['-', BLOCK],
      ['\0', half],
      ['E', half],
      ['-', BLOCK],
    ],
    '2510ac29c7103f2e68c672d728cbd43db4ed3dc809a24cde96e62dc5862a0f57',
  ],
];

t.test('published digests, in raw and in qcow2', async (t) => {
  for (const [what, extents, digest] of PUBLISHED) {
    image('raw', extents);
    t.match(await blkhash({ path: 'raw' }), { digest, algorithm: 'sha256', blockSize: BLOCK }, what);
    t.match(await blkhash({ path: 'raw', format: 'raw' }), { digest }, `${what}, as a guest`);
    for (const words of [[], ['-c'], ['-o', 'cluster_size=4k'], ['-c', '-o', 'cluster_size=2M']]) {
      qemuImg('convert', '-f', 'raw', '-O', 'qcow2', ...words, 'raw', 'image.qcow2');
      t.match(await blkhash({ path: 'image.qcow2', format: 'qcow2' }), { digest }, `${what}, qcow2 ${words}`);
    }
  }
});

/** The construction by Python's hashlib. */
function byHashlib(path: string, algorithm: string, block: number): string {
  const program = `
import hashlib, struct, sys
path, name, block = sys.argv[1], sys.argv[2], int(sys.argv[3])
root, length = hashlib.new(name), 0
with open(path, 'rb') as file:
    while data := file.read(block):
        root.update(hashlib.new(name, data).digest())
        length += len(data)
root.update(struct.pack('<Q', length))
print(root.hexdigest())`;
  return run('python3', ['-c', program, path, algorithm, String(block)]).trim();
}

t.test('every algorithm and block size, over an image with everything in it', async (t) => {
  const seed = 77;
  const random = new Random(seed);
  const size = 3 * 2 ** 20 + 512;
  qemuImg('create', '-q', '-f', 'qcow2', 'base.qcow2', String(size));
  run('qemu-io', [
    '-f',
    'qcow2',
    '-c',
    'write -P 5 0 100k',
    '-c',
    'write -P 6 1M 70k',
    '-c',
    'write -z 2M 64k',
    'base.qcow2',
  ]);
  qemuImg('create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', 'image.qcow2');
  for (let i = 0; i < 12; i++) {
    const at = random.integer(0, size / 512 - 40) * 512;
    run('qemu-io', [
      '-f',
      'qcow2',
      '-c',
      `write -P ${random.integer(0, 255)} ${at} ${random.integer(1, 40) * 512}`,
      'image.qcow2',
    ]);
  }
  qemuImg('convert', '-f', 'qcow2', '-O', 'raw', 'image.qcow2', 'flat');
  const source = { path: 'image.qcow2', format: 'qcow2', gate: 'local' } as const;
  // hashlib.new takes OpenSSL's names, but for those it has itself.
  const python = (name: HashAlgorithm) =>
    name.startsWith('blake2') ? name.replace(/\d{3}$/, '') : name.replace(/^(sha3|sha512)-/, '$1_');
  const algorithms = hashAlgorithms().filter((name) => name !== 'ripemd160' && name !== 'sm3');
  t.ok(algorithms.length >= 14, algorithms.join(' '));
  for (const algorithm of algorithms) {
    const expected = byHashlib('flat', python(algorithm), BLOCK);
    t.match(await blkhash({ ...source, algorithm }), { digest: expected, size }, algorithm);
  }
  for (const blockSize of [512, 1000, 4096, 2 ** 20, 2 ** 23]) {
    for (const algorithm of ['md5', 'sha256'] as const) {
      const expected = byHashlib('flat', algorithm, blockSize);
      t.match(
        await blkhash({ ...source, algorithm, blockSize }),
        { digest: expected },
        `${algorithm} ${blockSize}`,
      );
      t.match(
        await blkhash({ path: 'flat', algorithm, blockSize }),
        { digest: expected },
        `${algorithm} ${blockSize}, raw`,
      );
    }
  }
});

t.test('on the command line, as blksum prints it', async (t) => {
  const [, , digest] = PUBLISHED[0];
  image('raw', PUBLISHED[0][1]);
  qemuImg('convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'image.qcow2');
  const found = await runHere(['hash', '--blkhash', 'image.qcow2', 'raw'], 'basecow');
  t.strictSame(found, { status: 0, stdout: `${digest}  image.qcow2\n${digest}  raw\n`, stderr: '' });
  const json = await runHere([
    'hash',
    '--blkhash',
    '-a',
    'md5',
    '--block-size',
    '4k',
    '--output',
    'json',
    'image.qcow2',
  ]);
  const md5 = byHashlib('raw', 'md5', 4096);
  t.strictSame(JSON.parse(json.stdout), [
    {
      filename: 'image.qcow2',
      size: BLOCK,
      guest: true,
      format: 'qcow2',
      blkhash: { algorithm: 'md5', blockSize: 4096, digest: md5 },
    },
  ]);
});

t.test('nothing, and much of nothing', async (t) => {
  writeFileSync('void', '');
  t.match(await blkhash({ path: 'void' }), { size: 0, digest: byHashlib('void', 'sha256', BLOCK) });
  // 256 GiB: four million blocks, none of them digested one by one.
  truncateSync('void', 2 ** 38);
  const expected = run('python3', [
    '-c',
    `
import hashlib, struct
zero = hashlib.md5(bytes(65536)).digest()
root = hashlib.md5(zero * (2**38 // 65536))
root.update(struct.pack('<Q', 2**38))
print(root.hexdigest())`,
  ]).trim();
  t.match(await blkhash({ path: 'void', algorithm: 'md5' }), { size: 2 ** 38, digest: expected });
});

t.test('refusals', async (t) => {
  const before = readFileSync('raw');
  await t.rejects(blkhash({ path: 'raw', algorithm: 'crc32' as never }), {
    code: 'INVALID_ARGUMENT',
    message: /Unknown digest algorithm 'crc32'/,
  });
  await t.rejects(blkhash({ path: 'raw', blockSize: 100 }), {
    code: 'INVALID_ARGUMENT',
    message: /at least 512, not 100/,
  });
  await t.rejects(blkhash({ path: 'nope' }), { code: 'IO', errno: 'ENOENT' });
  await t.rejects(blkhash({ path: 'raw', format: 'qcow2' }), { code: 'NOT_QCOW2' });
  t.ok(readFileSync('raw').equals(before));
});
