// `hash -c` and --repair-list over the lists of md5deep, hashdeep, bmaptool and our own; their audits over ours.
import {
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeCliImages } from '../support/cliImages.js';
import { Random } from '../support/random.js';
import { qemuImg, run, tryRun } from '../support/tools.js';
import { runHere } from '../support/twins.js';

const dir = t.testdir();
process.chdir(dir);
const random = new Random(5);
const NAMES = ['odd', 'void', 'one', 'exact', 'a & <b>"\'q', 'back\\slash', 'comma,name'];
writeFileSync('odd', random.bytes(100_001));
writeFileSync('void', '');
writeFileSync('one', 'x');
writeFileSync('exact', random.bytes(65_536));
for (const name of NAMES.slice(4)) writeFileSync(name, random.bytes(random.integer(1, 70_000)));
copyFileSync('odd', 'odd.right');

const ours = (...words: string[]) => runHere(['hash', ...words], 'basecow');

function change(path: string, ...places: number[]): void {
  const fd = openSync(path, 'r+');
  const bytes = readFileSync(path);
  for (const at of places) writeSync(fd, Uint8Array.of(bytes[at] ^ 1), 0, 1, at);
  closeSync(fd);
}
const restore = () => copyFileSync('odd.right', 'odd');

interface List {
  list: () => string;
  /** Ranges of `odd` with bytes 40000, 40001 and 65535 changed. */
  ranges?: [number, number][];
  mismatches: number;
  options?: string[];
}

const theirs = (program: string, ...words: string[]) => run(program, [...words, ...NAMES]);
const printed = async (...words: string[]) => {
  const { status, stdout, stderr } = await ours(...words);
  if (status !== 0) throw new Error(stderr);
  return stdout;
};

/** The whole list is right; with two bytes changed, what differs is told to the range. */
async function verifies(t: Test, name: string, text: string, expected: Omit<List, 'list'>): Promise<void> {
  writeFileSync('list', text);
  const good = await ours('-c', ...(expected.options ?? []), 'list');
  t.match(good, { status: 0, stderr: '' }, name);
  t.strictSame(good.stdout.trim().split('\n').sort(), NAMES.map((one) => `${one}: OK`).sort(), name);
  change('odd', 40_000, 40_001, 65_535);
  const bad = await ours('-c', '--quiet', ...(expected.options ?? []), 'list');
  const lines = expected.ranges?.map(([start, last]) => `odd: FAILED offset ${start}-${last}\n`) ?? [
    'odd: FAILED\n',
  ];
  const sums = expected.mismatches === 1 ? 'checksum' : 'checksums';
  t.strictSame(
    bad,
    {
      status: 1,
      stdout: lines.join(''),
      stderr: `basecow: WARNING: ${expected.mismatches} computed ${sums} did NOT match\n`,
    },
    `${name}, changed`,
  );
  t.match(await ours('-c', '--status', ...(expected.options ?? []), 'list'), {
    status: 1,
    stdout: '',
    stderr: '',
  });
  restore();
}

t.test('their lists', async (t) => {
  const one: [number, number][] = [[32_768, 65_535]];
  await verifies(t, 'md5deep -p', theirs('md5deep', '-l', '-p', '32k'), { ranges: one, mismatches: 1 });
  await verifies(t, 'small', theirs('sha256deep', '-l', '-p', '1k'), {
    ranges: [
      [39_936, 40_959],
      [64_512, 65_535],
    ],
    mismatches: 2,
  });
  await verifies(t, 'md5deep', theirs('md5deep', '-l'), { mismatches: 1 });
  await verifies(t, 'hashdeep', theirs('hashdeep', '-l'), { mismatches: 2 });
  await verifies(t, 'hashdeep -p', theirs('hashdeep', '-l', '-p', '32k'), { ranges: one, mismatches: 2 });
  await verifies(t, 'tiger is passed over', theirs('hashdeep', '-l', '-c', 'tiger,sha1'), { mismatches: 1 });
  await verifies(t, 'DFXML', theirs('md5deep', '-l', '-d'), { mismatches: 1 });
  await verifies(t, 'DFXML -p', theirs('hashdeep', '-l', '-d', '-p', '32k'), { ranges: one, mismatches: 4 });
});

