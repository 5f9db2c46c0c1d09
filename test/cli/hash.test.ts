// `hash` beside md5sum and its sisters: plain lines, escaping, and the checking of lists.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeCliImages } from '../support/cliImages.js';
import { Random } from '../support/random.js';
import { qemuImg, run, tryRun } from '../support/tools.js';
import { runHere } from '../support/twins.js';

const dir = t.testdir();
process.chdir(dir);
writeFileSync('f1', 'a\n');
writeFileSync('f2', 'b\n');
writeFileSync('new\nline', 'x');
writeFileSync('back\\slash', 'x');
writeFileSync('return\r', 'x');
writeFileSync('odd', new Random(3).bytes(100_001));
writeFileSync('void', '');
mkdirSync('dir');

const under = (program: string, text: string) => text.replaceAll(/^md5sum:/gm, `${program}:`);

t.test('plain lines are md5sum lines', async (t) => {
  const files = ['f1', 'f2', 'new\nline', 'back\\slash', 'return\r', 'odd', 'void', 'nope', 'dir'];
  const theirs = tryRun('md5sum', files);
  const ours = await runHere(['hash', ...files], 'basecow');
  t.equal(ours.stdout, theirs.stdout);
  t.equal(ours.stderr, under('basecow', theirs.stderr));
  t.equal(ours.status, theirs.status);
});

t.test('several algorithms, however they are named', async (t) => {
  const expected = ['md5sum', 'sha256sum', 'sha1sum', 'sha512sum']
    .map((program) => run(program, ['odd']))
    .join('');
  const ours = await runHere(['hash', '-a', 'md5,sha256', '-asha1', '--algorithm=sha512', 'odd']);
  t.match(ours, { status: 0, stderr: '', stdout: expected });
  const unknown = await runHere(['hash', '-a', 'crc32', 'odd']);
  t.match(unknown, {
    status: 1,
    stdout: '',
    stderr: /Unknown algorithm 'crc32' \(known: md5, sha1, sha224, sha256, sha384, sha512, .*blake2b512/,
  });
});

t.test('chunks', async (t) => {
  const size = 32768;
  const whole = run('md5sum', ['odd']);
  let expected = whole;
  for (let start = 0; start < 100_001; start += size) {
    const last = Math.min(start + size, 100_001) - 1;
    const piece = run('bash', ['-c', `tail -c +${start + 1} odd | head -c ${size} | md5sum`]).split(' ')[0];
    expected += `${piece}  odd offset ${start}-${last}\n`;
  }
  const both = await runHere(['hash', '--whole', '--chunk', '32k', 'odd']);
  t.match(both, { status: 0, stdout: expected, stderr: '' });
  const plain = await runHere(['hash', '--chunk', '32k', 'odd']);
  t.match(plain, { status: 0, stdout: expected.slice(whole.length), stderr: '' }, 'chunks alone');
  const json = await runHere(['hash', '--whole', '--chunk', '32k', '--output', 'json', 'odd', 'f1']);
  const [odd, f1] = JSON.parse(json.stdout);
  t.match(odd, { filename: 'odd', size: 100_001, guest: false, md5: whole.split(' ')[0] });
  t.strictSame(odd.chunks, {
    algorithm: 'md5',
    size,
    digests: expected
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.split(' ')[0]),
  });
  t.equal(f1.chunks.digests.length, 1);
  const small = await runHere(['hash', '--chunk', '100', 'odd']);
  t.match(small, { status: 1, stdout: '', stderr: /Invalid chunk size specified. Must be between 512 and/ });
});

t.test('the guest of an image', async (t) => {
  makeCliImages(dir);
  for (const file of ['a.qcow2', 'o.qcow2', 'comp.qcow2', 'r.raw']) {
    qemuImg('convert', '-O', 'raw', file, 'flat.raw');
    const expected = run('md5sum', ['flat.raw']).split(' ')[0];
    const probed = await runHere(['hash', '--guest', file]);
    t.match(probed, { status: 0, stdout: `${expected}  ${file}\n`, stderr: '' }, `${file}, probed`);
  }
  const wrong = await runHere(['hash', '--guest', '-f', 'qcow2', 'odd'], 'basecow');
  t.match(wrong, { status: 1, stdout: '', stderr: 'basecow: odd: Image is not in qcow2 format\n' });
  const useless = await runHere(['hash', '-f', 'qcow2', 'a.qcow2'], 'basecow');
  t.match(useless, { status: 1, stdout: '', stderr: /needs --guest/ });
});

t.test('-c verifies as md5sum -c does', async (t) => {
  const sums = (program: string, ...files: string[]) => run(program, files);
  const lists: Record<string, string> = {
    good: sums('md5sum', 'f1', 'f2', 'odd'),
    escaped: sums('md5sum', 'new\nline', 'back\\slash', 'return\r'),
    mixed: `${sums('md5sum', 'f1')}d41d8cd98f00b204e9800998ecf8427e  nope\n${sums('md5sum', 'f2')}bad\n`,
    wrong: `${'f'.repeat(32)}  f1\n${'0'.repeat(32)} *f2\nx\ny\n${'0'.repeat(32)}  n1\n${'0'.repeat(32)}  n2`,
    upper: sums('md5sum', 'f1').replace(/^\S+/, (digest) => digest.toUpperCase()),
    tagged: sums('md5sum', '--tag', 'f1', 'new\nline'),
    comments: `# by hand\n\n  ${sums('md5sum', 'f1')}`,
    reversed: sums('md5sum', 'f1', 'f2').replaceAll('  ', ' '),
    garbage: 'hello\n',
    nothing: '',
  };
  for (const [name, text] of Object.entries(lists)) writeFileSync(join(dir, `${name}.sums`), text);
  for (const name of [...Object.keys(lists), 'absent']) {
    for (const options of [[], ['--quiet'], ['--status'], ['--strict'], ['--ignore-missing'], ['-w']]) {
      const theirs = tryRun('md5sum', ['-c', ...options, `${name}.sums`]);
      const ours = await runHere(['hash', '-c', ...options, `${name}.sums`], 'basecow');
      const stderr = under('basecow', theirs.stderr).replaceAll(
        'formatted MD5 checksum',
        'formatted checksum',
      );
      t.strictSame(ours, { ...theirs, stderr }, `${name} ${options.join(' ')}`);
    }
  }
});

t.test('-c knows the algorithm by the digest', async (t) => {
  writeFileSync(
    'all.sums',
    ['md5sum', 'sha1sum', 'sha256sum', 'sha512sum'].map((program) => run(program, ['f1'])).join(''),
  );
  const all = await runHere(['hash', '-c', 'all.sums'], 'basecow');
  t.match(all, { status: 0, stdout: 'f1: OK\n'.repeat(4), stderr: '' });
  const one = await runHere(['hash', '-a', 'sha256', '-c', 'all.sums'], 'basecow');
  t.match(one, {
    status: 0,
    stdout: 'f1: OK\n',
    stderr: 'basecow: WARNING: 3 lines are improperly formatted\n',
  });
});
