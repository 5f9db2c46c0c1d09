import { copyFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type CompareOutcome, compare } from '#src/operations/compare.js';
import { randomChain, randomRaw } from '../support/images.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { qemuImg, qemuIo, tryRun } from '../support/tools.js';

type Image = [path: string, format: string];

/** What qemu-img compare would print for our outcome. */
function words(outcome: CompareOutcome): string {
  const strict = outcome.identical ? false : outcome.reason !== 'content';
  const warning = outcome.sizeMismatch && !strict ? 'Warning: Image size mismatch!\n' : '';
  if (outcome.identical) return `${warning}Images are identical.\n`;
  if (outcome.reason === 'content') return `${warning}Content mismatch at offset ${outcome.offset}!\n`;
  if (outcome.reason === 'size') return 'Strict mode: Image size mismatch!\n';
  return `Strict mode: Offset ${outcome.offset} block status mismatch!\n`;
}

async function sameAsQemu(t: Test, a: Image, b: Image, strict = false, about = ''): Promise<CompareOutcome> {
  const flags = strict ? ['-s'] : [];
  const theirs = tryRun('qemu-img', ['compare', ...flags, '-f', a[1], '-F', b[1], a[0], b[0]]);
  const source = ([path, format]: Image) => ({ path, format, gate: 'qemu' as const });
  const ours = await compare({ first: source(a), second: source(b), strict });
  t.equal(words(ours), theirs.stdout, `${about}: ${theirs.stdout.trim()}`);
  t.equal(ours.identical ? 0 : 1, theirs.status);
  return ours;
}

t.test('an image and its copies in other formats', async (t) => {
  const dir = t.testdir();
  const base = randomRaw(join(dir, 'a.raw'), new Random(11), 5 * 2 ** 20 + 1536);
  for (const options of [
    ['-o', 'cluster_size=512'],
    ['-o', 'cluster_size=2M'],
    ['-c'],
    ['-o', 'preallocation=metadata'],
    ['-S', '0'],
  ]) {
    const copy = join(dir, 'b.qcow2');
    qemuImg('convert', '-O', 'qcow2', ...options, base, copy);
    const outcome = await sameAsQemu(t, [base, 'raw'], [copy, 'qcow2'], false, options.join(' '));
    t.strictSame(outcome, { identical: true, sizeMismatch: false });
  }
});

t.test('the first differing sector, wherever it lies', async (t) => {
  const dir = t.testdir();
  const random = new Random(12);
  const base = randomRaw(join(dir, 'a.raw'), random, 6 * 2 ** 20);
  for (let round = 0; round < 12; round++) {
    const copy = join(dir, `b${round}.qcow2`);
    qemuImg('convert', '-O', 'qcow2', ...(round % 2 ? ['-c'] : []), base, copy);
    const at = random.integer(0, 6 * 2 ** 20 - 2);
    qemuIo(copy, 'qcow2', `write -P ${random.integer(1, 255)} ${at} ${random.integer(1, 3)}`);
    await sameAsQemu(t, [base, 'raw'], [copy, 'qcow2'], false, `byte ${at}`);
    await sameAsQemu(t, [copy, 'qcow2'], [base, 'raw'], false, `byte ${at}, exchanged`);
  }
});

t.test('sizes', async (t) => {
  const dir = t.testdir();
  const base = randomRaw(join(dir, 'a.raw'), new Random(13), 2 ** 20 + 512);
  const longer = join(dir, 'b.raw');
  copyFileSync(base, longer);
  truncateSync(longer, 3 * 2 ** 20);
  await sameAsQemu(t, [base, 'raw'], [longer, 'raw'], false, 'zero tail');
  await sameAsQemu(t, [longer, 'raw'], [base, 'raw'], false, 'zero tail, exchanged');
  await sameAsQemu(t, [base, 'raw'], [longer, 'raw'], true, 'strict');
  qemuIo(longer, 'raw', 'write -P 1 2097153 1');
  const outcome = await sameAsQemu(t, [base, 'raw'], [longer, 'raw'], false, 'data in the tail');
  t.strictSame(outcome, { identical: false, reason: 'content', offset: 2097152, sizeMismatch: true });
  qemuIo(longer, 'raw', 'write -P 200 1M 100');
  await sameAsQemu(t, [longer, 'raw'], [base, 'raw'], false, 'both differ');
});

