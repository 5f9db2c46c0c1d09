// Jobs in worker threads: several environments at once, and environments that end under a job.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';

const addon = join(
  dirname(dirname(fileURLToPath(import.meta.resolve('#src/native.js')))),
  'build/Release/basecow.node',
);

const prelude = `
  const { workerData, parentPort } = require('node:worker_threads');
  const native = require(${JSON.stringify(addon)});
  const fs = require('node:fs');
  const start = (kind, size, fd) => {
    const job = native.createJob({
      sink: { type: 'digest', algorithms: ['md5'], chunkSize: 0 },
      control: new SharedArrayBuffer(64), threads: 3, segment: 65536, shortRead: 'error',
    });
    const columns = {
      count: 1, kind: Uint8Array.of(kind), file: Uint16Array.of(0), start: Float64Array.of(0),
      length: Float64Array.of(size), offset: Float64Array.of(0), compressedLength: Uint32Array.of(0),
      skip: Uint32Array.of(0), unit: Uint32Array.of(0),
    };
    const done = job.submit({ start: 0, end: size, columns, fds: Int32Array.of(fd), paths: ['source'] });
    return { job, done };
  };`;

const jobThreads = () =>
  fs
    .readdirSync('/proc/self/task')
    .filter((task) => fs.readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim() === 'basecow-job')
    .length;

t.test('five workers digest at once', async (t) => {
  const bytes = Buffer.alloc(5_000_000, 'bytes of the source ');
  const source = join(t.testdir({ source: bytes }), 'source');
  const expected = createHash('md5').update(bytes).digest('hex');
  const code = `${prelude}
    const { job, done } = start(2, ${bytes.length}, fs.openSync(workerData, 'r'));
    done.then(() => job.finish()).then((totals) => parentPort.postMessage(Buffer.from(totals.digests.md5).toString('hex')));`;
  const answers = Array.from({ length: 5 }, () => {
    const worker = new Worker(code, { eval: true, workerData: source });
    return new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  });
  t.same(await Promise.all(answers), Array(5).fill(expected));
});

t.test('a worker that is terminated under a job leaves no thread behind', async (t) => {
  const code = `${prelude}
    globalThis.kept = start(1, 2 ** 50, 0);
    parentPort.postMessage('started');`;
  for (let round = 0; round < 8; round++) {
    const worker = new Worker(code, { eval: true });
    await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    t.ok(jobThreads() > 0, 'the job runs');
    await worker.terminate();
    t.equal(jobThreads(), 0, 'its threads are gone with the worker');
  }
});

t.test('a worker that ends by itself with a job it never finished', async (t) => {
  const code = `${prelude}
    start(1, 2 ** 50, 0).done.catch(() => {});
    parentPort.postMessage('started');
    setImmediate(() => process.exit(7));`;
  const worker = new Worker(code, { eval: true });
  t.equal(await new Promise((resolve) => worker.once('exit', resolve)), 7);
  t.equal(jobThreads(), 0);
});
