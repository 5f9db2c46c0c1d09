// The program as a process: its name, exit codes of signals, closed pipes, progress.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { BASECOW, start } from '../support/basecow.js';
import { Random } from '../support/random.js';
import { qemuImg, run, tryRun } from '../support/tools.js';
import { runHere } from '../support/twins.js';

const dir = t.testdir();
process.chdir(dir);
qemuImg('create', '-q', '-f', 'qcow2', 'a.qcow2', '10M');
/** Data that takes a while to deflate. */
const noise = new Random(9).bytes(2 ** 20);
writeFileSync('noise.raw', Buffer.concat(Array.from({ length: 192 }, () => noise)));

t.test('a link gives the program its name', async (t) => {
  for (const name of ['qemu-img', 'cow']) {
    symlinkSync(BASECOW, name);
    const ran = tryRun(process.execPath, [`./${name}`, 'info', 'nope']);
    const stderr = `${name}: Could not open 'nope': Could not open 'nope': No such file or directory\n`;
    t.match(ran, { status: 1, stdout: '', stderr });
    const hint = tryRun(process.execPath, [`./${name}`]);
    t.equal(hint.stderr, `${name}: Not enough arguments\nTry '${name} --help' for more information\n`);
  }
  const plain = tryRun(process.execPath, [BASECOW, 'info', 'nope']);
  t.match(plain.stderr, /^basecow: /);
});

