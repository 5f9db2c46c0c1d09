// Overlays one by one and in groups: what they cost, what qemu-img makes of them, and what happens when some fail.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { DiskImageError } from '#src/disk/errors.js';
import { createImage } from '#src/operations/create.js';
import { createOverlays } from '#src/operations/createOverlays.js';
import { qemuImg, qemuIo, run, tryRun } from '../support/tools.js';

const MiB = 2 ** 20;
const root = join(import.meta.dirname, '../..');

function baseIn(dir: string, name = 'base.raw'): string {
  const base = join(dir, name);
  qemuImg('create', '-q', '-f', 'raw', base, '8M');
  qemuIo(base, 'raw', 'write -P 7 1M 64k');
  return base;
}

/** Runs a module text in a fresh node under strace; returns the traced lines. */
function traced(t: Test, calls: string, code: string, ...args: string[]): string[] {
  const log = join(t.testdirName, 'trace');
  run(
    'strace',
    [
      '-f',
      '-q',
      '-e',
      `trace=${calls}`,
      '-o',
      log,
      process.execPath,
      '--input-type=module',
      '-e',
      code,
      ...args,
    ],
    {
      cwd: root,
    },
  );
  return fs
    .readFileSync(log, 'utf8')
    .split('\n')
    .filter((line) => /^\d+ +\w+\(/.test(line));
}

t.test('an overlay costs one fdatasync, and none when it is not to be durable', async (t) => {
  const dir = t.testdir();
  const base = baseIn(dir);
  const code = `
    import { createImage } from '#src/operations/create.js';
    const [path, base, sync] = process.argv.slice(1);
    await createImage(path, { format: 'qcow2', backingFile: base, backingFormat: 'raw', sync: sync === 'true' });`;
  for (const [sync, expected] of [
    ['true', 1],
    ['false', 0],
  ] as const) {
    const lines = traced(
      t,
      'fsync,fdatasync,syncfs,sync_file_range',
      code,
      join(dir, `${sync}.qcow2`),
      base,
      sync,
    );
    t.equal(lines.length, expected, lines.join('\n'));
    if (expected) t.match(lines[0], 'fdatasync');
    qemuImg('check', join(dir, `${sync}.qcow2`));
  }
});

t.test('a group of overlays costs one syncfs', async (t) => {
  const dir = t.testdir();
  const base = baseIn(dir);
  const code = `
    import { createOverlays } from '#src/operations/createOverlays.js';
    const [dir, base] = process.argv.slice(1);
    await createOverlays(Array.from({ length: 20 }, (_, i) =>
      ({ path: dir + '/o' + i + '.qcow2', backingFile: base, backingFormat: 'raw' })));`;
  const lines = traced(t, 'fsync,fdatasync,syncfs', code, dir, base);
  t.equal(lines.length, 1, lines.join('\n'));
  t.match(lines[0], 'syncfs');
});

t.test('many overlays of several bases, sizes and options, each as qemu-img makes it', async (t) => {
  const dir = t.testdir({ a: {}, b: {}, theirs: {} });
  baseIn(dir);
  baseIn(join(dir, 'a'), 'own.raw');
  qemuImg('create', '-q', '-f', 'qcow2', join(dir, 'base.qcow2'), '24M');
  const small = { clusterSize: 4096 };
  const requests = Array.from({ length: 60 }, (_, i) => {
    const own = i % 4 === 3;
    const qcow2 = i % 4 === 2;
    return {
      path: join(dir, i % 2 ? 'a' : 'b', `o${i}.qcow2`),
      backingFile: own ? 'own.raw' : qcow2 ? '../base.qcow2' : '../base.raw',
      backingFormat: qcow2 ? 'qcow2' : 'raw',
      size: i % 5 === 0 ? 32 * MiB + 512 : undefined,
      options: i % 3 === 0 ? small : undefined,
    };
  });
  const outcomes = await createOverlays(requests);
  t.equal(outcomes.length, 60);
  for (const [i, { path, backingFile, backingFormat, size, options }] of requests.entries()) {
    t.equal(outcomes[i].path, path);
    const folder = join(path, '..');
    const theirs = join(folder, 'theirs.qcow2');
    const text = options ? ['-o', 'cluster_size=4k'] : [];
    const sizes = size ? [String(size)] : [];
    qemuImg('create', '-q', '-f', 'qcow2', ...text, '-b', backingFile, '-F', backingFormat, theirs, ...sizes);
    t.ok(fs.readFileSync(path).equals(fs.readFileSync(theirs)), `${i}: bytes`);
    t.equal(outcomes[i].virtualSize, JSON.parse(qemuImg('info', '--output=json', theirs))['virtual-size']);
  }
});

t.test('the guest sees the base through the overlay, and changes only the overlay', async (t) => {
  const dir = t.testdir();
  const base = baseIn(dir);
  const before = fs.readFileSync(base);
  const overlay = join(dir, 'disk');
  await createImage(overlay, {
    format: 'qcow2',
    backingFile: 'base.raw',
    backingFormat: 'raw',
    size: 16 * MiB,
  });
  qemuIo(
    overlay,
    'qcow2',
    'read -P 7 1M 64k',
    'read -P 0 8M 8M',
    'write -P 9 1M 4k',
    'read -P 9 1M 4k',
    'read -P 7 1028k 60k',
  );
  qemuImg('check', overlay);
  t.ok(fs.readFileSync(base).equals(before));
});

t.test('each failure is told apart, the rest is made', async (t) => {
  const dir = t.testdir({ folder: {} });
  const base = baseIn(dir);
  const request = (path: string, backingFile = base, backingFormat = 'raw') => ({
    path: join(dir, path),
    backingFile,
    backingFormat,
  });
  const requests = [
    request('good1'),
    request('nowhere/o'),
    request('o2', 'missing.raw'),
    request('o3', base, 'bogus'),
    request('base.raw'),
    request('folder'),
    request('good2'),
  ];
  const outcomes = await createOverlays(requests, { throwOnError: false });
  t.same(
    outcomes.map(({ error }) => error?.code),
    [undefined, 'IO', 'BACKING_NOT_FOUND', 'BACKING_FORMAT_UNSUPPORTED', 'INVALID_ARGUMENT', 'IO', undefined],
  );
  t.match(outcomes[1].error?.message, /nowhere\/o.*No such file/);
  t.match(outcomes[2].error?.message, /missing\.raw/);
  t.match(outcomes[3].error?.message, /Unknown driver 'bogus'/);
  for (const name of ['good1', 'good2']) qemuImg('check', join(dir, name));
  t.same(fs.readdirSync(dir).sort(), ['base.raw', 'folder', 'good1', 'good2']);
  t.equal(fs.statSync(base).size, 8 * MiB, 'the base is as it was');

  const thrown: DiskImageError = await createOverlays(requests).then(
    () => t.fail('should throw'),
    (error) => error,
  );
  t.equal(thrown.code, 'IO');
  t.match(thrown.message, /^5 of 7 overlays could not be made; the first, '.*nowhere\/o'/);
  t.equal((thrown.cause as AggregateError).errors.length, 5);
});

t.test('an overlay must not replace a file of its own chain, under whatever name', async (t) => {
  const dir = t.testdir();
  const base = baseIn(dir);
  const middle = join(dir, 'middle.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', middle);
  const link = join(dir, 'link');
  fs.symlinkSync('base.raw', link);
  const before = fs.readFileSync(base);
  for (const path of [base, link]) {
    const [outcome] = await createOverlays([{ path, backingFile: middle, backingFormat: 'qcow2' }], {
      throwOnError: false,
    });
    t.equal(outcome.error?.code, 'BACKING_CYCLE', path);
    const alone = createImage(path, { format: 'qcow2', backingFile: middle, backingFormat: 'qcow2' });
    await t.rejects(alone, { code: 'BACKING_CYCLE' });
  }
  t.ok(fs.readFileSync(base).equals(before));
});

t.test('an existing target: replaced, kept with its bits, or refused while in use', async (t) => {
  const dir = t.testdir({ old: 'old content' });
  baseIn(dir);
  const path = join(dir, 'old');
  fs.chmodSync(path, 0o600);
  const request = { path, backingFile: 'base.raw', backingFormat: 'raw' };

  const taken = createOverlays([request], { replace: false });
  await t.rejects(taken, { code: 'IO', errno: 'EEXIST', message: /'.*old'/ });
  t.equal(fs.readFileSync(path, 'utf8'), 'old content');

  await createOverlays([request]);
  qemuImg('check', path);
  t.equal(fs.statSync(path).mode & 0o777, 0o600);

  const holder = spawn('qemu-io', ['-f', 'qcow2', path], { stdio: ['pipe', 'pipe', 'inherit'] });
  holder.stdin.write('write 0 512\n');
  await once(holder.stdout, 'data');
  const before = fs.statSync(path).ino;
  await t.rejects(createOverlays([request]), { code: 'LOCKED', message: /Failed to get "write" lock/ });
  const alone = createImage(path, { format: 'qcow2', size: MiB });
  await t.rejects(alone, {
    code: 'LOCKED',
    message: new RegExp(`another process using the image \\[${path}\\]`),
  });
  t.equal(fs.statSync(path).ino, before, 'the same file still');
  holder.stdin.end('quit\n');
  await once(holder, 'exit');
});

t.test('the gate rules which bases are looked at', async (t) => {
  const dir = t.testdir();
  const base = baseIn(dir);
  const path = join(dir, 'o');
  const options = { format: 'qcow2', backingFile: base, backingFormat: 'raw' };
  await t.rejects(createImage(path, { ...options, gate: 'deny' }), {
    code: 'BACKING_DENIED',
    message: /base\.raw/,
  });
  const roots = createImage(path, { ...options, gate: { type: 'local', roots: ['/usr'] } });
  await t.rejects(roots, { code: 'BACKING_DENIED', message: /outside \/usr/ });
  const guessed = createImage(path, { format: 'qcow2', backingFile: base, gate: 'qemu' });
  await t.rejects(guessed, {
    code: 'BACKING_FORMAT_MISSING',
    message: 'Backing file specified without backing format\nDetected format of raw.',
  });
  const told = createImage(path, { format: 'qcow2', backingFile: base });
  await t.rejects(told, {
    code: 'BACKING_FORMAT_MISSING',
    message: 'Backing file specified without backing format',
  });
  t.notOk(fs.existsSync(path));
});

t.test('killed while making overlays: every name that exists is a whole image', async (t) => {
  const dir = t.testdir();
  const base = baseIn(dir);
  const code = `
    import { createOverlays } from '#src/operations/createOverlays.js';
    const [dir, base] = process.argv.slice(1);
    process.stdout.write('go');
    for (let n = 0; ; n++) await createOverlays(Array.from({ length: 64 }, (_, i) =>
      ({ path: dir + '/o' + n + '-' + i, backingFile: base, backingFormat: 'raw' })), { sync: false });`;
  const expected = join(dir, 'expected');
  await createImage(expected, { format: 'qcow2', backingFile: base, backingFormat: 'raw' });
  const whole = fs.readFileSync(expected);
  for (let round = 0; round < 5; round++) {
    const out = join(dir, `out${round}`);
    fs.mkdirSync(out);
    const child = spawn(process.execPath, ['--input-type=module', '-e', code, out, base], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    while (fs.readdirSync(out).length < 10) await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGKILL');
    await once(child, 'exit');
    const names = fs.readdirSync(out);
    t.ok(
      names.every((name) => /^o\d+-\d+$/.test(name)),
      'no other names',
    );
    t.ok(
      names.every((name) => fs.readFileSync(join(out, name)).equals(whole)),
      `${names.length} whole overlays`,
    );
    fs.rmSync(out, { recursive: true });
  }
  t.equal(tryRun('qemu-img', ['check', expected]).status, 0);
});
