// One engine per environment: many workers at once, workers ended at work, processes that end by themselves.
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { native } from '#src/native.js';
import { Random } from '../support/random.js';
import { md5sum } from '../support/tools.js';

const addon = join(
  dirname(dirname(fileURLToPath(import.meta.resolve('#src/native.js')))),
  'build/Release/basecow.node',
);
const prelude = `
  const native = require(${JSON.stringify(addon)});
  const fs = require('node:fs');
  const options = (control = new SharedArrayBuffer(64)) =>
    ({ reflink: 'never', detectZeros: 4096, threads: 2, control, targetIsZero: true });
  const copy = (from, to, control) =>
    native.copyFile(fs.openSync(from, 'r'), from, fs.openSync(to, 'w+'), to, options(control));`;

/** Names of the engine's threads in this process. */
const engineThreads = (): string[] =>
  fs
    .readdirSync('/proc/self/task')
    .map((task) => fs.readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim())
    .filter((name) => name.startsWith('basecow'));

const startWorker = (code: string, workerData: unknown): Worker =>
  new Worker(`${prelude} const { workerData, parentPort } = require('node:worker_threads'); ${code}`, {
    eval: true,
    workerData,
  });

t.test('engineInfo names what serves', async (t) => {
  const info = native.engineInfo();
  const { version } = JSON.parse(fs.readFileSync(join(dirname(addon), '../../package.json'), 'utf8'));
  t.equal(info.version, version);
  t.match(info.inflate, /^(libdeflate|zlib) \d/);
  t.match(info.deflate, /^basecow \(levels 0 and 3\), (isa-l \d.*, )?zlib \d/);
  t.match(info.zstd ?? 'zstd 1', /^zstd \d/);
  t.match(info.sha, /^OpenSSL \d/);
  t.match(info.zeroScan, /^(avx512|avx2|sse2|portable)$/);
});

t.test('six workers copy at once', async (t) => {
  const dir = t.testdir();
  const source = join(dir, 'source');
  fs.writeFileSync(source, Buffer.alloc(20 * 2 ** 20, 'some bytes'));
  const sum = md5sum(source);
  const ended = Array.from({ length: 6 }, (_, i) => {
    const worker = startWorker(
      'copy(workerData.source, workerData.target).then((r) => parentPort.postMessage(r.copied))',
      {
        source,
        target: join(dir, `target${i}`),
      },
    );
    const copied = new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    const exit = new Promise((resolve) => worker.once('exit', resolve));
    return Promise.all([copied, exit]);
  });
  t.same(
    await Promise.all(ended),
    Array(6).fill([20 * 2 ** 20, 0]),
    'all done, and the workers ended by themselves',
  );
  for (let i = 0; i < 6; i++) t.equal(md5sum(join(dir, `target${i}`)), sum);
});

t.test('a worker that is terminated at work stops its threads', async (t) => {
  const dir = t.testdir();
  const source = join(dir, 'source');
  const fd = fs.openSync(source, 'w');
  for (let i = 0; i < 4; i++) fs.writeSync(fd, Buffer.alloc(32 * 2 ** 20, 1));
  fs.closeSync(fd);
  for (let round = 0; round < 5; round++) {
    const control = new SharedArrayBuffer(64);
    const worker = startWorker(
      `for (let i = 0; i < 3; i++) copy(workerData.source, workerData.target + i, workerData.control).catch(() => {});
       setInterval(() => {}, 1000);`,
      { source, target: join(dir, 'target'), control },
    );
    await new Promise((resolve) => worker.once('online', resolve));
    const done = new Float64Array(control);
    while (done[0] === 0) await new Promise((resolve) => setImmediate(resolve));
    await worker.terminate();
    t.same(engineThreads(), [], 'no thread of it is left');
  }
});

t.test('workers terminated at random instants leave the process sound', async (t) => {
  const dir = t.testdir();
  const source = join(dir, 'source');
  fs.writeFileSync(source, Buffer.alloc(2 ** 20, 1));
  const seed = 100;
  t.comment(`seed ${seed}`);
  const random = new Random(seed);
  for (let round = 0; round < 40; round++) {
    const worker = startWorker(
      `const fd = fs.openSync(workerData.source, 'r');
       const control = new SharedArrayBuffer(64);
       const out = fs.openSync(workerData.target, 'w+');
       const file = { path: workerData.source, mode: 0o600, length: 1, pieces: [], replace: false, sync: false };
       const go = async () => {
         for (;;) {
           await native.copyFile(fd, 'source', out, 'target', options());
           await native.copyFile(fd, 'source', fd, 'source', options()).catch(() => {});
           await native.publishFiles([file], false);
           for (let i = 0; i < 20; i++) {
             native.dataRuns(fd, 0, 2 ** 30, 100);
             try { native.ofdLock(fd, 1, 1, 'write'); } catch {}
           }
         }
       };
       for (let i = 0; i < 4; i++) go();`,
      { source, target: join(dir, 'target') },
    );
    await new Promise((resolve) => worker.once('online', resolve));
    await new Promise((resolve) => setTimeout(resolve, random.integer(0, 60)));
    await worker.terminate();
  }
  t.ok(fs.readFileSync(source).equals(Buffer.alloc(2 ** 20, 1)));
  t.same(engineThreads(), []);
});

t.test('a process ends when its work is done, at process.exit, and after an uncaught error', async (t) => {
  const dir = t.testdir({ source: 'x'.repeat(100_000) });
  const node = (code: string) =>
    spawnSync(process.execPath, ['-e', `${prelude} const dir = ${JSON.stringify(dir)}; ${code}`], {
      encoding: 'utf8',
      timeout: 60_000,
    });
  const done = node(`copy(dir + '/source', dir + '/a').then(() => console.log('copied'))`);
  t.same(
    [done.status, done.stdout],
    [0, 'copied\n'],
    'the pending promise kept it alive, idle threads did not',
  );
  const exit = node(`for (let i = 0; i < 8; i++) copy(dir + '/source', dir + '/b' + i); process.exit(3)`);
  t.same([exit.status, exit.signal], [3, null]);
  const error = node(
    `for (let i = 0; i < 8; i++) copy(dir + '/source', dir + '/c' + i); throw new Error('on purpose')`,
  );
  t.same([error.status, error.signal], [1, null]);
  const rejected = node(
    `copy(dir + '/source', dir + '/source').catch((e) => { console.log(e.code); process.exitCode = 4 })`,
  );
  t.same([rejected.status, rejected.stdout], [4, 'EINVAL\n']);
});

t.test('cancel is answered while the event loop goes on', async (t) => {
  const dir = t.testdir();
  const source = join(dir, 'source');
  const target = join(dir, 'target');
  const fd = fs.openSync(source, 'w+');
  for (let i = 0; i < 4; i++) fs.writeSync(fd, Buffer.alloc(32 * 2 ** 20, 1));
  const out = fs.openSync(target, 'w+');
  const control = new SharedArrayBuffer(64);
  const copying = native.copyFile(fd, source, out, target, {
    reflink: 'never',
    detectZeros: 4096,
    threads: 1,
    control,
    targetIsZero: true,
  });
  const cancelWhenStarted = setInterval(() => {
    if (new Float64Array(control)[0] > 0) Atomics.store(new Int32Array(control), 4, 1);
  }, 1);
  await t.rejects(copying, { code: 'ECANCELED' });
  clearInterval(cancelWhenStarted);
  t.ok(new Float64Array(control)[0] < 128 * 2 ** 20, 'stopped before the end');
  fs.closeSync(fd);
  fs.closeSync(out);
});
