// The lock between processes is the one oslo.concurrency takes: fcntl.lockf on the whole file. Oracle: Python's fcntl.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LockFolder } from '#src/provision/lock.js';
import { failsWith } from '../support/settled.js';
import { tryRun } from '../support/tools.js';

const TAKE = `
import fcntl, sys
f = open(sys.argv[1], 'a')
try:
    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(75)
print('held', flush=True)
if len(sys.argv) > 2: sys.stdin.read()
`;

const pythonTakes = (path: string): number => tryRun('python3', ['-c', TAKE, path]).status;

t.test('Nova sees our lock', async (t) => {
  const folder = join(t.testdir(), 'locks');
  const locks = new LockFolder(folder);
  const held = await locks.acquire('nova-1');
  t.equal(pythonTakes(join(folder, 'nova-1')), 75);
  await held.release();
  t.equal(pythonTakes(join(folder, 'nova-1')), 0);
  t.same(fs.readdirSync(folder), ['nova-1'], 'the lock file stays');
});

t.test("we see Nova's lock and wait for it", async (t) => {
  const path = join(t.testdir(), 'nova-1');
  const nova = spawn('python3', ['-c', TAKE, path, 'stay'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((held) => nova.stdout.once('data', held));
  const locks = new LockFolder(join(path, '..'));
  t.equal(await locks.tryAcquire('nova-1'), undefined);
  await failsWith(t, locks.acquire('nova-1', { timeout: 120 }), 'LOCKED', path, '120 ms');
  let told = 0;
  const waiting = locks.acquire('nova-1', { onWait: () => told++ });
  await sleep(50);
  t.equal(told, 1, 'the waiter is told once');
  nova.stdin.end();
  await (await waiting).release();
  t.ok(await locks.tryAcquire('nova-1'));
});

t.test('two lock folders of one process exclude each other', async (t) => {
  const folder = t.testdir();
  const held = await new LockFolder(folder).acquire('nova-1');
  t.equal(await new LockFolder(folder).tryAcquire('nova-1'), undefined);
  await held.release();
});

t.test('callers in one process are served in order', async (t) => {
  const locks = new LockFolder(t.testdir());
  const order: number[] = [];
  let inside = 0;
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const held = await locks.acquire('nova-1');
      t.equal(++inside, 1, 'one at a time');
      await sleep(1);
      inside--;
      order.push(i);
      await held.release();
    }),
  );
  t.same(
    order,
    [...order].sort((a, b) => a - b),
  );
});

t.test('a waiter can be called off and leaves no trace', async (t) => {
  const folder = t.testdir();
  const locks = new LockFolder(folder);
  const elsewhere = await new LockFolder(folder).acquire('nova-1');
  const polling = new AbortController();
  const queued = new AbortController();
  const first = locks.acquire('nova-1', { signal: polling.signal });
  const second = locks.acquire('nova-1', { signal: queued.signal });
  const third = locks.acquire('nova-1');
  queued.abort();
  await failsWith(t, second, 'CANCELLED');
  polling.abort();
  await failsWith(t, first, 'CANCELLED');
  await elsewhere.release();
  await (await third).release();
});

t.test('a folder that cannot be made', async (t) => {
  const file = join(t.testdir({ file: '' }), 'file');
  const error = await failsWith(t, new LockFolder(join(file, 'locks')).acquire('nova-1'), 'IO', 'ENOTDIR');
  t.equal(error.errno, 'ENOTDIR');
});
