// Chunks, byte ranges and many files: what the engine digests side by side. Oracles: node:crypto, md5sum, qemu-img.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { DiskImageError } from '#src/disk/errors.js';
import { chunkDigest, hash } from '#src/operations/hash.js';
import { type HashAlgorithm, hashAlgorithms } from '#src/operations/hashAlgorithms.js';
import { hashFiles } from '#src/operations/hashFiles.js';
import { type ByteRange, hashRanges } from '#src/operations/hashRanges.js';
import { Pool } from '#src/pool/pool.js';
import { randomChain } from '../support/images.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { md5sum, qemuImg, qemuIo, run } from '../support/tools.js';

const MiB = 2 ** 20;
const hex = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest('hex');

const chunksOf = (bytes: Buffer, size: number, algorithm: string) =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    hex(algorithm, bytes.subarray(i * size, (i + 1) * size)),
  );

/** Data, holes and written zeros. */
function mixed(path: string): Buffer {
  const random = new Random(41);
  writeFileSync(path, random.bytes(3 * MiB + 77));
  truncateSync(path, 14 * MiB + 5);
  qemuIo(path, 'raw', 'write -P 3 5M 1300k', 'write -P 0 8M 2M', 'write -P 9 12345k 4k');
  return readFileSync(path);
}

t.test('chunks without the whole: any size, any number of threads', async (t) => {
  const path = join(t.testdir(), 'f');
  const bytes = mixed(path);
  const { length } = bytes;
  for (const chunkSize of [
    512,
    1000,
    4096,
    65536,
    65537,
    262144,
    MiB,
    3 * MiB + 1,
    length - 1,
    length,
    2 ** 40,
  ]) {
    const expected = chunksOf(bytes, chunkSize, 'md5');
    for (let threads = 1; threads <= 8; threads++) {
      const { chunks, digests } = await hash({ path, algorithms: [], chunkSize }, { threads });
      t.strictSame(digests, {});
      t.strictSame(
        expected.map((_, i) => chunkDigest(chunks!, i)),
        expected,
        `chunks of ${chunkSize}, ${threads} threads`,
      );
      t.equal(chunks!.count, expected.length);
    }
  }
});

t.test('every algorithm, for chunks and the whole, together and apart', async (t) => {
  const path = join(t.testdir(), 'f');
  const bytes = mixed(path);
  for (const algorithm of hashAlgorithms()) {
    const expected = chunksOf(bytes, 300_000, algorithm);
    const whole = hex(algorithm, bytes);
    for (const algorithms of [[], [algorithm], ['md5', algorithm]] as HashAlgorithm[][]) {
      const once = [...new Set(algorithms)];
      const outcome = await hash({ path, algorithms: once, chunkSize: 300_000, chunkAlgorithm: algorithm });
      const found = expected.map((_, i) => chunkDigest(outcome.chunks!, i));
      t.strictSame(found, expected, `${algorithm} beside [${once}]`);
      t.equal(outcome.chunks!.algorithm, algorithm);
      if (once.length > 0) t.equal(outcome.digests[algorithm], whole);
    }
  }
});

t.test('chunks as they come have no limit and no gap', async (t) => {
  const path = join(t.testdir(), 'f');
  const bytes = mixed(path);
  for (const algorithms of [[], ['md5'], ['sha1']] as HashAlgorithm[][]) {
    const seen: Buffer[] = [];
    const outcome = await hash({
      path,
      algorithms,
      chunkSize: 512,
      chunkAlgorithm: 'md5',
      onChunks: (digests, first) => {
        t.equal(first, seen.reduce((sum, { length }) => sum + length, 0) / 16);
        seen.push(Buffer.from(digests));
      },
    });
    t.equal(outcome.chunks, undefined);
    t.equal(Buffer.concat(seen).toString('hex'), chunksOf(bytes, 512, 'md5').join(''), `[${algorithms}]`);
  }
  const stop = () => {
    throw new Error('enough');
  };
  await failsWith(t, hash({ path, chunkSize: 512, onChunks: stop }), 'INVALID_ARGUMENT', /enough/);
  truncateSync(path, 8 * 2 ** 30);
  let count = 0;
  await hash({ path, algorithms: [], chunkSize: 512, onChunks: ({ length }) => (count += length / 16) });
  t.equal(count, 2 ** 24, '256 MiB of digests');
});