t.test('our lists', async (t) => {
  const one: [number, number][] = [[32_768, 65_535]];
  const two: [number, number][] = [
    [32_768, 49_151],
    [49_152, 65_535],
  ];
  t.equal(two.length, 2);
  await verifies(t, 'plain', await printed('--chunk', '32k', ...NAMES), { ranges: one, mismatches: 1 });
  await verifies(t, 'touching ranges are joined', await printed('--chunk', '16k', ...NAMES), {
    ranges: one,
    mismatches: 2,
  });
  await verifies(t, 'hashdeep', await printed('--output', 'hashdeep', '--chunk', '32k', ...NAMES), {
    ranges: one,
    mismatches: 2,
  });
  await verifies(t, 'DFXML', await printed('--output', 'dfxml', '--chunk', '32k', ...NAMES), {
    ranges: one,
    mismatches: 2,
  });
  await verifies(
    t,
    'JSON',
    await printed('--output', 'json', '--chunk', '32k', '--whole', '-a', 'md5,sha1', ...NAMES),
    { ranges: one, mismatches: 4 },
  );
  await verifies(t, 'JSON of wholes', await printed('--output', 'json', '-a', 'sha256', ...NAMES), {
    mismatches: 1,
  });
  await verifies(t, 'ETags', await printed('--output', 'etag', '--chunk', '32k', ...NAMES), {
    mismatches: 1,
    options: ['--chunk', '32k'],
  });
  await verifies(t, 'block hashes', await printed('--blkhash', ...NAMES), {
    mismatches: 1,
    options: ['--blkhash'],
  });
  await verifies(
    t,
    'block hashes as JSON',
    await printed('--blkhash', '-a', 'md5', '--output', 'json', ...NAMES),
    { mismatches: 1 },
  );
});

t.test('their audits pass over our lists, and fail when a byte changes', async (t) => {
  writeFileSync('list', await printed('--output', 'hashdeep', ...NAMES));
  t.match(tryRun('hashdeep', ['-l', '-a', '-k', 'list', ...NAMES]), {
    status: 0,
    stdout: 'hashdeep: Audit passed\n',
  });
  change('odd', 40_000);
  t.match(tryRun('hashdeep', ['-l', '-a', '-k', 'list', ...NAMES]), {
    status: 1,
    stdout: 'hashdeep: Audit failed\n',
  });
  restore();
  for (const program of ['md5', 'sha1', 'sha256']) {
    writeFileSync('list', await printed('-a', program, '--chunk', '32k', 'odd', 'exact'));
    const strangers = () =>
      tryRun(`${program}deep`, ['-l', '-p', '32k', '-x', 'list', 'odd', 'exact']).stdout;
    const known = () => tryRun(`${program}deep`, ['-l', '-p', '32k', '-m', 'list', 'odd', 'exact']).stdout;
    t.equal(strangers(), '');
    t.equal(known().trim().split('\n').length, 6);
    change('odd', 40_000);
    t.equal(strangers(), 'odd offset 32768-65535\n');
    t.equal(known().trim().split('\n').length, 5);
    restore();
  }
});

t.test('sizes are part of what is verified', async (t) => {
  writeFileSync('list', await printed('--output', 'json', '--chunk', '32k', 'odd'));
  truncateSync('odd', 70_000);
  t.strictSame(await ours('-c', 'list'), {
    status: 1,
    stdout: 'odd: FAILED offset 65536-100000\n',
    stderr:
      'basecow: odd: it has 70000 bytes, not 100001\nbasecow: WARNING: 2 computed checksums did NOT match\n',
  });
  t.strictSame(await ours('--repair-list', 'list', 'odd'), {
    status: 1,
    stdout: '65536-100000\n',
    stderr: '',
  });
  restore();
  writeFileSync('odd', Buffer.concat([readFileSync('odd'), Buffer.alloc(9)]));
  t.strictSame(await ours('-c', 'list'), {
    status: 1,
    stdout: 'odd: FAILED\n',
    stderr:
      'basecow: odd: it has 100010 bytes, not 100001\nbasecow: WARNING: 1 computed checksum did NOT match\n',
  });
  t.strictSame(await ours('--repair-list', 'list', 'odd'), {
    status: 1,
    stdout: '',
    stderr: 'basecow: odd: it has 100010 bytes, not 100001: cut it to that size\n',
  });
  restore();
});

t.test('only what the list names is read', async (t) => {
  const rows = (await printed('--chunk', '16k', 'odd')).split('\n');
  writeFileSync('list', `${rows[1]}\n${rows[3]}\n`);
  change('odd', 0, 40_000, 70_000);
  t.strictSame(await ours('-c', 'list'), { status: 0, stdout: 'odd: OK\n', stderr: '' });
  change('odd', 20_000);
  t.match(await ours('-c', 'list'), { status: 1, stdout: 'odd: FAILED offset 16384-32767\n' });
  restore();
  // Out of order and twice is as good.
  writeFileSync('list', `${rows[3]}\n${rows[1]}\n${rows[3]}\n${rows[0]}\n`);
  change('odd', 50_000, 0);
  t.match(await ours('-c', 'list'), {
    status: 1,
    stdout: 'odd: FAILED offset 0-16383\nodd: FAILED offset 49152-65535\n',
    stderr: /3 computed checksums did NOT match/,
  });
  restore();
});

