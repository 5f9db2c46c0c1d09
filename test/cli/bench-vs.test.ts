// bench-vs: a whole small run, wrong words, rivals that are none, an interruption.
import * as fs from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { writeInput } from '#src/bench/versusInput.js';
import { start } from '../support/basecow.js';
import { md5sum, run, tryRun } from '../support/tools.js';
import { runHere } from '../support/twins.js';

const MiB = 2 ** 20;

t.test('a small run measures every row and leaves nothing', async (t) => {
  const dir = t.testdir();
  const words = ['bench-vs', '--dir', dir, '--size', '4M', '--rounds', '1', '--output=json'];
  const { status, stdout, stderr } = await start(...words).ended;
  t.equal(status, 0, stderr);
  const report = JSON.parse(stdout);
  t.match(report, {
    size: 4 * MiB,
    rival: run('qemu-img', ['--version']).split('\n')[0],
    machine: { cores: Number, node: process.version },
    filesystem: { type: String },
  });
  const ids = report.rows.map(({ id }: { id: string }) => id.split('/')[0]);
  const conversions = [
    'raw-qcow2',
    'raw-raw',
    'qcow2-raw',
    'write-zlib',
    'write-zstd',
    'read-zlib',
    'read-zstd',
  ];
  t.strictSame(ids, ['start', 'overlay-library', 'info-library', ...conversions, 'md5']);
  for (const row of report.rows) {
    t.match(
      row,
      { rounds: 1, ours: { wall: { median: Number } }, theirs: { wall: { median: Number } } },
      row.name,
    );
    t.equal(row.ratio.median, row.theirs.wall.median / row.ours.wall.median, row.name);
    t.match(stderr, `\n${row.name}: `, 'each row is told when it is done');
  }
  t.strictSame(fs.readdirSync(dir), []);
});

t.test('rivals that are none are refused, and nothing is made', async (t) => {
  const dir = t.testdir();
  const cases: [rival: string, message: string][] = [
    [
      '/no/such/qemu-img',
      "There is no rival: '/no/such/qemu-img' can't be run (--rival PATH names a qemu-img)",
    ],
    [dir, `There is no rival: '${dir}' can't be run (--rival PATH names a qemu-img)`],
    ['false', "'false' is no qemu-img: false --version exited 1"],
    ['md5sum', `'md5sum' is no qemu-img: it calls itself '${run('md5sum', ['--version']).split('\n')[0]}'`],
  ];
  for (const [rival, message] of cases) {
    const ran = await runHere(['bench-vs', '-q', '--dir', dir, '--rival', rival], 'basecow');
    t.strictSame(ran, { status: 1, stdout: '', stderr: `basecow: ${message}\n` }, rival);
  }
  t.strictSame(fs.readdirSync(dir), []);
});

t.test('wrong words', async (t) => {
  const dir = t.testdir({ file: '' });
  const hint = "Try 'basecow --help' for more information\n";
  const cases: [words: string[], stderr: string][] = [
    [['--dir', `${dir}/none`], `basecow: '${dir}/none' is no folder\n`],
    [['--dir', `${dir}/file`], `basecow: '${dir}/file' is no folder\n`],
    [['--size', '1M'], "basecow: Size '1M' is not a multiple of 1M between 4M and 1T\n"],
    [['--size', '2T'], "basecow: Size '2T' is not a multiple of 1M between 4M and 1T\n"],
    [['--size', '5000k'], "basecow: Size '5000k' is not a multiple of 1M between 4M and 1T\n"],
    [['--rounds', '0'], "basecow: Rounds '0' is not a number between 1 and 1000\n"],
    [['--rounds', 'many'], "basecow: Rounds 'many' is not a number between 1 and 1000\n"],
    [['--output', 'xml'], 'basecow: --output must be used with human or json as argument.\n'],
    [['--rival', ''], 'basecow: --rival needs a program\n'],
    [['x'], 'basecow: Unexpected argument: x\n'],
    [['--rival'], `basecow: missing argument for option '--rival'\n${hint}`],
    [['--fast'], `basecow: unrecognized option '--fast'\n${hint}`],
  ];
  for (const [words, stderr] of cases) {
    const ran = await runHere(['bench-vs', '--dir', dir, ...words], 'basecow');
    t.strictSame(ran, { status: 1, stdout: '', stderr }, words.join(' '));
  }
  t.match((await runHere(['bench-vs', '--size', 'big'], 'basecow')).stderr, 'Invalid size specified');
  t.strictSame(fs.readdirSync(dir), ['file']);
});

t.test('Ctrl-C ends it, what it started too, and nothing is left', async (t) => {
  const dir = t.testdir();
  const { child, ended } = start('bench-vs', '--dir', dir, '--size', '8M', '--rounds', '1000');
  // Rows are being measured when the last of the sources is there.
  const underWay = (): boolean =>
    fs.readdirSync(dir, { recursive: true }).some((name) => String(name).endsWith('/disk.zstd.qcow2'));
  while (!underWay()) await setTimeout(20);
  child.kill('SIGINT');
  const { status, stdout } = await ended;
  t.equal(status, 130);
  t.equal(stdout, '');
  t.strictSame(fs.readdirSync(dir), []);
  t.equal(tryRun('pgrep', ['-f', dir]).status, 1, 'no program of it is running');
});

t.test('the made-up disk is the same for a seed, and a mixture', async (t) => {
  const dir = t.testdir();
  const size = 32 * MiB;
  await writeInput(`${dir}/a`, size, 1);
  await writeInput(`${dir}/b`, size, 1);
  await writeInput(`${dir}/c`, size, 2);
  t.equal(md5sum(`${dir}/a`), md5sum(`${dir}/b`));
  t.not(md5sum(`${dir}/a`), md5sum(`${dir}/c`));
  const { size: length, blocks } = fs.statSync(`${dir}/a`);
  t.equal(length, size);
  t.ok(blocks * 512 < size, 'it has holes');
  run('gzip', ['-1', '-k', `${dir}/a`]);
  const packed = fs.statSync(`${dir}/a.gz`).size;
  t.ok(packed > 0.15 * size && packed < 0.7 * size, `gzip makes ${packed} of ${size} bytes`);
  await t.rejects(writeInput(`${dir}/a`, size, 1), { code: 'EEXIST' });
});