t.test('a TiB of holes: every chunk of zeros is the same constant', async (t) => {
  const path = join(t.testdir(), 'f');
  writeFileSync(path, new Random(6).bytes(3 * MiB));
  truncateSync(path, 2 ** 40 + 1000);
  const { chunks } = await hash({ path, algorithms: [], chunkSize: MiB });
  t.equal(chunks!.count, MiB + 1);
  const zeros = createHash('md5').update(Buffer.alloc(MiB)).digest();
  const all = Buffer.from(chunks!.digests.buffer, chunks!.digests.byteOffset, chunks!.digests.length);
  t.equal(chunkDigest(chunks!, 2), hex('md5', readHead(path, 3 * MiB).subarray(2 * MiB)));
  t.ok(all.subarray(48, 16 * MiB).equals(Buffer.alloc(16 * MiB - 48, zeros)));
  t.equal(chunkDigest(chunks!, MiB), hex('md5', Buffer.alloc(1000)));
});

function readHead(path: string, bytes: number): Buffer {
  const head = Buffer.alloc(bytes);
  const fd = openSync(path, 'r');
  readSync(fd, head, 0, bytes, 0);
  closeSync(fd);
  return head;
}

t.test('byte ranges of a file and of a guest disk', async (t) => {
  const dir = t.testdir();
  const layers = randomChain(dir, new Random(8), { depth: 3, size: 6 * MiB });
  const flat = join(dir, 'flat.raw');
  qemuImg('convert', '-O', 'raw', layers[2], flat);
  const bytes = readFileSync(flat);
  const packed = join(dir, 'packed.qcow2');
  qemuImg('convert', '-O', 'qcow2', '-c', flat, packed);
  const random = new Random(9);
  const ranges: ByteRange[] = [];
  for (let at = 0; ; ) {
    const start = at + random.pick([0, random.integer(0, 3000), random.integer(0, 200_000)]);
    const length = random.pick([1, random.integer(1, 5000), random.integer(1, MiB)]);
    if (start + length > bytes.length) break;
    ranges.push({ start, length });
    at = start + length;
  }
  ranges.push({ start: bytes.length - 1, length: 1 });
  if (ranges.length > 1 && ranges[ranges.length - 2].start + ranges[ranges.length - 2].length >= bytes.length)
    ranges.splice(-2, 1);
  const pairs = Float64Array.from(ranges.flatMap(({ start, length }) => [start, length]));
  for (const algorithm of ['md5', 'sha256'] as const) {
    const expected = ranges.map(({ start, length }) => hex(algorithm, bytes.subarray(start, start + length)));
    for (const source of [
      { path: flat },
      { path: layers[2], guest: true, format: 'qcow2' },
      { path: packed, guest: true, format: 'qcow2' },
    ]) {
      for (const threads of [1, 3]) {
        const outcome = await hashRanges(
          { ...source, ranges: threads === 1 ? ranges : pairs, algorithm },
          { threads },
        );
        const found = expected.map((_, i) => chunkDigest(outcome, i));
        t.strictSame(found, expected, `${algorithm} of ${ranges.length} ranges of ${source.path}`);
        t.equal(outcome.size, bytes.length);
        t.equal(
          outcome.bytes,
          ranges.reduce((sum, { length }) => sum + length, 0),
        );
      }
    }
  }
  t.equal((await hashRanges({ path: flat, ranges: [] })).count, 0);
  await using pool = new Pool({ threads: 2 });
  const pooled = await pool.hashRanges({ path: flat, ranges: pairs });
  t.equal(
    chunkDigest(pooled, 0),
    hex('md5', bytes.subarray(ranges[0].start, ranges[0].start + ranges[0].length)),
  );
});