t.test('--repair-list: what is fetched by it makes the file right', async (t) => {
  for (const words of [
    ['--chunk', '4k'],
    ['--chunk', '4k', '--output', 'json'],
    ['--chunk', '4k', '--output', 'dfxml'],
    ['--chunk', '4k', '--output', 'hashdeep'],
    ['--output', 'bmap'],
    [],
    ['--output', 'json'],
  ]) {
    writeFileSync('list', await printed(...words, 'odd'));
    const fine = await ours('--repair-list', 'list', 'odd');
    t.strictSame(fine, { status: 0, stdout: '', stderr: '' }, words.join(' '));
    // Under another name, as while it is fetched.
    copyFileSync('odd', 'odd.part');
    change('odd.part', 0, 4096, 50_000, 100_000);
    const found = await ours('--repair-list', 'list', 'odd.part');
    t.match(found, { status: 1, stderr: '' }, words.join(' '));
    if (words[1] === '4k') t.equal(found.stdout, '0-8191\n49152-53247\n98304-100000\n');
    const fd = openSync('odd.part', 'r+');
    const right = readFileSync('odd.right');
    for (const range of found.stdout.trim().split('\n')) {
      // curl -r takes them as they are.
      run('curl', ['-s', '-r', range, '-o', 'fetched', `file://${join(dir, 'odd.right')}`]);
      const start = Number(range.split('-')[0]);
      const bytes = readFileSync('fetched');
      t.ok(bytes.equals(right.subarray(start, start + bytes.length)), range);
      writeSync(fd, bytes, 0, bytes.length, start);
    }
    closeSync(fd);
    t.ok(readFileSync('odd.part').equals(right), words.join(' '));
  }
  writeFileSync('list', await printed('--chunk', '4k', 'odd'));
  change('odd.part', 5000);
  const json = await ours('--repair-list', 'list', '--output', 'json', 'odd.part');
  t.strictSame(JSON.parse(json.stdout), {
    filename: 'odd.part',
    size: 100_001,
    ranges: [{ start: 4096, length: 4096 }],
  });
  t.equal(json.status, 1);
});

t.test('which file of a list', async (t) => {
  writeFileSync('list', await printed('--chunk', '32k', 'odd', 'exact'));
  t.strictSame(await ours('-c', '--file', 'exact', 'list'), { status: 0, stdout: 'exact: OK\n', stderr: '' });
  t.strictSame(await ours('-c', '--file', 'odd.right', 'list'), {
    status: 1,
    stdout: '',
    stderr: "basecow: 'list' has no digests of 'odd.right'\n",
  });
  t.match(await ours('--repair-list', 'list', 'odd.right'), {
    status: 2,
    stdout: '',
    stderr: "basecow: 'list' has no digests of 'odd.right'\n",
  });
  const elsewhere = run('md5deep', ['-p', '32k', 'odd', 'exact']).replaceAll(dir, '/another/place');
  writeFileSync('list', elsewhere);
  t.match(await ours('-c', '--file', 'odd', 'list'), {
    status: 0,
    stdout: '/another/place/odd: OK\n',
    stderr: '',
  });
  writeFileSync('list', elsewhere + elsewhere.replaceAll('/another', '/third'));
  t.match(await ours('-c', '--file', 'odd', 'list'), {
    status: 1,
    stderr: "basecow: 'list' has several files that could be 'odd'\n",
  });
  writeFileSync('list', '');
  t.match(await ours('--repair-list', 'list', 'odd'), {
    status: 2,
    stderr: "basecow: 'list' has no digests\n",
  });
  t.match(await ours('--repair-list', 'nolist', 'odd'), {
    status: 2,
    stderr: 'basecow: nolist: No such file or directory\n',
  });
  writeFileSync('list', await printed('--chunk', '32k', 'odd'));
  t.match(await ours('--repair-list', 'list', 'gone'), {
    status: 2,
    stderr: 'basecow: gone: No such file or directory\n',
  });
});

