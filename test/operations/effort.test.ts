// How much of the machine a job takes: rate, priority of its threads.
import { spawn } from 'node:child_process';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { compare, convert, copyImage, hash, ImageCache, type JobSettings, Pool, resizeImage } from 'basecow';
import t from 'tap';
import { JobControl } from '#src/disk/control.js';
import { start } from '../support/basecow.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { md5sum, qemuImg, run } from '../support/tools.js';

const MIB = 2 ** 20;
const dir = t.testdir();
const raw = join(dir, 'a.raw');
writeFileSync(raw, new Random(71).bytes(4 * MIB));
const twin = join(dir, 'twin.qcow2');
qemuImg('convert', '-f', 'raw', '-O', 'qcow2', raw, twin);
const packed = join(dir, 'packed.qcow2');
qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, packed);
const source = { path: raw, format: 'raw' };
const sum = md5sum(raw);

/** Milliseconds that a job took; a rate makes them at least as many, however fast the machine. */
async function timed(job: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await job();
  return performance.now() - begun;
}

const RATE = 16 * MIB;
/** All but the last portion of each thread has to wait for its turn. */
const LEAST = ((4 * MIB - 2 * MIB) / RATE) * 1000;

t.test('every operation that moves bytes keeps to its rate', async (t) => {
  const out = (name: string) => join(dir, name);
  const pool = new Pool({ jobs: 1 });
  t.teardown(() => pool.destroy());
  const target = (name: string, format: string) => ({
    sources: [source],
    target: { path: out(name), format },
  });
  const jobs: [name: string, (settings: JobSettings) => Promise<unknown>][] = [
    ['convert to raw', (settings) => convert(target('1', 'raw'), settings)],
    ['convert to qcow2', (settings) => convert(target('2', 'qcow2'), settings)],
    ['convert, compressed', (settings) => convert({ ...target('3', 'qcow2'), compress: true }, settings)],
    [
      'convert from compressed',
      (settings) =>
        convert(
          {
            sources: [{ path: packed, format: 'qcow2' }],
            target: { path: out('4'), format: 'raw' },
          },
          settings,
        ),
    ],
    ['convert, offloaded', (settings) => convert({ ...target('5', 'raw'), copyOffload: true }, settings)],
    ['copy', (settings) => copyImage({ source: raw, target: out('6'), reflink: 'never' }, settings)],
    [
      'copy, zeros looked for',
      (settings) =>
        copyImage({ source: raw, target: out('7'), reflink: 'never', sparseSize: 4096 }, settings),
    ],
    ['compare', (settings) => compare({ first: source, second: { path: twin, format: 'qcow2' } }, settings)],
    ['hash', (settings) => hash({ path: raw }, settings)],
    // Chunks up to 256 KiB are taken 4 MiB at a time, which is all there is here.
    ['hash of chunks', (settings) => hash({ path: raw, algorithms: [], chunkSize: MIB }, settings)],
    ['hash of a guest', (settings) => hash({ path: twin, format: 'qcow2', guest: true }, settings)],
    [
      'resize, written full',
      (settings) => {
        const path = out('grown');
        writeFileSync(path, 'x'.repeat(MIB));
        return resizeImage(path, { format: 'raw', size: 5 * MIB, preallocation: 'full', ...settings });
      },
    ],
    ['convert in a pool', (settings) => pool.convert(target('8', 'raw'), settings)],
  ];
  for (const [name, job] of jobs) {
    const took = await timed(() => job({ bytesPerSecond: RATE, threads: 2 }));
    t.ok(took >= LEAST, `${name}: ${took} ms, at least ${LEAST}`);
  }
  for (const name of ['1', '4', '5', '6', '7', '8']) t.equal(md5sum(out(name)), sum, name);
});

t.test('a stream keeps to its rate', async (t) => {
  const fifo = join(dir, 'fifo');
  run('mkfifo', [fifo]);
  const digest = hash({ path: fifo }, { bytesPerSecond: RATE });
  const writer = spawn('bash', ['-c', 'cat "$0" > "$1"', raw, fifo]);
  t.teardown(() => writer.kill());
  const took = await timed(async () => t.match(await digest, { digests: { md5: sum } }));
  t.ok(took >= LEAST, `${took} ms`);
});

t.test('provisioning keeps to its rate', async (t) => {
  const cache = new ImageCache({ instances: join(dir, 'instances') });
  const request = { imageId: 'slow', source: packed, instance: 'one', size: 4 * MIB };
  const took = await timed(() => cache.provision(request, { bytesPerSecond: RATE }));
  t.ok(took >= LEAST, `${took} ms`);
});

t.test('holes are free', async (t) => {
  const sparse = join(dir, 'sparse.raw');
  closeSync(openSync(sparse, 'w'));
  truncateSync(sparse, 2 ** 40);
  const settings = { bytesPerSecond: 1 };
  const target = { path: join(dir, 'sparse.out'), format: 'raw' };
  await convert({ sources: [{ path: sparse, format: 'raw' }], target }, settings);
  t.equal(statSync(target.path).size, 2 ** 40);
  await copyImage({ source: sparse, target: target.path }, settings);
  const end = openSync(sparse, 'r+');
  writeSync(end, 'x', 2 ** 39);
  closeSync(end);
  await copyImage({ source: sparse, target: target.path, reflink: 'never' }, settings);
});

