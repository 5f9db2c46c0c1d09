// What every format shares: raw files against qemu-img's, the Formatting line's pairs, progress and cancel.
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { JobControl } from '#src/disk/control.js';
import { createImage } from '#src/operations/create.js';
import { canMount, loopDevice, mountFresh } from '../support/mount.js';
import { qemuImg, run, tryRun } from '../support/tools.js';

const MiB = 2 ** 20;

t.test('raw files have qemu-img’s length, content and space', async (t) => {
  const dir = t.testdir();
  const [ours, theirs] = [join(dir, 'ours'), join(dir, 'theirs')];
  for (const preallocation of ['off', 'falloc', 'full'] as const) {
    for (const size of [0, 1, 512, 1000, 4096, 5 * MiB + 512]) {
      await createImage(ours, { format: 'raw', size, preallocation });
      qemuImg('create', '-q', '-f', 'raw', '-o', `preallocation=${preallocation}`, theirs, String(size));
      t.ok(fs.readFileSync(ours).equals(fs.readFileSync(theirs)), `${preallocation} ${size}`);
      t.equal(fs.statSync(ours).blocks, fs.statSync(theirs).blocks, `${preallocation} ${size}: space`);
      t.equal(fs.statSync(ours).mode, fs.statSync(theirs).mode);
    }
  }
  await createImage(ours, { format: 'raw', size: 2 ** 43 });
  t.equal(fs.statSync(ours).size, 2 ** 43);
});

t.test('the pairs of the Formatting line', async (t) => {
  const dir = t.testdir();
  const sets: [string, Record<string, string>, number?][] = [
    ['raw', {}, MiB],
    ['raw', { size: '1.5M', preallocation: 'off', nocow: 'no', extent_size_hint: '1M' }],
    ['qcow2', {}, 1000],
    ['qcow2', { cluster_size: '128k', lazy_refcounts: 'yes', compat: 'v3', refcount_bits: '0x8' }, MiB],
    ['qcow2', { preallocation: 'off', extended_l2: 'on', extent_size_hint: '2M', encryption: 'off' }, 0],
  ];
  for (const [format, options, size] of sets) {
    const text = Object.entries(options).map(([name, value]) => `${name}=${value}`);
    const args = ['create', '-f', format, ...(text.length ? ['-o', text.join(',')] : []), 'image'];
    const line = run('qemu-img', [...args, ...(size === undefined ? [] : [String(size)])], { cwd: dir });
    let announced: [string, string][] = [];
    const outcome = await createImage(join(dir, 'image'), {
      format,
      size,
      options,
      announce: (effective) => {
        announced = effective;
      },
    });
    t.same(announced, outcome.effective);
    const pairs = outcome.effective.map(([name, value]) => `${name}=${value}`).join(' ');
    t.equal(`Formatting 'image', fmt=${format} ${pairs}\n`, line);
  }
});

t.test('qemu-img’s complaints about raw', async (t) => {
  const dir = t.testdir({ 'base.raw': '' });
  const sets: [Record<string, string>, string?][] = [
    [{ preallocation: 'metadata' }],
    [{ preallocation: 'bogus' }],
    [{ cluster_size: '4k' }],
    [{ nocow: 'perhaps' }],
    [{ size: '1M' }],
    [{}, 'none'],
    [{ size: '7E' }, 'none'],
  ];
  for (const [options, size] of sets) {
    const text = Object.entries(options).map(([name, value]) => `${name}=${value}`);
    const args = ['create', '-q', '-f', 'raw', ...(text.length ? ['-o', text.join(',')] : []), 'image'];
    const theirs = tryRun('qemu-img', [...args, ...(size === 'none' ? [] : ['1M'])], { cwd: dir });
    t.equal(theirs.status, 1);
    fs.rmSync(join(dir, 'image'), { force: true });
    const wrong = createImage(join(dir, 'image'), {
      format: 'raw',
      size: size === 'none' ? undefined : MiB,
      options,
    });
    const said = theirs.stderr.replace(/^qemu-img: image: /, '').replace(/\n$/, '');
    await t.rejects(wrong, { message: said }, text.join(','));
    t.same(fs.readdirSync(dir), ['base.raw']);
  }
  const backed = createImage(join(dir, 'image'), {
    format: 'raw',
    backingFile: 'base.raw',
    backingFormat: 'raw',
  });
  await t.rejects(backed, {
    code: 'INVALID_ARGUMENT',
    message: "Backing file not supported for file format 'raw'",
  });
  await t.rejects(createImage(join(dir, 'image'), { format: 'vdi', size: 1 }), { code: 'UNKNOWN_FORMAT' });
  t.same(fs.readdirSync(dir), ['base.raw']);
});

