import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { copyImage } from '#src/operations/copyImage.js';
import { abortUnderWay } from '../support/abortUnderWay.js';
import { randomRaw } from '../support/images.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { qemuIo, run } from '../support/tools.js';

t.test('byte for byte, holes stay holes', async (t) => {
  const dir = t.testdir();
  const source = randomRaw(join(dir, 'a'), new Random(81), 6 * 2 ** 20);
  truncateSync(source, 40 * 2 ** 20 + 77);
  for (const reflink of ['auto', 'never'] as const) {
    for (const sparseSize of [0, 4096]) {
      const target = join(dir, `b-${reflink}-${sparseSize}`);
      const outcome = await copyImage({ source, target, reflink, sparseSize, mode: 0o600 });
      t.equal(outcome.size, 40 * 2 ** 20 + 77);
      run('cmp', [source, target]);
      t.ok(statSync(target).blocks <= statSync(source).blocks, `${statSync(target).blocks} blocks`);
      t.equal(statSync(target).mode & 0o777, 0o600);
    }
  }
  const grown = join(dir, 'grown');
  const { size } = await copyImage({ source, target: grown, size: 2 ** 30 });
  t.equal(size, 2 ** 30);
  t.equal(statSync(grown).size, 2 ** 30);
  run('cmp', ['-n', String(40 * 2 ** 20 + 77), source, grown]);
  await copyImage({ source, target: grown, targetCache: 'unsafe' });
  t.ok(readFileSync(grown).equals(readFileSync(source)), 'replaces what was there');
  t.equal(statSync(grown).mode & 0o777, 0o644, 'and keeps its permission bits');
});

t.test('refusals leave everything as it was', async (t) => {
  const dir = t.testdir({ target: 'keep me' });
  const source = randomRaw(join(dir, 'a'), new Random(82), 2 ** 20);
  const target = join(dir, 'target');
  await failsWith(t, copyImage({ source, target, replace: false }), 'IO', /exists/);
  await failsWith(t, copyImage({ source, target, size: 1000 }), 'INVALID_ARGUMENT', /1000/, /1048576/);
  await failsWith(t, copyImage({ source, target: source }), 'INVALID_ARGUMENT', /same file/);
  await failsWith(t, copyImage({ source: join(dir, 'none'), target }), 'IO', /none/);
  await failsWith(t, copyImage({ source, target: join(dir, 'no/where') }), 'IO');
  await failsWith(t, copyImage({ source: dir, target }), 'INVALID_ARGUMENT', /regular file/);
  t.equal(readFileSync(target, 'utf8'), 'keep me');
  t.strictSame(readdirSync(dir).sort(), ['a', 'target']);
});

t.test('cancel leaves nothing', async (t) => {
  const dir = t.testdir();
  const source = join(dir, 'a');
  writeFileSync(source, '');
  truncateSync(source, 2 ** 30);
  qemuIo(source, 'raw', 'write -P 1 0 400M');
  const target = join(dir, 'b');
  const job = copyImage({ source, target, reflink: 'never', sparseSize: 4096 }, abortUnderWay());
  await failsWith(t, job, 'CANCELLED', /copy was cancelled/);
  t.notOk(existsSync(target));
  t.strictSame(readdirSync(dir), ['a']);
});
