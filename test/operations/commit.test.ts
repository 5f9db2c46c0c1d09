// Verbs that change chains and snapshots through the library: outcomes, errors that change nothing, and a commit killed
// under way.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  amend,
  amendOptionSpecs,
  applySnapshot,
  commit,
  copyRange,
  createSnapshot,
  DiskImageError,
  deleteSnapshot,
  listSnapshots,
  rebase,
} from 'basecow';
import t, { type Test } from 'tap';
import { start } from '../support/basecow.js';
import { makeChains } from '../support/chainImages.js';
import { md5sum, qemuImg, run, tryRun } from '../support/tools.js';

const format = 'qcow2';

async function refused(
  t: Test,
  files: string[],
  work: () => Promise<unknown>,
  code: string,
  words: string | RegExp,
): Promise<void> {
  const before = files.map(md5sum);
  const error = await work().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  t.ok(error instanceof DiskImageError, `${code}: ${words}`);
  t.match(error, { code, message: words });
  t.strictSame(files.map(md5sum), before, `nothing has changed: ${words}`);
}

t.test('outcomes', async (t) => {
  const dir = t.testdir();
  makeChains(dir);
  const path = (name: string) => join(dir, name);
  const committed = await commit({ path: path('top.qcow2'), format });
  t.match(committed, { base: path('mid.qcow2'), before: 2 * 2 ** 20, after: 3 * 2 ** 20, emptied: true });
  t.equal(committed.written, 2 * 32768 + 4 * 32768 + 32768, 'what the overlay held, in its clusters');
  const kept = await commit({ path: path('tall.qcow2'), format, base: 'base.qcow2' });
  t.match(kept, { base: path('base.qcow2'), emptied: false });
  const same = await rebase({
    path: path('v2.qcow2'),
    format,
    backing: { path: 'base.qcow2', format: 'qcow2' },
  });
  t.strictSame(same, { copied: 0 }, 'the same backing file again');
  const made = await createSnapshot({ path: path('sub.qcow2'), format, name: 'é', date: new Date(1.7e12) });
  t.match(made, { id: '1', name: 'é', dateSec: 1_700_000_000, diskSize: 2 ** 20 });
  t.match(await listSnapshots({ path: path('sub.qcow2'), format }), [made]);
  t.match(qemuImg('snapshot', '-l', path('sub.qcow2')), 'é');
  t.match(await applySnapshot({ path: path('sub.qcow2'), format, snapshot: { id: '1' } }), { name: 'é' });
  t.match(await deleteSnapshot({ path: path('sub.qcow2'), format, snapshot: { id: '1' } }), { id: '1' });
  t.strictSame(await listSnapshots({ path: path('sub.qcow2'), format }), []);
  const copied = await copyRange({
    source: { path: path('flat.raw'), format: 'raw' },
    target: { path: path('part.qcow2'), format },
    start: 1001,
    end: 70_001,
  });
  t.match(copied, { virtualSize: 69_120 });
  run('qemu-img', ['convert', '-O', 'raw', 'part.qcow2', 'part.raw'], { cwd: dir });
  const bytes = readFileSync(path('part.raw'));
  t.ok(bytes.subarray(0, 69_000).equals(readFileSync(path('flat.raw')).subarray(1001, 70_001)));
  t.ok(bytes.subarray(69_000).every((byte) => byte === 0));
  t.ok(amendOptionSpecs(format).some(({ name }) => name === 'compat'));
});