t.test('--version names the codecs and kernels in use', async (t) => {
  const { status, stdout } = tryRun(process.execPath, [BASECOW, '--version']);
  t.equal(status, 0);
  t.match(stdout, /^basecow version \d+\.\d+\.\d+\nEngine:\n/);
  for (const part of ['inflate', 'deflate', 'zstd', 'sha', 'md5 kernel', 'zero scan kernel']) {
    t.match(stdout, new RegExp(`^  ${part}: \\S`, 'm'));
  }
  const called = await runHere(['-V'], 'qemu-img');
  t.match(called.stdout, /^qemu-img version 7\.2\.22 \(basecow \d/, 'what programs that parse it look for');
});

t.test('help of the program and of every verb', async (t) => {
  const whole = await runHere(['--help'], 'basecow');
  t.match(whole, { status: 0, stderr: '' });
  const verbs = [...whole.stdout.matchAll(/^ {2}(\w+) {2,}[A-Z]/gm)].map(([, verb]) => verb);
  t.ok(verbs.length >= 12, `${verbs}`);
  for (const verb of verbs) {
    const own = await runHere(['help', verb], 'basecow');
    t.match(own, { status: 0, stderr: '', stdout: new RegExp(`^usage: basecow ${verb} `) });
  }
  for (const verb of ['create', 'convert', 'info', 'map', 'check', 'compare', 'measure', 'resize', 'hash']) {
    const own = await runHere(['help', verb], 'basecow');
    for (const flag of ['-h', '--help']) {
      t.strictSame(await runHere([verb, flag], 'basecow'), own, `${verb} ${flag}`);
    }
  }
});

t.test('what is not there is refused by name', async (t) => {
  const cases: [words: string[], stderr: string][] = [
    [['bench', 'x'], "qemu-img: 'bench' is not supported yet\n"],
    [
      ['rebase', '--compress', '-b', '', 'a.qcow2'],
      'qemu-img: rebase --compress is not supported: clusters that are copied are stored plain\n',
    ],
    [['convert', '-O', 'vmdk', 'a.qcow2', 'out'], "qemu-img: Unknown file format 'vmdk'\n"],
    [['info', '-f', 'vmdk', 'a.qcow2'], "qemu-img: Could not open 'a.qcow2': Unknown driver 'vmdk'\n"],
    [['info', 'nbd:localhost:1'], "qemu-img: Could not open 'nbd:localhost:1': Unknown protocol 'nbd'\n"],
  ];
  for (const [words, stderr] of cases) {
    t.strictSame(await runHere(words), { status: 1, stdout: '', stderr }, words.join(' '));
  }
  t.notOk(existsSync('out'), 'nothing is made');
});

t.test('names that are no UTF-8 are refused: Node would hand over another name', async (t) => {
  const broken = ["$'\\xff\\xfe.raw'", "$'a\\xc3'"];
  for (const name of broken) {
    const ran = tryRun('bash', ['-c', `"$0" "$1" create -q ${name} 1M`, process.execPath, BASECOW]);
    t.match(ran, { status: 1, stdout: '' });
    t.match(ran.stderr, /^basecow: '.*\ufffd.*' is not UTF-8: names in other encodings are not supported\n$/);
  }
  t.notOk(readdirSync('.').some((name) => name.includes('\ufffd')));
  const told = tryRun(process.execPath, [BASECOW, 'create', '-q', 'real\ufffd.raw', '1M']);
  t.match(told, { status: 0, stderr: '' }, 'a name that has U+FFFD itself');
  t.ok(existsSync('real\ufffd.raw'));
});

t.test('trace events: there are none', async (t) => {
  const plain = await runHere(['info', 'a.qcow2']);
  const traced = await runHere(['-T', 'qcow2_*', 'info', 'a.qcow2']);
  t.equal(traced.stdout, plain.stdout);
  t.match(traced, {
    status: 0,
    stderr: "qemu-img: warning: there are no trace events: 'qcow2_*' is ignored\n",
  });
});

t.test('--compression-level', async (t) => {
  const compressed = (...words: string[]) =>
    runHere(['convert', '-O', 'qcow2', ...words, 'a.qcow2', 'level']);
  const refused: [words: string[], stderr: RegExp][] = [
    [['--compression-level', '3'], /^qemu-img: --compression-level requires use of -c flag\n$/],
    [['-c', '--compression-level', 'best'], /Invalid compression level 'best'/],
    [['-c', '--compression-level', '10'], /Compression level 10 is not one of zlib's: 1 to 9/],
    [['-c', '--compression-level', '20', '-o', 'compression_type=zstd'], /20 is not one of zstd's: 1 to 19/],
  ];
  for (const [words, stderr] of refused) t.match(await compressed(...words), { status: 1, stderr });
  t.notOk(existsSync('level'));
  for (const level of ['1', '9']) {
    t.match(await compressed('-c', '--compression-level', level), { status: 0, stderr: '' });
    t.match(run('qemu-img', ['compare', 'a.qcow2', 'level']), 'Images are identical.');
  }
});

t.test('-r: data goes at its rate', async (t) => {
  const begun = performance.now();
  const slow = ['convert', '-r', '8M', '-f', 'raw', '-O', 'qcow2', 'slow.raw', 'slow.qcow2'];
  writeFileSync('slow.raw', Buffer.concat(Array.from({ length: 5 }, () => noise)));
  t.match(await runHere(slow), { status: 0, stderr: '' });
  // The last portion need not be waited for.
  t.ok(performance.now() - begun >= (5 / 8 - 2 / 8) * 1000);
  t.match(run('qemu-img', ['compare', 'slow.raw', 'slow.qcow2']), 'Images are identical.');
  t.match(
    await runHere(['convert', '-r', '0', '-f', 'raw', 'slow.raw', 'fast.raw']),
    { status: 0 },
    'no limit',
  );
  t.match(await runHere(['convert', '-r', 'x', 'slow.raw', 'no']), {
    status: 1,
    stderr: /Invalid rate limit/,
  });
});

t.test('--bitmaps: copied where there are some', async (t) => {
  qemuImg('create', '-q', '-f', 'qcow2', 'marked.qcow2', '1M');
  run('qemu-img', ['bitmap', '--add', 'marked.qcow2', 'daily']);
  const copied = await runHere(['convert', '--bitmaps', '-O', 'qcow2', 'marked.qcow2', 'copy.qcow2']);
  t.match(copied, { status: 0, stdout: '', stderr: '' });
  t.match(qemuImg('info', 'copy.qcow2'), /name: daily/);
  const none = await runHere(['convert', '--bitmaps', '-O', 'qcow2', 'a.qcow2', 'copy.qcow2']);
  t.match(none, { status: 0, stdout: '', stderr: '' });
  t.notMatch(qemuImg('info', 'copy.qcow2'), /daily/);
});

t.test('long names of later versions', async (t) => {
  const words = [
    'convert',
    '--source-format',
    'qcow2',
    '--target-format=qcow2',
    '--target-cache',
    'writeback',
    '--quiet',
    '--parallel',
    '2',
    'a.qcow2',
    'long.qcow2',
  ];
  t.match(await runHere(words), { status: 0, stdout: '', stderr: '' });
  t.equal(
    run('qemu-img', ['compare', '-f', 'qcow2', '-F', 'qcow2', 'a.qcow2', 'long.qcow2']),
    'Images are identical.\n',
  );
  t.match(
    await runHere(['compare', '--a-format', 'qcow2', '--b-format=qcow2', '--strict', 'a.qcow2', 'a.qcow2']),
    {
      status: 0,
      stdout: 'Images are identical.\n',
    },
  );
  t.match(await runHere(['create', '--format', 'qcow2', '--quiet', 'made.qcow2', '1M']), {
    status: 0,
    stdout: '',
  });
});

/** Compresses noise until a line of progress shows that it is under way. */
async function underWay(...words: string[]) {
  const running = start('convert', '--progress', 'json', '-c', '-f', 'raw', '-O', 'qcow2', ...words);
  let seen = '';
  await new Promise<void>((resolve) => {
    running.child.stderr?.on('data', (text: string) => {
      seen += text;
      if (/"done":[1-9]/.test(seen)) resolve();
    });
    running.child.on('close', () => resolve());
  });
  return running;
}

for (const [name, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  t.test(`${name} leaves nothing and exits with ${status}`, async (t) => {
    writeFileSync('kept.qcow2', 'before');
    const before = readdirSync('.').sort();
    const { child, ended } = await underWay('-m', '1', 'noise.raw', 'kept.qcow2');
    child.kill(name);
    const result = await ended;
    t.equal(result.status, status);
    t.strictSame(readdirSync('.').sort(), before, 'no file more or less');
    t.equal(run('cat', ['kept.qcow2']), 'before', 'what was there is still there');
    t.equal(result.stdout, '');
  });
}

t.test('SIGUSR1 prints one line of progress on stderr', async (t) => {
  const { child, ended } = await underWay('-m', '1', 'noise.raw', 'usr1.qcow2');
  child.kill('SIGUSR1');
  const { status, stderr } = await ended;
  t.equal(status, 0);
  t.match(stderr, /^ {4}\(\d{1,3}\.\d\d\/100%\)$/m);
  t.notMatch(stderr, /[Dd]ebugger/);
});

t.test('progress for programs: one object a line', async (t) => {
  const { ended } = start('hash', '--progress', 'json', 'noise.raw');
  const { status, stdout, stderr } = await ended;
  t.equal(status, 0);
  t.equal(stdout, run('md5sum', ['noise.raw']));
  const lines = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  for (const line of lines) t.strictSame(Object.keys(line), ['verb', 'done', 'total', 'elapsed']);
  const size = noise.length * 192;
  t.match(lines[lines.length - 1], { verb: 'hash', done: size, total: size });
  for (let i = 1; i < lines.length; i++) t.ok(lines[i].done >= lines[i - 1].done, 'never backwards');
});

t.test('-p is qemu-img’s, and -q silences it', async (t) => {
  const first = '    (0.00/100%)\r';
  const last = '    (100.00/100%)\r';
  const convert = await runHere(['convert', '-p', '-O', 'qcow2', 'noise.raw', 'p.qcow2']);
  t.match(convert, { status: 0, stderr: '' });
  t.ok(convert.stdout.startsWith(first) && convert.stdout.endsWith(`${last}\n`));
  t.match(convert.stdout, /^( {4}\(\d{1,3}\.\d\d\/100%\)\r)+\n$/);
  const compare = await runHere(['compare', '-p', 'a.qcow2', 'a.qcow2']);
  t.match(compare.stdout, /^( {4}\(\d{1,3}\.\d\d\/100%\)\r)+Images are identical\.\n\n$/);
  t.strictSame(await runHere(['compare', '-p', '-q', 'a.qcow2', 'a.qcow2']), {
    status: 0,
    stdout: '',
    stderr: '',
  });
  t.strictSame(await runHere(['convert', '-p', '-q', 'a.qcow2', 'q.raw']), {
    status: 0,
    stdout: '',
    stderr: '',
  });
});

t.test('a bar for a terminal, nothing for a pipe', (t) => {
  // script(1) gives the program a terminal.
  const words = [
    process.execPath,
    BASECOW,
    'convert',
    '-c',
    '-m',
    '1',
    '-O',
    'qcow2',
    'noise.raw',
    'bar.qcow2',
  ];
  const onTerminal = run('script', ['-qec', words.join(' '), '/dev/null'], { input: '' });
  t.match(onTerminal, /convert \[[=-]+\] 100% \| 192 MiB of 192 MiB/);
  t.strictSame(tryRun(words[0], words.slice(1)), { status: 0, stdout: '', stderr: '' });
  t.end();
});

t.test('a reader that goes away is no error', async (t) => {
  const child = spawn(process.execPath, [BASECOW, 'info', 'a.qcow2'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  t.equal(stderr, '');
  t.equal(status, 0);
});

t.test('no stack unless it is asked for', (t) => {
  const quiet = tryRun(process.execPath, [BASECOW, 'info', 'nope']);
  t.equal(quiet.stderr.split('\n').length, 2);
  const loud = tryRun('env', ['BASECOW_DEBUG=1', process.execPath, BASECOW, 'info', 'nope']);
  t.match(loud.stderr, /\n {4}at .*\ncaused by DiskImageError: /s);
  t.end();
});