t.test('a bmap and its image', async (t) => {
  writeFileSync('odd.bmap', await printed('--output', 'bmap', 'odd'));
  t.strictSame(await ours('-c', 'odd.bmap'), { status: 0, stdout: 'odd: OK\n', stderr: '' });
  writeFileSync('other', readFileSync('odd.bmap'));
  t.strictSame(await ours('-c', 'other'), {
    status: 1,
    stdout: '',
    stderr: "basecow: 'other' is a bmap, which does not name its image: say which file it is about\n",
  });
  t.match(await ours('-c', '--file', 'odd.right', 'other'), { status: 0, stdout: 'odd.right: OK\n' });
  writeFileSync('theirs', run('bmaptool', ['create', 'odd']));
  t.match(await ours('-c', '--file', 'odd', 'theirs'), { status: 0, stdout: 'odd: OK\n' });
  change('odd', 7);
  t.match(await ours('-c', '--file', 'odd', 'theirs'), {
    status: 1,
    stdout: 'odd: FAILED offset 0-100000\n',
  });
  restore();
});

t.test('a chunk that a list leaves out is not passed over', async (t) => {
  const text = await printed('--output', 'json', '--chunk', '32k', '-a', 'md5,sha1', 'void', 'odd');
  writeFileSync('list', text);
  t.strictSame(await ours('-c', 'list'), { status: 0, stdout: 'void: OK\nodd: OK\n', stderr: '' });
  writeFileSync('void', '!');
  t.match(await ours('-c', '--quiet', 'list'), {
    status: 1,
    stdout: 'void: FAILED\n',
    stderr: /void: it has 1 bytes, not 0/,
  });
  writeFileSync('void', '');
  const [, file] = JSON.parse(text) as [unknown, { chunks: { digests: string[] }[] }];
  file.chunks[1].digests.pop();
  writeFileSync('list', JSON.stringify(file));
  t.strictSame(await ours('-c', 'list'), {
    status: 1,
    stdout: '',
    stderr: "basecow: 'list' is no list of digests: it has 3 chunks of 32768 bytes, too few for 100001\n",
  });
});

t.test('a list that is none', async (t) => {
  writeFileSync('list', '<dfxml><fileobject>');
  t.strictSame(await ours('-c', 'list'), {
    status: 1,
    stdout: '',
    stderr: "basecow: 'list' is no list of digests: <fileobject> is not closed\n",
  });
});

t.test('guest disks', async (t) => {
  makeCliImages(dir);
  qemuImg('convert', '-O', 'raw', 'o.qcow2', 'flat.raw');
  const raw = await printed('--chunk', '1M', 'flat.raw');
  const list = await printed('--guest', '--chunk', '1M', 'o.qcow2');
  t.equal(list, raw.replaceAll('flat.raw', 'o.qcow2'));
  writeFileSync('list', list);
  t.match(await ours('-c', '--guest', 'list'), { status: 0, stdout: 'o.qcow2: OK\n', stderr: '' });
  t.match(await ours('-c', 'list'), { status: 1 }, 'as a file it is another');
  writeFileSync('list', await printed('--guest', '--chunk', '1M', '--output', 'json', 'o.qcow2'));
  t.match(JSON.parse(readFileSync('list', 'utf8')), [{ guest: true, format: 'qcow2' }]);
  t.match(await ours('-c', 'list'), { status: 0, stdout: 'o.qcow2: OK\n' }, 'JSON says so itself');
  t.match(
    await ours('-c', '--file', 'flat.raw', 'list'),
    { status: 0, stdout: 'o.qcow2: OK\n' },
    'the same guest in raw',
  );
  run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 9 3M 512', 'o.qcow2']);
  t.match(await ours('-c', 'list'), { status: 1, stdout: 'o.qcow2: FAILED offset 3145728-4194303\n' });
  t.strictSame(
    await ours('--repair-list', 'list', 'o.qcow2'),
    {
      status: 2,
      stdout: '',
      stderr:
        'basecow: o.qcow2: the list is about the guest disk, whose ranges are not those of the file; --output json prints them\n',
    },
    'nobody writes ranges of the guest into the image',
  );
  const json = await ours('--repair-list', 'list', '--output', 'json', 'o.qcow2');
  t.match(JSON.parse(json.stdout), { guest: true, ranges: [{ start: 3_145_728, length: 1_048_576 }] });
  writeFileSync('list', await printed('--blkhash', '--output', 'json', 'o.qcow2'));
  run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 8 3M 512', 'o.qcow2']);
  t.strictSame(await ours('--repair-list', 'list', 'o.qcow2'), { status: 1, stdout: '0-\n', stderr: '' });
});

t.test('the format that a list records is not probed again', async (t) => {
  qemuImg('create', '-f', 'qcow2', 'written-by-a-guest', '1M');
  const list = await printed('--guest', '-f', 'raw', '--output', 'json', 'written-by-a-guest');
  writeFileSync('list', list);
  t.strictSame(await ours('-c', 'list'), { status: 0, stdout: 'written-by-a-guest: OK\n', stderr: '' });
  t.match(await ours('-c', '--guest', '-f', 'qcow2', 'list'), { status: 1 }, '-f comes first');
});