t.test('a slow job is cancelled at once, and its rate can be changed', async (t) => {
  const before = readdirSync(dir).sort();
  const request = { sources: [source], target: { path: join(dir, 'never'), format: 'qcow2' } };
  const abort = new AbortController();
  const slow = convert(request, { bytesPerSecond: 1, signal: abort.signal });
  setTimeout(() => abort.abort(), 50);
  await failsWith(t, slow, 'CANCELLED', /convert/);
  t.strictSame(readdirSync(dir).sort(), before);

  const control = new JobControl();
  const copy = copyImage(
    { source: raw, target: join(dir, 'hurried'), reflink: 'never' },
    { bytesPerSecond: 256 * 1024, control },
  );
  setTimeout(() => {
    control.bytesPerSecond = 0;
  }, 50);
  await copy;
  t.equal(md5sum(join(dir, 'hurried')), sum);
});

t.test('refusals', async (t) => {
  const request = { path: raw };
  for (const bytesPerSecond of [0, -1, 1.5, Number.NaN]) {
    await failsWith(t, hash(request, { bytesPerSecond }), 'INVALID_ARGUMENT', `${bytesPerSecond}`);
  }
  for (const ioPriority of ['real-time', 'best-effort:8', 3]) {
    const settings = { ioPriority } as unknown as JobSettings;
    await failsWith(t, hash(request, settings), 'INVALID_ARGUMENT', `${ioPriority}`);
  }
  for (const niceness of [-1, 20, 0.5]) {
    await failsWith(t, hash(request, { niceness }), 'INVALID_ARGUMENT', `${niceness}`);
  }
  const cache = new ImageCache({ instances: join(dir, 'other') });
  const never = { imageId: 'never', source: packed, instance: 'one', size: 4 * MIB };
  await failsWith(t, cache.provision(never, { bytesPerSecond: 0 }), 'INVALID_ARGUMENT', /not 0/);
  t.notOk(readdirSync(dir).includes('other'));
});

const IOPRIO = `import ctypes, sys
for thread in sys.argv[1:]: print(ctypes.CDLL(None).syscall(252 if ctypes.sizeof(ctypes.c_long) == 8 and __import__('platform').machine() == 'x86_64' else 31, 1, int(thread)))`;

/** Names, I/O priorities and nice values of a process's threads, as the kernel tells them. */
function threadsOf(pid: number) {
  const ids = readdirSync(`/proc/${pid}/task`);
  const priorities = run('python3', ['-c', IOPRIO, ...ids])
    .trim()
    .split('\n')
    .map(Number);
  return ids.map((id, i) => {
    const stat = readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8');
    const [, name, rest] = /\((.*)\) (.*)/.exec(stat) ?? [];
    return { name, io: priorities[i], nice: Number(rest.split(' ')[16]) };
  });
}

t.test('the engine threads of a job have its priority, and no others', async (t) => {
  const cases: [JobSettings, io: number, nice: number][] = [
    [{ ioPriority: 'idle' }, 3 << 13, 0],
    [{ ioPriority: 'best-effort:7', niceness: 5 }, (2 << 13) | 7, 5],
    [{ ioPriority: 'best-effort' }, (2 << 13) | 4, 0],
  ];
  const own = threadsOf(process.pid).find(({ name }) => !name.startsWith('basecow-'))?.nice ?? 0;
  for (const [effort, io, nice] of cases) {
    const jobs: [string, (settings: JobSettings) => Promise<unknown>][] = [
      ['basecow-job', (settings) => hash({ path: raw }, settings)],
      [
        'basecow-copy',
        (settings) => copyImage({ source: raw, target: join(dir, 'never'), reflink: 'never' }, settings),
      ],
    ];
    for (const [thread, job] of jobs) {
      const abort = new AbortController();
      // Slow enough to be looked at.
      const running = job({ ...effort, bytesPerSecond: 1, signal: abort.signal });
      const seen = () => threadsOf(process.pid).filter(({ name }) => name === thread);
      while (!seen().some((one) => one.io === io)) await new Promise((resolve) => setTimeout(resolve, 5));
      for (const one of seen()) t.match(one, { io, nice: own + nice }, `${thread} ${JSON.stringify(effort)}`);
      const others = threadsOf(process.pid).filter(({ name }) => name !== thread);
      t.ok(others.length > 0 && others.every((one) => one.io !== io && one.nice === own));
      abort.abort();
      await failsWith(t, running, 'CANCELLED');
    }
  }
});

t.test('the same on the command line', async (t) => {
  const { child, ended } = start('hash', '--rate-limit', '1', '--io-priority', 'idle', '--nice', '3', raw);
  const pid = child.pid ?? 0;
  const working = () => threadsOf(pid).filter(({ name }) => name === 'basecow-job');
  while (working().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.match(working()[0], { io: 3 << 13 });
  child.kill('SIGINT');
  t.match(await ended, { status: 130, stdout: '' });
  const { ended: refused } = start('convert', '--io-priority', 'first', '-O', 'raw', raw, join(dir, 'never'));
  t.match(await refused, { status: 1, stderr: /Invalid I\/O priority 'first'/ });
  const { ended: unkind } = start('convert', '--nice', '-5', '-O', 'raw', raw, join(dir, 'never'));
  t.match(await unkind, { status: 1, stderr: /Invalid nice value '-5'/ });
  t.notOk(readdirSync(dir).includes('never'));
});