t.test('names that cannot be made', async (t) => {
  const dir = t.testdir({ folder: {} });
  for (const name of ['nowhere/image', 'folder']) {
    const path = join(dir, name);
    const theirs = tryRun('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M']);
    for (const format of ['raw', 'qcow2']) {
      const said = theirs.stderr.replace(`qemu-img: ${path}: `, '').trim();
      await t.rejects(createImage(path, { format, size: MiB }), { code: 'IO', message: said });
    }
  }
  t.same(fs.readdirSync(dir), ['folder']);
});

t.test('cancelled: nothing is left, and what was there stays', async (t) => {
  const dir = t.testdir({ kept: 'as it was' });
  const path = join(dir, 'kept');
  for (const preallocation of ['metadata', 'full'] as const) {
    const control = new JobControl();
    const made = createImage(path, {
      format: 'qcow2',
      size: preallocation === 'full' ? 2 ** 38 : 2 ** 43,
      preallocation,
      control,
    });
    while (control.progress.total === 0) await new Promise((resolve) => setImmediate(resolve));
    control.cancel();
    await t.rejects(made, { code: 'CANCELLED' });
    t.same(fs.readdirSync(dir), ['kept']);
    t.equal(fs.readFileSync(path, 'utf8'), 'as it was');
  }
  const aborted = createImage(path, { format: 'raw', size: MiB, signal: AbortSignal.abort() });
  await t.rejects(aborted, { code: 'CANCELLED' });
});

t.test('a full filesystem: ENOSPC, and nothing is left', async (t) => {
  t.ok(canMount(), 'this test mounts a small filesystem and needs root');
  const small = mountFresh(t, 'tmpfs', MiB);
  for (const [format, preallocation] of [
    ['raw', 'full'],
    ['raw', 'falloc'],
    ['qcow2', 'full'],
    ['qcow2', 'falloc'],
  ] as const) {
    const wrong = createImage(join(small, 'image'), { format, size: 4 * MiB, preallocation });
    await t.rejects(wrong, { code: 'IO', errno: 'ENOSPC' }, `${format} ${preallocation}`);
    t.same(fs.readdirSync(small), []);
  }
});

t.test('a block device holds a new image, whatever was on it', async (t) => {
  t.ok(canMount(), 'this test needs root and loop devices');
  const device = loopDevice(t, 4 * MiB);
  const sets: Record<string, string>[] = [{}, { preallocation: 'metadata' }, { cluster_size: '512' }];
  for (const options of sets) {
    run('dd', ['if=/dev/urandom', `of=${device}`, 'bs=1M', 'count=4', 'status=none']);
    await createImage(device, { format: 'qcow2', size: 2 * MiB, options });
    qemuImg('check', '-f', 'qcow2', device);
    const zero = join(t.testdir(), 'zero');
    fs.writeFileSync(zero, Buffer.alloc(2 * MiB));
    t.match(
      qemuImg('compare', '-f', 'qcow2', '-F', 'raw', device, zero),
      'identical',
      JSON.stringify(options),
    );
  }
  const wrong = createImage(device, { format: 'raw', size: 5 * MiB });
  await t.rejects(wrong, { code: 'TARGET_TOO_SMALL', message: /4194304.*5242880/ });
});

t.test('hints to the filesystem reach it or are ignored; a replaced image keeps its owner', async (t) => {
  const dir = t.testdir();
  for (const format of ['raw', 'qcow2']) {
    const path = join(dir, `hinted.${format}`);
    const options = { nocow: 'on', extent_size_hint: '2M' };
    await createImage(path, { format, size: 2 ** 20, options });
    t.equal(JSON.parse(qemuImg('info', '-f', format, '--output=json', path))['virtual-size'], 2 ** 20);
    const before = fs.readFileSync(path);
    await t.rejects(createImage(path, { format, size: 2 ** 21, options: { extent_size_hint: '4G' } }), {
      code: 'INVALID_ARGUMENT',
      message: 'Extent size hint is too large',
    });
    t.ok(fs.readFileSync(path).equals(before), 'nothing changed');
    const { uid, gid } = fs.statSync(path);
    const root = process.getuid?.() === 0;
    if (root) fs.chownSync(path, 12_345, 23_456);
    await createImage(path, { format, size: 2 ** 21 });
    const after = fs.statSync(path);
    t.same([after.uid, after.gid], root ? [12_345, 23_456] : [uid, gid]);
  }
});
