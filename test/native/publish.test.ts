import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { native, type PublishFile } from '#src/native.js';
import { canMount, mountFresh } from '../support/mount.js';
import { allocated, openFile } from '../support/openFile.js';
import { Random } from '../support/random.js';
import { run } from '../support/tools.js';

const head = Buffer.alloc(512, 0xab);

function overlayLike(path: string, changes: Partial<PublishFile> = {}): PublishFile {
  return {
    path,
    mode: 0o644,
    length: 196 * 1024,
    pieces: [
      { offset: 0, data: head },
      { offset: 512, data: Buffer.from('name of the base') },
      { offset: 65536, data: Buffer.from([1, 2, 3, 4]) },
    ],
    replace: false,
    sync: false,
    ...changes,
  };
}

const content = Buffer.alloc(196 * 1024);
head.copy(content);
content.write('name of the base', 512);
content.set([1, 2, 3, 4], 65536);

t.test('a thousand files, each whole and sparse', async (t) => {
  for (const group of [false, true]) {
    const dir = t.testdir();
    const files = Array.from({ length: 1000 }, (_, i) => overlayLike(join(dir, `disk${i}`)));
    const outcomes = await native.publishFiles(files, group);
    t.same(outcomes, Array(1000).fill({}), `group ${group}`);
    t.equal(fs.readdirSync(dir).length, 1000, 'and nothing else');
    for (const { path } of files) if (!fs.readFileSync(path).equals(content)) t.fail(`${path} differs`);
    const one = fs.statSync(files[5].path);
    t.equal(one.mode & 0o777, 0o644 & ~process.umask());
    t.ok(allocated(files[5].path) <= 12 * 1024, 'sparse');
  }
});

t.test('each file has a fate of its own', async (t) => {
  for (const group of [false, true]) {
    const dir = t.testdir({ taken: 'old', replaced: 'old', folder: {} });
    const outcomes = await native.publishFiles(
      [
        overlayLike(join(dir, 'new'), { sync: true }),
        overlayLike(join(dir, 'taken')),
        overlayLike(join(dir, 'replaced'), { replace: true }),
        overlayLike(join(dir, 'missing', 'a')),
        overlayLike(join(dir, 'folder'), { replace: true }),
        overlayLike(join(dir, 'n'.repeat(255)), { replace: true }),
        overlayLike(join(dir, 'empty'), { pieces: [], length: 0 }),
      ],
      group,
    );
    t.same(
      outcomes.map((outcome) => outcome.error?.code),
      [undefined, 'EEXIST', undefined, 'ENOENT', 'EISDIR', undefined, undefined],
    );
    t.match(outcomes[1].error, { syscall: 'link', message: `link '${join(dir, 'taken')}'` });
    t.equal(fs.readFileSync(join(dir, 'taken'), 'utf8'), 'old');
    t.ok(fs.readFileSync(join(dir, 'replaced')).equals(content));
    t.same(
      fs.readdirSync(dir).sort(),
      ['empty', 'folder', 'n'.repeat(255), 'new', 'replaced', 'taken'].sort(),
      'no draft is left',
    );
  }
});

t.test('wrong arguments publish nothing', async (t) => {
  const dir = t.testdir();
  const good = overlayLike(join(dir, 'a'));
  const call = (second: object) => () =>
    native.publishFiles([good, { ...good, ...second } as PublishFile], false);
  t.throws(call({ length: 65538 }), {
    code: 'ERR_OUT_OF_RANGE',
    message: /inside the file's length, received 65540/,
  });
  t.throws(call({ pieces: 'x' }), { code: 'ERR_INVALID_ARG_TYPE', message: /pieces must be an array/ });
  t.throws(call({ path: '' }), { code: 'ERR_INVALID_ARG_TYPE' });
  t.throws(call({ mode: 0o10000 }), { code: 'ERR_OUT_OF_RANGE' });
  t.throws(call({ replace: 1 }), { code: 'ERR_INVALID_ARG_TYPE', message: /replace/ });
  t.same(fs.readdirSync(dir), []);
});

