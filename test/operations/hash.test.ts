import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { chunkDigest, type HashAlgorithm, hash } from '#src/operations/hash.js';
import { randomChain } from '../support/images.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { md5sum, qemuImg, qemuIo, run } from '../support/tools.js';

const algorithms: HashAlgorithm[] = ['md5', 'sha1', 'sha256', 'sha512'];
const sums = (file: string) =>
  Object.fromEntries(algorithms.map((name) => [name, run(`${name}sum`, ['--', file]).split(' ')[0]]));

t.test('files of many sizes, as coreutils digests them', async (t) => {
  const dir = t.testdir();
  const random = new Random(1);
  for (const size of [1, 63, 64, 4095, 4096, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20 + 517]) {
    const file = join(dir, `f${size}`);
    writeFileSync(file, random.bytes(size));
    const outcome = await hash({ path: file, algorithms });
    t.strictSame({ ...outcome.digests }, sums(file), `${size} bytes`);
    t.equal(outcome.size, size);
    t.equal(outcome.chunks, undefined);
  }
});

t.test('holes count as zeros: leading, between and trailing', async (t) => {
  const file = join(t.testdir(), 'sparse');
  writeFileSync(file, '');
  truncateSync(file, 40 * 2 ** 20 + 123);
  t.strictSame({ ...(await hash({ path: file, algorithms })).digests }, sums(file), 'nothing but a hole');
  qemuIo(file, 'raw', 'write -P 7 5M 100k', 'write -P 9 20M 3M');
  t.strictSame({ ...(await hash({ path: file, algorithms })).digests }, sums(file));
});

t.test('chunk digests come from the same pass', async (t) => {
  const file = join(t.testdir(), 'f');
  const data = new Random(2).bytes(2 * 2 ** 20 + 77);
  writeFileSync(file, data);
  truncateSync(file, 9 * 2 ** 20 + 5);
  const whole = readFileSync(file);
  for (const chunkSize of [512, 1000, 65536, 2 ** 20, 3 * 2 ** 20 + 1, 2 ** 30]) {
    for (const threads of [1, 4]) {
      const { chunks, digests } = await hash(
        { path: file, algorithms: ['md5', 'sha256'], chunkSize },
        { threads },
      );
      const expected: string[] = [];
      for (let at = 0; at < whole.length; at += chunkSize) {
        expected.push(
          createHash('md5')
            .update(whole.subarray(at, at + chunkSize))
            .digest('hex'),
        );
      }
      t.ok(chunks);
      t.equal(chunks!.count, expected.length);
      t.strictSame(
        expected.map((_, i) => chunkDigest(chunks!, i)),
        expected,
        `chunks of ${chunkSize}, ${threads} threads`,
      );
      t.equal(digests.md5, md5sum(file));
    }
  }
});

t.test('streams: empty files, /proc, pipes and standard input', async (t) => {
  const dir = t.testdir({ empty: '' });
  t.strictSame(
    { ...(await hash({ path: join(dir, 'empty'), algorithms })).digests },
    sums(join(dir, 'empty')),
  );
  t.equal((await hash({ path: '/proc/version' })).digests.md5, md5sum('/proc/version'));

  const fifo = join(dir, 'fifo');
  run('mkfifo', [fifo]);
  const data = new Random(3).bytes(300_000);
  const writer = spawn('dd', [`of=${fifo}`, 'status=none'], { stdio: ['pipe', 'ignore', 'inherit'] });
  writer.stdin.end(data);
  const piped = await hash({ path: fifo, algorithms: ['sha256'], chunkSize: 100_000 });
  t.equal(piped.digests.sha256, createHash('sha256').update(data).digest('hex'));
  t.equal(piped.chunks?.count, 3);
  t.equal(chunkDigest(piped.chunks!, 2), createHash('sha256').update(data.subarray(200_000)).digest('hex'));

  const module = pathToFileURL(join(import.meta.dirname, '../../dist/operations/hash.js')).href;
  const program = `import { hash } from ${JSON.stringify(module)}; console.log((await hash({ path: '-' })).digests.md5)`;
  const child = spawnSync('node', ['--input-type=module', '-e', program], { input: data, encoding: 'utf8' });
  t.equal(child.stdout.trim(), createHash('md5').update(data).digest('hex'), child.stderr);
});

t.test('what the guest reads, whatever the format', async (t) => {
  const dir = t.testdir();
  const layers = randomChain(dir, new Random(4), { depth: 4, size: 6 * 2 ** 20 + 512, uneven: true });
  const top = layers[layers.length - 1];
  const flat = join(dir, 'flat.raw');
  qemuImg('convert', '-O', 'raw', top, flat);
  const guest = await hash({ path: top, format: 'qcow2', guest: true, algorithms, chunkSize: 2 ** 20 });
  t.strictSame({ ...guest.digests }, sums(flat));
  for (const options of [['-c'], ['-c', '-o', 'compression_type=zstd'], ['-o', 'cluster_size=512']]) {
    const packed = join(dir, 'packed.qcow2');
    qemuImg('convert', '-O', 'qcow2', ...options, top, packed);
    const outcome = await hash({
      path: packed,
      format: 'qcow2',
      guest: true,
      algorithms,
      chunkSize: 2 ** 20,
    });
    t.strictSame({ ...outcome, path: '' }, { ...guest, path: '' }, options.join(' '));
  }
});

t.test('refusals', async (t) => {
  const dir = t.testdir({ f: 'x' });
  const path = join(dir, 'f');
  await failsWith(t, hash({ path: join(dir, 'none') }), 'IO', /none/);
  await failsWith(t, hash({ path: dir }), 'IO', /EISDIR/);
  await failsWith(t, hash({ path, algorithms: ['crc32' as 'md5'] }), 'INVALID_ARGUMENT', /crc32/);
  await failsWith(t, hash({ path, algorithms: [] }), 'INVALID_ARGUMENT');
  await failsWith(t, hash({ path, algorithms: ['md5', 'md5'] }), 'INVALID_ARGUMENT', /md5, md5/);
  await failsWith(t, hash({ path, chunkSize: 100 }), 'INVALID_ARGUMENT', /not 100/);
  await failsWith(t, hash({ path, guest: true }), 'INVALID_ARGUMENT', /format/);
  await failsWith(t, hash({ path, format: 'raw' }), 'INVALID_ARGUMENT', /guest/);
  await failsWith(t, hash({ path }, { threads: 17 }), 'INVALID_ARGUMENT', /17/);
  truncateSync(path, 2 ** 40);
  await failsWith(t, hash({ path, chunkSize: 4096 }), 'LIMIT_EXCEEDED', /4096/, /67108864/);
});

t.test('progress grows to the total, and cancel answers', async (t) => {
  const path = join(t.testdir(), 'f');
  writeFileSync(path, new Random(5).bytes(2 ** 20));
  truncateSync(path, 400 * 2 ** 20);
  const seen: number[] = [];
  await hash(
    { path },
    {
      onProgress: ({ done, total }) => {
        seen.push(done);
        t.equal(total, 400 * 2 ** 20);
      },
    },
  );
  t.ok(seen.length >= 1);
  t.strictSame(
    seen,
    [...seen].sort((a, b) => a - b),
  );
  t.equal(seen[seen.length - 1], 400 * 2 ** 20);

  truncateSync(path, 2 ** 40);
  const abort = new AbortController();
  const job = hash({ path }, { signal: abort.signal, onProgress: () => abort.abort() });
  await failsWith(t, job, 'CANCELLED', /hash was cancelled/);
  await failsWith(t, hash({ path }, { signal: AbortSignal.abort() }), 'CANCELLED');
});
