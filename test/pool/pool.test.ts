import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DiskImageError, Pool } from 'basecow';
import t, { type Test } from 'tap';
import { randomRaw } from '../support/images.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { md5sum, qemuImg, qemuIo } from '../support/tools.js';

// The public API and the tests' own modules see the same class: `basecow` resolves to this package.
function poolFor(t: Test): Pool {
  const pool = new Pool({ jobs: 3, threads: 4 });
  t.teardown(() => pool.destroy());
  return pool;
}

t.test('every operation, several at once', async (t) => {
  const dir = t.testdir();
  const pool = poolFor(t);
  const raw = randomRaw(join(dir, 'a.raw'), new Random(41), 4 * 2 ** 20);
  const base = join(dir, 'base.qcow2');
  const source = { path: raw, format: 'raw' };
  await pool.convert({ sources: [source], target: { path: base, format: 'qcow2' } });
  const image = { path: base, format: 'qcow2', gate: 'qemu' as const };
  const [packed, sums, guest, same, sound, map, about, measured, copy, created, overlays] = await Promise.all(
    [
      pool.convert({
        sources: [image],
        target: { path: join(dir, 'packed.qcow2'), format: 'qcow2' },
        compress: true,
      }),
      pool.hash({ path: raw, algorithms: ['md5', 'sha256'], chunkSize: 2 ** 20 }),
      pool.hash({ ...image, guest: true }),
      pool.compare({ first: source, second: image }),
      pool.check(image),
      pool.map(image),
      pool.infoChain(image),
      pool.measure({ format: 'qcow2', source: image }),
      pool.copyImage({ source: raw, target: join(dir, 'copy.raw'), size: 8 * 2 ** 20 }),
      pool.create({ path: join(dir, 'new.qcow2'), format: 'qcow2', size: 2 ** 30 }),
      pool.createOverlays({
        overlays: ['o1', 'o2', 'none/o3'].map((name) => ({
          path: join(dir, name),
          backingFile: base,
          backingFormat: 'qcow2',
        })),
        throwOnError: false,
      }),
    ],
  );
  t.equal(packed.virtualSize, 4 * 2 ** 20);
  t.match(qemuImg('compare', raw, join(dir, 'packed.qcow2')), /identical/);
  t.equal(sums.digests.md5, md5sum(raw));
  t.equal(sums.chunks?.count, 4);
  t.equal(guest.digests.md5, md5sum(raw));
  t.strictSame(same, { identical: true, sizeMismatch: false });
  t.match(sound, { corruptions: 0, leaks: 0, checkErrors: 0, format: 'qcow2' });
  t.equal(
    map.reduce((sum, row) => sum + row.length, 0),
    4 * 2 ** 20,
  );
  t.match(about, [{ filename: base, virtualSize: 4 * 2 ** 20 }]);
  const theirs = JSON.parse(qemuImg('measure', '-O', 'qcow2', '--output=json', base));
  t.match(measured, { required: theirs.required, fullyAllocated: theirs['fully-allocated'] });
  t.equal(copy.size, 8 * 2 ** 20);
  t.match(qemuImg('compare', '-f', 'raw', '-F', 'raw', raw, join(dir, 'copy.raw')), /identical/);
  t.equal(created.virtualSize, 2 ** 30);
  t.match(qemuImg('check', join(dir, 'new.qcow2')), /No errors/);
  t.match(qemuImg('compare', raw, join(dir, 'o1')), /identical/);
  t.equal(overlays[1].error, undefined);
  t.match(overlays[2], { path: join(dir, 'none/o3'), error: { code: 'IO', errno: 'ENOENT' } });
  t.ok(overlays[2].error instanceof DiskImageError);
  const resized = await pool.resize({ path: join(dir, 'copy.raw'), format: 'raw', size: 16 * 2 ** 20 });
  t.strictSame(resized, { before: 8 * 2 ** 20, after: 16 * 2 ** 20 });
  t.match(await pool.info(source), { format: 'raw', virtualSize: 4 * 2 ** 20 });
  t.equal(pool.size, 0);
});

t.test('cancel while running leaves nothing; other jobs go on', async (t) => {
  const dir = t.testdir();
  const pool = poolFor(t);
  const raw = randomRaw(join(dir, 'a.raw'), new Random(42), 2 ** 20);
  truncateSync(raw, 2 ** 31);
  qemuIo(raw, 'raw', 'write -P 1 64M 256M');
  const target = join(dir, 'x.qcow2');
  const before = readdirSync(dir);
  const abort = new AbortController();
  const job = pool.convert(
    { sources: [{ path: raw, format: 'raw' }], target: { path: target, format: 'qcow2' }, compress: true },
    { signal: abort.signal, onProgress: () => abort.abort() },
  );
  const other = pool.hash({ path: raw, algorithms: ['sha1'] });
  await failsWith(t, job, 'CANCELLED', /convert/);
  t.notOk(existsSync(target));
  t.strictSame(readdirSync(dir), before);
  t.equal((await other).size, 2 ** 31);
});

t.test('gates are named, and hold in the worker', async (t) => {
  const dir = t.testdir();
  const pool = poolFor(t);
  const raw = randomRaw(join(dir, 'a.raw'), new Random(43), 2 ** 20);
  const path = join(dir, 'o.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-b', raw, '-F', 'raw', path);
  const image = { path, format: 'qcow2', guest: true };
  await failsWith(t, pool.hash({ ...image, gate: 'deny' }), 'BACKING_DENIED', /a\.raw/);
  const roots = { type: 'local' as const, roots: ['/usr'] };
  await failsWith(t, pool.hash({ ...image, gate: roots }), 'BACKING_DENIED', /\/usr/);
  const sum = md5sum(raw);
  for (const gate of ['local', 'qemu', { type: 'local', roots: [dir] }] as const) {
    t.equal((await pool.hash({ ...image, gate })).digests.md5, sum);
  }
});

t.test('a program that only awaits a job ends by itself', async (t) => {
  const dir = t.testdir();
  const raw = randomRaw(join(dir, 'a.raw'), new Random(44), 2 ** 20);
  const module = pathToFileURL(join(import.meta.dirname, '../../dist/index.js')).href;
  const program = `import { Pool } from ${JSON.stringify(module)};
    const pool = new Pool();
    console.log((await pool.hash({ path: ${JSON.stringify(raw)} })).digests.md5);`;
  const ran = spawnSync('node', ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  t.equal(ran.stdout.trim(), md5sum(raw), ran.stderr);
  t.equal(ran.status, 0);
});