t.test('exactly one fdatasync for each file that asks, one syncfs for a group', async (t) => {
  const dir = t.testdir();
  const trace = (sync: boolean, group: boolean, name: string): string[] => {
    const script = `
      const native = require(${JSON.stringify(join(root(), 'build/Release/basecow.node'))});
      const data = Buffer.alloc(100, 1);
      const files = ['a', 'b', 'c'].map((end) => ({ path: ${JSON.stringify(join(dir, name))} + end, mode: 420,
        length: 70000, pieces: [{ offset: 0, data }], replace: false, sync: ${sync} }));
      native.publishFiles(files, ${group}).then((all) => { if (all.some((one) => one.error)) process.exit(1); });`;
    const log = join(dir, `${name}.log`);
    run('strace', [
      '-f',
      '-qq',
      '-e',
      'trace=fdatasync,fsync,syncfs,sync,linkat',
      '-o',
      log,
      process.execPath,
      '-e',
      script,
    ]);
    return fs
      .readFileSync(log, 'utf8')
      .split('\n')
      .flatMap((line) => /^\d+ +(\w+)\(/.exec(line)?.[1] ?? []);
  };
  t.same(trace(true, false, 'single'), ['fdatasync', 'linkat', 'fdatasync', 'linkat', 'fdatasync', 'linkat']);
  t.same(trace(false, true, 'group'), ['syncfs', 'linkat', 'linkat', 'linkat']);
  t.same(trace(false, false, 'none'), ['linkat', 'linkat', 'linkat']);
});

t.test('where the space ends', { skip: !canMount() && 'may not mount' }, async (t) => {
  const small = mountFresh(t, 'tmpfs', 64 * 1024);
  const big = overlayLike(join(small, 'big'), {
    length: 2 ** 20,
    pieces: [{ offset: 0, data: new Random(1).bytes(2 ** 20) }],
  });
  const outcomes = await native.publishFiles([big, { ...big, path: join(small, 'big2'), sync: true }], false);
  t.same(
    outcomes.map((outcome) => outcome.error?.code),
    ['ENOSPC', 'ENOSPC'],
  );
  t.match(outcomes[0].error?.message, `'${join(small, 'big')}'`);
  t.same(fs.readdirSync(small), []);
});

t.test('killed at any instant: whole files under final names, nothing else', async (t) => {
  const dir = t.testdir();
  const script = `
    const native = require(${JSON.stringify(join(root(), 'build/Release/basecow.node'))});
    const pieces = [{ offset: 0, data: Buffer.alloc(512, 0xab) }, { offset: 512, data: Buffer.from('name of the base') },
      { offset: 65536, data: Buffer.from([1, 2, 3, 4]) }];
    (async () => {
      for (let n = 0; ; n++) {
        await native.publishFiles(Array.from({ length: 50 }, (_, i) => ({ path: process.argv[1] + '/' + n + '-' + i,
          mode: 420, length: ${content.length}, pieces, replace: false, sync: false })), n % 2 === 1);
        if (n === 0) console.log('going');
      }
    })();`;
  const random = new Random(70);
  let files = 0;
  for (let round = 0; round < 10; round++) {
    const folder = join(dir, `round${round}`);
    fs.mkdirSync(folder);
    const child = spawn(process.execPath, ['-e', script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await new Promise((resolve) => setTimeout(resolve, random.integer(0, 40)));
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    for (const name of fs.readdirSync(folder)) {
      files++;
      if (!/^\d+-\d+$/.test(name)) t.fail(`left over: ${name}`);
      if (!fs.readFileSync(join(folder, name)).equals(content)) t.fail(`${name} is not whole`);
    }
    fs.rmSync(folder, { recursive: true });
  }
  t.ok(files >= 500, `${files} files looked at`);
});

t.test('linkFd names a nameless file once', async (t) => {
  const dir = t.testdir({ taken: 'old' });
  const fd = fs.openSync(dir, fs.constants.O_RDWR | 0o20200000 /* O_TMPFILE */, 0o600);
  t.teardown(() => fs.closeSync(fd));
  fs.writeSync(fd, 'bytes');
  t.throws(() => native.linkFd(fd, join(dir, 'taken')), {
    code: 'EEXIST',
    syscall: 'link',
    path: join(dir, 'taken'),
  });
  t.equal(fs.readFileSync(join(dir, 'taken'), 'utf8'), 'old');
  native.linkFd(fd, join(dir, 'named'));
  t.equal(fs.readFileSync(join(dir, 'named'), 'utf8'), 'bytes');
  t.throws(() => native.linkFd(fd, join(dir, 'no', 'where')), { code: 'ENOENT' });
});

t.test('syncfs', async (t) => {
  const path = join(t.testdir({ a: '' }), 'a');
  await native.syncfs(openFile(t, path), path);
  await t.rejects(native.syncfs(9999, 'gone'), { code: 'EBADF', syscall: 'syncfs', path: 'gone' });
});

/** The package's root, above dist/. */
function root(): string {
  return dirname(dirname(fileURLToPath(import.meta.resolve('#src/native.js'))));
}
