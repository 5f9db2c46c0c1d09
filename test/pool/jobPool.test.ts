import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { DiskImageError } from '#src/disk/errors.js';
import { JobPool, type PoolOptions } from '#src/pool/jobPool.js';
import { failsWith } from '../support/settled.js';

const worker = pathToFileURL(join(import.meta.dirname, '../support/workers/mortal.mjs'));

function poolFor(t: Test, options: PoolOptions = {}): JobPool {
  const pool = new JobPool(worker, options);
  t.teardown(() => pool.destroy());
  return pool;
}

t.test('a worker that dies fails its own job, and the pool goes on', async (t) => {
  const pool = poolFor(t, { jobs: 2, threads: 4 });
  const abort = new AbortController();
  const other = pool.run('wait', {}, { signal: abort.signal });
  await failsWith(t, pool.run('exit', { code: 3 }), 'WORKER_DIED', /exit/, /code: 3/);
  await failsWith(t, pool.run('crash', {}), 'WORKER_DIED', /crash/, /outside of any promise/);
  t.equal(await pool.run('threads', {}), 2, 'the dead no longer count as running');
  t.equal(pool.size, 1);
  abort.abort();
  await failsWith(t, other, 'CANCELLED', /wait/);
});

t.test('a worker that runs out of memory', async (t) => {
  const pool = poolFor(t, { jobs: 1, resourceLimits: { maxOldGenerationSizeMb: 32 } });
  const behind = pool.run('exhaust', {});
  const next = pool.run('threads', {}, { threads: 3 });
  await failsWith(t, behind, 'WORKER_DIED', /memory/);
  t.equal(await next, 3, 'a job that waited behind it runs');
});

t.test('workers that die at their start fail the jobs that wait', async (t) => {
  const pool = new JobPool(new URL('none-such.mjs', worker), { jobs: 1 });
  t.teardown(() => pool.destroy());
  await failsWith(t, pool.run('threads', {}), 'WORKER_DIED', /none-such/);
});

t.test('engine threads are shared out', async (t) => {
  const pool = poolFor(t, { jobs: 4, threads: 8 });
  t.equal(await pool.run('threads', {}), 8);
  const request = { begun: new SharedArrayBuffer(4), count: 4 };
  const shares = (await Promise.all([1, 2, 3, 4].map(() => pool.run('gather', request)))) as number[];
  t.strictSame(
    shares.sort((a, b) => b - a),
    [8, 4, 2, 2],
  );
  t.equal(await pool.run('threads', {}), 8, 'shares come back');
  t.equal(await pool.run('threads', {}, { threads: 5 }), 5, 'the caller may say');
  const machine = poolFor(t);
  t.equal(await machine.run('threads', {}), Math.min(8, availableParallelism()));
});

t.test('shares follow the jobs that run', async (t) => {
  const pool = poolFor(t, { jobs: 3, threads: 8 });
  const begun = new SharedArrayBuffer(4);
  const abort = new AbortController();
  const oldest = pool.run('grow', { begun, wanted: 3 });
  const others = [1, 2].map(() => pool.run('wait', {}, { signal: abort.signal }));
  t.equal(await oldest, 3, 'less when others come, the odd ones to the oldest');
  const last = pool.run('grow', { begun, wanted: 8 });
  const cancelled = others.map((other) => failsWith(t, other, 'CANCELLED'));
  abort.abort();
  await Promise.all(cancelled);
  t.equal(await last, 8, 'all when it is left alone');
});

t.test('priority, then order of arrival', async (t) => {
  const pool = poolFor(t, { jobs: 1 });
  const abort = new AbortController();
  const first = pool.run('wait', {}, { signal: abort.signal });
  const log = new SharedArrayBuffer(4 * 16);
  const jobs = [
    [1, 0],
    [2, 5],
    [3, -1],
    [4, 5],
    [5, 0],
    [6, 9],
  ].map(([name, priority]) => pool.run('order', { name, log }, { priority }));
  const withdrawn = new AbortController();
  const never = pool.run('order', { name: 7, log }, { priority: 7, signal: withdrawn.signal });
  withdrawn.abort();
  await failsWith(t, never, 'CANCELLED', /order/);
  t.equal(pool.waiting, 6);
  abort.abort();
  await failsWith(t, first, 'CANCELLED');
  await Promise.all(jobs);
  t.strictSame([...new Int32Array(log)].slice(0, 8), [6, 6, 2, 4, 1, 5, 3, 0]);
});

t.test('progress comes through shared memory', async (t) => {
  const pool = poolFor(t, { jobs: 1 });
  const abort = new AbortController();
  const seen: number[] = [];
  const job = pool.run(
    'wait',
    {},
    {
      signal: abort.signal,
      onProgress: ({ done, total }) => {
        // Until the worker has begun there is nothing to see.
        if (total === 0) return;
        t.equal(total, 1000);
        seen.push(done);
        if (seen.length === 3) abort.abort();
      },
    },
  );
  await failsWith(t, job, 'CANCELLED');
  t.ok(seen[2] > seen[1] && seen[1] >= seen[0], `${seen}`);
});

t.test('errors cross with code, details and cause', async (t) => {
  const pool = poolFor(t, { jobs: 1 });
  const error = await failsWith(t, pool.run('fail', {}), 'IO', /outer/);
  t.match(error, { path: '/outer', errno: 'ENOSPC', syscall: 'write', operation: 'fail' });
  t.match(error.stack, /mortal\.mjs/, 'the stack is the one of the thread it happened in');
  const [inner] = (error.cause as AggregateError).errors;
  t.ok(inner instanceof DiskImageError);
  t.match(inner, { code: 'TRUNCATED', path: '/inner', offset: 7 });
  const unsendable = pool.run('threads', { gate: () => true });
  await failsWith(t, unsendable, 'INVALID_ARGUMENT', /threads|clone/);
  t.equal(pool.size, 0);
});

t.test('close lets jobs finish; destroy cancels them', async (t) => {
  const closing = new JobPool(worker, { jobs: 1, threads: 2 });
  const jobs = [closing.run('threads', {}), closing.run('threads', {})];
  const closed = closing.close();
  await failsWith(t, closing.run('threads', {}), 'INVALID_ARGUMENT', /closed/);
  t.strictSame(await Promise.all(jobs), [2, 2]);
  await closed;
  await closing.destroy();

  const destroyed = new JobPool(worker, { jobs: 1 });
  const failing = [destroyed.run('wait', {}), destroyed.run('threads', {})].map((job) =>
    failsWith(t, job, 'CANCELLED'),
  );
  await destroyed.destroy();
  await Promise.all(failing);
  t.equal(destroyed.size, 0);
  t.throws(() => new JobPool(worker, { jobs: 0 }), { code: 'INVALID_ARGUMENT', message: /not 0/ });
  t.throws(() => new JobPool(worker, { threads: 1.5 }), { code: 'INVALID_ARGUMENT', message: /1\.5/ });
});
