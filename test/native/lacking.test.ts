// Where the system lacks the cheap ways, the dear ones give the same result.
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { type Lacking, runLacking } from '../support/lackingSystem.js';
import { allocated } from '../support/openFile.js';
import { Random } from '../support/random.js';
import { md5sum } from '../support/tools.js';

const addon = join(
  dirname(dirname(fileURLToPath(import.meta.resolve('#src/native.js')))),
  'build/Release/basecow.node',
);
const prelude = (dir: string) => `
  const native = require(${JSON.stringify(addon)});
  const fs = require('node:fs');
  const dir = ${JSON.stringify(dir)};`;

t.test('publishing without O_TMPFILE and without RENAME_NOREPLACE', async (t) => {
  for (const lacking of [['tmpfile'], ['tmpfile', 'noreplace']] as Lacking[][]) {
    for (const group of [false, true]) {
      const scratch = t.testdir({ files: { taken: 'old', replaced: 'old', folder: {} } });
      const dir = join(scratch, 'files');
      const out = runLacking(
        scratch,
        lacking,
        `${prelude(dir)}
        const file = (name, replace) => ({ path: dir + '/' + name, mode: 0o600, length: 5000,
          pieces: [{ offset: 0, data: Buffer.from('new') }], replace, sync: true });
        native.publishFiles([file('new', false), file('taken', false), file('replaced', true), file('folder', true),
          file('no/where', false), file('n'.repeat(255), false)], ${group})
          .then((all) => console.log(JSON.stringify(all.map((one) => one.error?.code ?? 'ok'))));`,
      );
      const what = `${lacking} group ${group}`;
      t.same(JSON.parse(out), ['ok', 'EEXIST', 'ok', 'EISDIR', 'ENOENT', 'ok'], what);
      t.same(
        fs.readdirSync(dir).sort(),
        ['folder', 'n'.repeat(255), 'new', 'replaced', 'taken'].sort(),
        what,
      );
      t.equal(fs.readFileSync(join(dir, 'taken'), 'utf8'), 'old', what);
      t.equal(fs.readFileSync(join(dir, 'replaced'), 'utf8'), `new${'\0'.repeat(4997)}`, what);
      t.equal(fs.statSync(join(dir, 'new')).nlink, 1, what);
    }
  }
});

t.test('copying', async (t) => {
  // On ext4 copy_file_range is not tried.
  const scratch = fs.mkdtempSync('/dev/shm/basecow-');
  t.teardown(() => fs.rmSync(scratch, { recursive: true }));
  const source = join(scratch, 'source');
  const fd = fs.openSync(source, 'w');
  const random = new Random(90);
  fs.ftruncateSync(fd, 6_000_123);
  for (let at = 0; at < 6_000_000; at += 1_500_000) fs.writeSync(fd, random.bytes(300_000), 0, 300_000, at);
  fs.closeSync(fd);
  const cases: [Lacking[], number, boolean][] = [
    [['copyrange'], 0, true],
    [['copyrange'], 0, false],
    [['seekdata'], 4096, true],
    [['seekdata'], 4096, false],
    [['seekdata', 'punch'], 4096, false],
    [['punch'], 0, false],
    [['punch', 'zerorange'], 0, false],
    [['punch', 'zerorange', 'copyrange'], 65536, false],
  ];
  for (const [lacking, detectZeros, targetIsZero] of cases) {
    const target = join(scratch, 'target');
    fs.writeFileSync(target, targetIsZero ? '' : Buffer.alloc(7_000_000, 1));
    const out = runLacking(
      scratch,
      lacking,
      `${prelude(scratch)}
      native.copyFile(fs.openSync(dir + '/source', 'r'), 'source', fs.openSync(dir + '/target', 'r+'), 'target',
        { reflink: 'never', detectZeros: ${detectZeros}, threads: 2, control: new SharedArrayBuffer(64),
          targetIsZero: ${targetIsZero} }).then((result) => console.log(result.method));`,
    );
    const what = `${lacking} detectZeros ${detectZeros} targetIsZero ${targetIsZero}`;
    t.equal(md5sum(target), md5sum(source), what);
    t.equal(
      out.trim(),
      lacking.includes('copyrange') || detectZeros > 0 ? 'read-write' : 'copy_file_range',
      what,
    );
    if (targetIsZero) t.ok(allocated(target) <= allocated(source) + 16384, `${what}: still sparse`);
  }
});

t.test('extending and data runs', async (t) => {
  const scratch = t.testdir({ a: 'head' });
  const out = runLacking(
    scratch,
    ['falloc', 'seekdata'],
    `${prelude(scratch)}
    const fd = fs.openSync(dir + '/a', 'r+');
    console.log(JSON.stringify([...native.dataRuns(fd, 1, 100, 5).runs]));
    native.extend(fd, 'a', 4, 100000, 'falloc', new SharedArrayBuffer(64))
      .catch((error) => console.log(error.code, error.message, fs.fstatSync(fd).size));`,
  );
  t.equal(out, "[1,4]\nEOPNOTSUPP EOPNOTSUPP: Operation not supported, fallocate 'a' 4\n");
});