t.test('strict: status differs', async (t) => {
  const dir = t.testdir();
  const make = (name: string, options: string[], ...writes: string[]): Image => {
    const path = join(dir, `${name}.qcow2`);
    qemuImg('create', '-q', '-f', 'qcow2', ...options, path, '4M');
    if (writes.length > 0) qemuIo(path, 'qcow2', ...writes);
    return [path, 'qcow2'];
  };
  const none = make('none', []);
  const zeros = make('zeros', [], 'write -z 1M 64k');
  const reserved = make('reserved', [], 'write -P 1 1M 64k', 'write -z 1M 64k');
  const written = make('written', [], 'write -P 0 1M 64k');
  const other = make('other', [], 'write -P 5 1M 64k', 'write -P 1 2M 64k');
  const metadata = make('metadata', ['-o', 'preallocation=metadata']);
  const compressed: Image = [join(dir, 'compressed.qcow2'), 'qcow2'];
  qemuImg('convert', '-c', '-O', 'qcow2', other[0], compressed[0]);
  const flat: Image = [join(dir, 'flat.raw'), 'raw'];
  qemuImg('convert', '-O', 'raw', other[0], flat[0]);
  const base = make('base', [], 'write -P 3 512k 64k');
  qemuImg('resize', '-q', '--shrink', base[0], '1M');
  const overlay = make('overlay', ['-b', base[0], '-F', 'qcow2'], 'write -P 5 1M 64k');
  const all = [compressed, flat, overlay, none, zeros, reserved, written, other, metadata];
  for (const a of all)
    for (const b of all) {
      if (a === b) continue;
      await sameAsQemu(t, a, b, true, `${a[0].slice(dir.length)} ${b[0].slice(dir.length)}`);
      await sameAsQemu(t, a, b, false);
    }
});

t.test('strict: larger than one slice of an L2 table', async (t) => {
  const dir = t.testdir();
  const images = ['', 'write -P 1 600M 64k', 'write -P 1 200M 64k', 'write -z 1100M 64k'].map(
    (write, i): Image => {
      const path = join(dir, `${i}.qcow2`);
      qemuImg('create', '-q', '-f', 'qcow2', '-o', `cluster_size=${i < 2 ? '64k' : '32k'}`, path, '1200M');
      if (write) qemuIo(path, 'qcow2', write);
      return [path, 'qcow2'];
    },
  );
  for (const a of images) for (const b of images) if (a !== b) await sameAsQemu(t, a, b, true);
});

t.test('overlays of one base read only what they do not share', async (t) => {
  const dir = t.testdir();
  const random = new Random(14);
  const layers = randomChain(dir, random, { depth: 4, size: 4 * 2 ** 20 });
  for (let round = 0; round < 6; round++) {
    const [a, b] = ['a', 'b'].map((name): Image => {
      const path = join(dir, `${name}${round}.qcow2`);
      qemuImg('create', '-q', '-f', 'qcow2', '-b', random.pick(layers.slice(1)), '-F', 'qcow2', path);
      return [path, 'qcow2'];
    });
    await sameAsQemu(t, a, b, false, 'as made');
    qemuIo(b[0], 'qcow2', `write -P 3 ${random.integer(0, 8191) * 512} 512`);
    await sameAsQemu(t, a, b, false, 'one sector written');
  }
});

t.test('threads and huge empty disks make no difference', async (t) => {
  const dir = t.testdir();
  const a = join(dir, 'a.qcow2');
  const b = join(dir, 'b.qcow2');
  for (const path of [a, b]) qemuImg('create', '-q', '-f', 'qcow2', path, '60T');
  qemuIo(a, 'qcow2', 'write -P 1 50T 64k');
  qemuIo(b, 'qcow2', 'write -P 1 50T 60k');
  for (const threads of [1, 4]) {
    const outcome = await compare(
      { first: { path: a, format: 'qcow2' }, second: { path: b, format: 'qcow2' } },
      { threads },
    );
    t.strictSame(outcome, {
      identical: false,
      reason: 'content',
      offset: 50 * 2 ** 40 + 61440,
      sizeMismatch: false,
    });
  }
});

t.test('failures name the image', async (t) => {
  const dir = t.testdir();
  const first = { path: randomRaw(join(dir, 'a.raw'), new Random(15), 2 ** 20), format: 'raw' };
  const none = { path: join(dir, 'none.raw'), format: 'raw' };
  const error = await failsWith(t, compare({ first, second: none }), 'IO', /none\.raw/);
  t.equal(error.path, none.path);
  await failsWith(t, compare({ first, second: { ...first, format: 'qcow2' } }), 'NOT_QCOW2', /a\.raw/);
  await failsWith(t, compare({ first, second: { ...first, format: 'vdi' } }), 'UNKNOWN_FORMAT', /vdi/);
  await failsWith(t, compare({ first, second: first }, { signal: AbortSignal.abort() }), 'CANCELLED');
});