t.test('ranges that are none are refused by number', async (t) => {
  const path = join(t.testdir({ f: 'x'.repeat(100) }), 'f');
  const refuse = (ranges: unknown, ...patterns: RegExp[]) =>
    failsWith(t, hashRanges({ path, ranges: ranges as ByteRange[] }), 'INVALID_ARGUMENT', ...patterns);
  await refuse([{ start: 0, length: 0 }], /Range 0/, /length 0/);
  await refuse(
    [
      { start: 0, length: 10 },
      { start: 9, length: 1 },
    ],
    /Range 1 \(start 9/,
    /byte 10/,
  );
  await refuse([{ start: 91, length: 10 }], /Range 0/, /100 bytes/);
  await refuse([{ start: -1, length: 1 }], /start -1/);
  await refuse([{ start: 0.5, length: 1 }], /start 0.5/);
  await refuse(Float64Array.of(1, 2, 3), /3 numbers/);
  await refuse('all', /ranges/);
  await refuse([3], /range 0/);
  await failsWith(
    t,
    hashRanges({ path, ranges: [], algorithm: 'crc32' as 'md5' }),
    'INVALID_ARGUMENT',
    /crc32/,
  );
  await failsWith(t, hashRanges({ path: `${path}x`, ranges: [] }), 'IO', /fx/);
  const many = new Float64Array(2 * (4 * MiB + 1));
  await failsWith(t, hashRanges({ path, ranges: many }), 'LIMIT_EXCEEDED', /4194305/, /67108864/);
});

t.test('many files: each its digest or its own error, in order', async (t) => {
  const dir = t.testdir();
  const random = new Random(12);
  const paths = Array.from({ length: 150 }, (_, i) => {
    const path = join(dir, `f${i}`);
    writeFileSync(path, random.bytes(random.pick([0, 1, 4096, 70_000, 300_001])));
    if (i % 10 === 0) truncateSync(path, 900_000 + i);
    return path;
  });
  paths.splice(70, 0, join(dir, 'none'), dir, '/proc/version');
  for (const algorithm of ['md5', 'sha1'] as const) {
    const order: number[] = [];
    const files = await hashFiles(
      paths.map((path) => ({ path, algorithms: [algorithm] })),
      { onFile: (_, index) => order.push(index) },
    );
    t.strictSame(
      order,
      paths.map((_, i) => i),
    );
    for (const [i, { path, outcome, error }] of files.entries()) {
      t.equal(path, paths[i]);
      if (i === 70 || i === 71) {
        t.equal(error?.code, 'IO', String(error));
        t.equal(outcome, undefined);
      } else t.equal(outcome?.digests[algorithm], hex(algorithm, readFileSync(path)), path);
    }
  }
  const two = await hashFiles([
    { path: paths[3], algorithms: ['md5', 'sha1'], chunkSize: 512 },
    { path: paths[4] },
  ]);
  t.equal(two[0].outcome?.digests.sha1, hex('sha1', readFileSync(paths[3])));
  t.equal(two[1].outcome?.digests.md5, md5sum(paths[4]));
  t.strictSame(await hashFiles([]), []);
  await using pool = new Pool({ threads: 2 });
  const [good, bad] = await pool.hashFiles({ files: [{ path: paths[5] }, { path: join(dir, 'none') }] });
  t.equal(good.outcome?.digests.md5, md5sum(paths[5]));
  t.ok(bad.error instanceof DiskImageError);
  await failsWith(t, hashFiles([{ path: paths[0] }, { path: paths[1], algorithms: [] }]), 'INVALID_ARGUMENT');
  await failsWith(t, hashFiles([{ path: paths[0] }], { signal: AbortSignal.abort() }), 'CANCELLED');
});

t.test('a file that another process truncates is an error, not the end of Node', async (t) => {
  const path = join(t.testdir(), 'f');
  const bytes = new Random(13).bytes(MiB);
  const size = 48 * MiB;
  const expected = chunksOf(Buffer.concat([bytes]), MiB, 'md5')[0];
  // Fills and truncates by turns, for as long as it lives.
  const program = `
    const { openSync, writeSync, ftruncateSync } = require('node:fs');
    const fd = openSync(${JSON.stringify(path)}, 'r+');
    const piece = Buffer.alloc(${MiB}, 7);
    setInterval(() => { ftruncateSync(fd, ${MiB}); for (let at = ${MiB}; at < ${size}; at += piece.length) writeSync(fd, piece, 0, piece.length, at); }, 1);
    console.log('ready');`;
  writeFileSync(path, bytes);
  truncateSync(path, size);
  const other = spawn('node', ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(other.stdout, 'data');
  try {
    for (let round = 0; round < 40; round++) {
      const chunkSize = round % 2 === 0 ? MiB : 64 * 1024;
      try {
        const { chunks } = await hash({ path, algorithms: [], chunkSize }, { threads: 2 });
        if (chunkSize === MiB) t.equal(chunkDigest(chunks!, 0), expected);
      } catch (error) {
        t.ok(error instanceof DiskImageError, String(error));
        t.equal((error as DiskImageError).code, 'SOURCE_CHANGED');
        t.match((error as DiskImageError).message, /f' at host offset \d+/);
      }
    }
  } finally {
    other.kill();
    await once(other, 'exit');
  }
});

t.test('cache none leaves the page cache as it is', async (t) => {
  const path = join(t.testdir(), 'f');
  const random = new Random(14);
  const bytes = random.bytes(5 * MiB + 1234);
  writeFileSync(path, bytes);
  truncateSync(path, 30 * MiB);
  const cached = () => Number(run('fincore', ['--bytes', '--noheadings', '--output', 'RES', path]).trim());
  const file = await open(path, 'r');
  await file.sync();
  await file.close();
  run('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
  t.equal(cached(), 0, 'nothing is cached');
  const whole = Buffer.concat([bytes, Buffer.alloc(30 * MiB - bytes.length)]);
  const requests = [
    { algorithms: ['md5' as const] },
    { algorithms: [], chunkSize: MiB },
    { algorithms: [], chunkSize: 5000 },
  ];
  for (const request of requests) {
    const { digests, chunks } = await hash({ path, cache: 'none', ...request });
    t.equal(cached(), 0, 'nothing came in');
    if (chunks) {
      const expected = chunksOf(whole, chunks.size, 'md5');
      t.strictSame(
        expected.map((_, i) => chunkDigest(chunks, i)),
        expected,
      );
    } else t.equal(digests.md5, hex('md5', whole));
  }
  const [joined] = await hashFiles([
    { path, cache: 'none' },
    { path, cache: 'none' },
  ]);
  t.equal(joined.outcome?.digests.md5, hex('md5', whole));
  t.equal(cached(), 0);
  await hash({ path, algorithms: [], chunkSize: MiB });
  const before = cached();
  t.ok(before > 0, 'reading as usual fills it');
  await hash({ path, algorithms: [], chunkSize: MiB, cache: 'none' });
  t.equal(cached(), before, 'and what is there stays');
});

t.test('cancel and progress of chunks', async (t) => {
  const path = join(t.testdir(), 'f');
  writeFileSync(path, new Random(15).bytes(2 * MiB));
  truncateSync(path, 2 ** 42);
  const abort = new AbortController();
  // One chunk of 4 TiB: hours of zeros.
  const request = { path, algorithms: [], chunkSize: 2 ** 42 };
  const job = hash(request, { signal: abort.signal, onProgress: ({ done }) => done > 0 && abort.abort() });
  await failsWith(t, job, 'CANCELLED', /hash was cancelled/);
  truncateSync(path, 2 * MiB);
  const seen: { done: number; total: number }[] = [];
  const ranges = [
    { start: 5, length: 100 },
    { start: 100_000, length: MiB },
  ];
  await hashRanges({ path, ranges }, { onProgress: (progress) => seen.push(progress) });
  t.strictSame(seen.at(-1), { done: MiB + 100, total: MiB + 100 });
});
