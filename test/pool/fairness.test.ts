import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { JobControl, Pool } from 'basecow';
import t, { type Test } from 'tap';
import { failsWith } from '../support/settled.js';
import { qemuImg, qemuIo } from '../support/tools.js';

const MiB = 2 ** 20;
const SIZE = 64 * MiB;
/** Bytes a second of a job that is held: 16 s for all of it. */
const SLOW = 4 * MiB;

const FORMATS = ['raw', 'qcow2', 'raw', 'qcow2'];

/** Four conversions that cannot end before they are let go. */
function holdFour(t: Test, dir: string, pool: Pool) {
  const controls = FORMATS.map(() => new JobControl());
  const aborts = FORMATS.map(() => new AbortController());
  const source = join(dir, 'source.raw');
  qemuImg('create', '-q', '-f', 'raw', source, String(SIZE));
  // Data everywhere: only data is held to the rate.
  const pieces = Array.from({ length: SIZE / MiB }, (_, i) => `write -P ${i + 1} ${i}M 1M`);
  qemuIo(source, 'raw', ...pieces);
  const jobs = FORMATS.map((format, i) =>
    pool.convert(
      {
        sources: [{ path: source, format: 'raw' }],
        target: { path: join(dir, `target${i}`), format },
        targetCache: 'unsafe',
      },
      { control: controls[i], signal: aborts[i].signal, bytesPerSecond: SLOW },
    ),
  );
  const done = () => controls.map(({ progress }) => progress.done);
  const letGo = () => {
    for (const control of controls) control.bytesPerSecond = 0;
  };
  t.teardown(letGo);
  return { source, controls, aborts, jobs, done, letGo };
}

/** Waits until each of `which` has handled more; while one starves, the others come to their end, and that fails. */
async function eachAdvances(done: () => number[], which = done().keys()): Promise<void> {
  const wanted = [...which].map((i) => ({ i, least: done()[i] + 1 }));
  while (wanted.some(({ i, least }) => done()[i] < least)) {
    if (done().some((amount) => amount >= SIZE))
      throw new Error(`one is over while another waits: ${done()}`);
    await delay(10);
  }
}

function assertSame(t: Test, source: string, dir: string, which: readonly number[]): void {
  for (const i of which) {
    const compared = qemuImg('compare', '-f', 'raw', '-F', FORMATS[i], source, join(dir, `target${i}`));
    t.match(compared, /identical/);
  }
}

t.test('every job that runs gets on, with fewer engine threads than jobs', async (t) => {
  const dir = t.testdir();
  const pool = new Pool({ jobs: 4, threads: 2 });
  t.teardown(() => pool.destroy());
  const { source, jobs, done, letGo } = holdFour(t, dir, pool);
  for (let round = 0; round < 3; round++) await eachAdvances(done);
  t.equal(pool.size, 4, 'none is over');
  letGo();
  for (const { virtualSize } of await Promise.all(jobs)) t.equal(virtualSize, SIZE);
  t.strictSame(
    done(),
    FORMATS.map(() => SIZE),
  );
  assertSame(t, source, dir, [0, 1, 2, 3]);
});

t.test('cancelling one of several leaves the others alone, and nothing of its own', async (t) => {
  const dir = t.testdir();
  const pool = new Pool({ jobs: 4, threads: 2 });
  t.teardown(() => pool.destroy());
  const { source, jobs, aborts, done, letGo } = holdFour(t, dir, pool);
  await eachAdvances(done);
  const cancelled = [
    failsWith(t, jobs[0], 'CANCELLED', /convert/),
    failsWith(t, jobs[3], 'CANCELLED', /convert/),
  ];
  aborts[0].abort();
  aborts[3].abort();
  await Promise.all(cancelled);
  t.equal(pool.size, 2);
  const [before, , , last] = done();
  await eachAdvances(done, [1, 2].values());
  t.strictSame([done()[0], done()[3]], [before, last], 'the cancelled ones have stopped');
  const files = openFiles(dir);
  t.equal(files.filter((path) => !path.endsWith('source.raw')).length, 2, 'those of the two that run');
  letGo();
  await Promise.all([jobs[1], jobs[2]]);
  assertSame(t, source, dir, [1, 2]);
  t.match(qemuImg('check', '-f', 'qcow2', join(dir, 'target1')), /No errors/);
  t.strictSame(readdirSync(dir).sort(), ['source.raw', 'target1', 'target2']);
  t.strictSame(openFiles(dir), []);
});

/** What this process has open of `dir`. */
function openFiles(dir: string): string[] {
  const found: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      found.push(readlinkSync(`/proc/self/fd/${fd}`));
    } catch (error) {
      // The descriptor of the listing itself is gone by now.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return found.filter((path) => path.startsWith(dir));
}
