// The program as it is shipped, in one file and with V8's code: says and does what its modules do, and needs no code.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { BASECOW } from '../support/basecow.js';
import { tryRun } from '../support/tools.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const dir = t.testdir();

// Bundled from what is compiled now, in a place of its own: the package's could be older.
const home = join(dir, 'package');
mkdirSync(join(home, 'scripts'), { recursive: true });
for (const name of ['build', 'node_modules', 'package.json']) symlinkSync(join(root, name), join(home, name));
for (const name of ['bundle.mjs', 'code-cache.cjs']) {
  cpSync(join(root, 'scripts', name), join(home, 'scripts', name));
}
cpSync(join(root, 'dist'), join(home, 'dist'), {
  recursive: true,
  filter: (source) => !/\/(program|basecow\.cjs)$/.test(source),
});
const bundled = tryRun(process.execPath, [join(home, 'scripts', 'bundle.mjs')]);
t.match(bundled, { status: 0, stderr: '' });

const STARTER = join(home, 'dist', 'basecow.cjs');
const program = join(home, 'dist', 'program');
const work = join(dir, 'work');
mkdirSync(work);
process.chdir(work);

function both(t: Test, words: string[], match: object) {
  const ours = tryRun(process.execPath, [STARTER, ...words]);
  t.match(ours, match, words.join(' '));
  t.strictSame(
    ours,
    tryRun(process.execPath, [BASECOW, ...words]),
    `${words.join(' ')}: as from the modules`,
  );
}

t.test('every verb speaks as its modules do', async (t) => {
  const help = tryRun(process.execPath, [BASECOW, '--help']).stdout;
  const verbs = [...help.matchAll(/^ {2}(\w+) {2,}[A-Z]/gm)].map(([, verb]) => verb);
  t.ok(verbs.length >= 12, `${verbs}`);
  for (const verb of verbs) {
    both(t, [verb, '--no-such-option'], { stdout: '', stderr: /^basecow: / });
  }
  both(t, ['help', 'convert'], { status: 0, stderr: '' });
  both(t, ['--version'], { status: 0, stderr: '', stdout: /^basecow version \d+\.\d+\.\d+\nEngine:\n/ });
  both(t, [], { status: 1, stderr: /^basecow: Not enough arguments\n/ });
  both(t, ['info', 'nope'], {
    status: 1,
    stdout: '',
    stderr: "basecow: Could not open 'nope': Could not open 'nope': No such file or directory\n",
  });
});

t.test('verbs at work', async (t) => {
  both(t, ['create', '-f', 'raw', 'a.raw', '1M'], { status: 0, stderr: '' });
  both(t, ['create', '-f', 'qcow2', '-b', 'a.raw', '-F', 'raw', 'a.qcow2'], { status: 0, stderr: '' });
  both(t, ['info', 'a.qcow2'], { status: 0, stdout: /^image: a\.qcow2\n/ });
  both(t, ['convert', '-O', 'qcow2', '-c', 'a.qcow2', 'b.qcow2'], { status: 0, stderr: '' });
  both(t, ['hash', 'a.raw'], { status: 0, stdout: /^b6d81b360a5672d80c27430f39153e2c {2}a\.raw\n$/ });
});

t.test('a link gives the program its name', async (t) => {
  symlinkSync(STARTER, 'qemu-img');
  const ran = tryRun(process.execPath, ['./qemu-img', 'info', 'nope']);
  t.match(ran, { status: 1, stdout: '', stderr: /^qemu-img: Could not open 'nope': / });
  t.match(tryRun('./qemu-img', ['-V']), { status: 0, stdout: /^qemu-img version 7\.2\.22 \(basecow / });
});

t.test("V8's code: taken when it fits, done without when it is damaged or missing", async (t) => {
  const [name] = readdirSync(program).filter((entry) => entry.endsWith('.code'));
  t.match(name, process.version);
  const code = join(program, name);
  const probe = join(home, 'probe.cjs');
  writeFileSync(
    probe,
    `process.argv.splice(1, Infinity, ${JSON.stringify(STARTER)}, 'info', 'a.qcow2');
    process.on('exit', () => console.error(require(${JSON.stringify(STARTER)}).script.cachedDataRejected));
    require(${JSON.stringify(STARTER)});`,
  );
  t.match(tryRun(process.execPath, [probe]), { status: 0, stderr: 'false\n' });
  const info = { status: 0, stderr: '', stdout: /^image: a\.qcow2\n/ };
  const whole = readFileSync(code);
  for (const [what, bytes] of [
    ['empty', Buffer.alloc(0)],
    ['cut', whole.subarray(0, whole.length / 2)],
    ['of another V8', Buffer.concat([Buffer.alloc(16, 7), whole.subarray(16)])],
  ] as const) {
    writeFileSync(code, bytes);
    t.match(tryRun(process.execPath, [STARTER, 'info', 'a.qcow2']), info, what);
  }
  rmSync(code);
  t.match(tryRun(process.execPath, [STARTER, 'info', 'a.qcow2']), info, 'missing');
  t.match(tryRun(process.execPath, [join(home, 'scripts', 'code-cache.cjs')]), { status: 0, stderr: '' });
  t.strictSame(
    readdirSync(program).filter((entry) => entry.endsWith('.code')),
    [name],
    'made again, and nothing else',
  );
});

t.test('words to a reader that is gone or slow', async (t) => {
  const run = (command: string) => tryRun('bash', ['-c', command, process.execPath, STARTER]);
  t.match(run('set -o pipefail; "$0" "$1" --help | true'), { status: 0, stderr: '' });
  t.match(run('"$0" "$1" --version > /dev/full'), {
    status: 1,
    stderr: 'basecow: write error: No space left on device\n',
  });
  // A pipe that does not block, and a reader that starts late: more words than the pipe holds arrive whole.
  const late = `import fcntl, os, subprocess, sys, time
r, w = os.pipe()
fcntl.fcntl(w, fcntl.F_SETFL, os.O_NONBLOCK)
fcntl.fcntl(w, 1031, 4096)
child = subprocess.Popen([sys.argv[1], sys.argv[2], 'help', 'convert'], stdout=w)
os.close(w)
time.sleep(0.5)
with os.fdopen(r) as words: sys.stdout.write(words.read())
sys.exit(child.wait())`;
  const slow = tryRun('python3', ['-c', late, process.execPath, STARTER]);
  t.match(slow, { status: 0, stderr: '' });
  t.equal(slow.stdout, tryRun(process.execPath, [STARTER, 'help', 'convert']).stdout);
});

t.test('what a package holds', async (t) => {
  const packed = tryRun('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root });
  t.equal(packed.status, 0);
  const files = (JSON.parse(packed.stdout)[0].files as { path: string }[]).map(({ path }) => path);
  t.ok(files.includes('scripts/code-cache.cjs'));
  t.notOk(files.some((path) => path.endsWith('.code')));
});