t.test('refusals', async (t) => {
  const dir = t.testdir();
  makeChains(dir);
  const path = (name: string) => join(dir, name);
  const top = path('top.qcow2');
  const all = ['base.qcow2', 'mid.qcow2', 'top.qcow2', 'flat.raw'].map(path);
  const is = (work: () => Promise<unknown>, code: string, words: string | RegExp) =>
    refused(t, all, work, code, words);
  const raw = { path: path('flat.raw'), format: 'raw' };
  await is(() => commit(raw), 'INVALID_ARGUMENT', 'backing file');
  await is(() => commit({ path: top, format, base: 'elsewhere' }), 'INVALID_ARGUMENT', 'elsewhere');
  await is(() => commit({ path: top, format, gate: 'deny' }), 'BACKING_DENIED', 'mid.qcow2');
  await is(() => commit({ path: top, format, cache: 'fast' as 'none' }), 'INVALID_ARGUMENT', 'fast');
  await is(
    () => rebase({ path: top, format, backing: { path: 'gone', format } }),
    'BACKING_NOT_FOUND',
    'gone',
  );
  const unnamed = { path: 'base.qcow2' };
  await is(() => rebase({ path: top, format, backing: unnamed }), 'BACKING_FORMAT_MISSING', 'format');
  const strange = { path: 'base.qcow2', format: 'strange' };
  await is(
    () => rebase({ path: top, format, unsafe: true, backing: strange }),
    'INVALID_ARGUMENT',
    'strange',
  );
  await is(() => rebase({ ...raw, unsafe: true }), 'UNSUPPORTED_OPERATION', 'raw');
  await is(() => createSnapshot({ ...raw, name: 'x' }), 'UNSUPPORTED_OPERATION', 'snapshots');
  const missing = { name: 'missing' };
  await is(() => applySnapshot({ path: top, format, snapshot: missing }), 'SNAPSHOT_NOT_FOUND', 'missing');
  await is(() => deleteSnapshot({ path: top, format, snapshot: missing }), 'SNAPSHOT_NOT_FOUND', 'missing');
  await is(() => amend({ path: top, format, options: { colour: 'red' } }), 'INVALID_ARGUMENT', 'colour');
  await is(() => amend({ ...raw, options: { size: '1M' } }), 'UNSUPPORTED_OPERATION', 'raw');
  await is(
    () => copyRange({ source: raw, target: { path: top, format }, start: 5, end: 1e9 }),
    'INVALID_ARGUMENT',
    '1000000000',
  );
  await is(() => copyRange({ source: raw, target: raw }), 'INVALID_ARGUMENT', 'flat.raw');
  const signal = AbortSignal.abort();
  await is(() => commit({ path: top, format }, { signal }), 'CANCELLED', 'commit');
});

t.test('a commit that is killed, again and again, and then done', async (t) => {
  const dir = t.testdir();
  const path = (name: string) => join(dir, name);
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', path('base.qcow2'), '16M');
  run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 1 1M 4M', path('base.qcow2')]);
  qemuImg('create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', path('top.qcow2'), '20M');
  const writes = Array.from({ length: 60 }, (_, i) => ['-c', `write -q -P ${i + 2} ${i * 300}k 100k`]).flat();
  run('qemu-io', ['-f', 'qcow2', ...writes, path('top.qcow2')]);
  qemuImg('convert', '-O', 'raw', path('top.qcow2'), path('before.raw'));
  for (const delay of [150, 250, 350]) {
    const { child, ended } = start('commit', '-r', '4M', path('top.qcow2'));
    setTimeout(() => child.kill('SIGKILL'), delay);
    t.equal((await ended).signal, 'SIGKILL', `killed after ${delay} ms`);
    for (const image of ['base.qcow2', 'top.qcow2']) {
      const checked = tryRun('qemu-img', ['check', path(image)]);
      t.ok(checked.status === 0 || checked.status === 3, `${image} is clean or leaks`, { found: checked });
    }
    t.match(
      qemuImg('compare', '-f', 'qcow2', '-F', 'raw', path('top.qcow2'), path('before.raw')),
      'identical',
    );
  }
  await commit({ path: path('top.qcow2'), format });
  for (const image of ['base.qcow2', 'top.qcow2']) {
    t.match(qemuImg('compare', '-f', 'qcow2', '-F', 'raw', path(image), path('before.raw')), 'identical');
  }
});
