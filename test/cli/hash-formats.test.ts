// `hash --output`: byte for byte what md5deep, hashdeep and bmaptool print.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import t from 'tap';
import { Random } from '../support/random.js';
import { qemuImg, run, tryRun } from '../support/tools.js';
import { runHere } from '../support/twins.js';

const dir = t.testdir();
process.chdir(dir);
const random = new Random(11);
const NAMES = [
  'odd',
  'void',
  'one',
  'exact',
  'a & <b>"\'q',
  'back\\slash',
  'comma,name',
  'two  blanks',
  'été',
];
writeFileSync('odd', random.bytes(100_001));
writeFileSync('void', '');
writeFileSync('one', 'x');
writeFileSync('exact', random.bytes(65_536));
for (const name of NAMES.slice(4)) writeFileSync(name, random.bytes(random.integer(1, 70_000)));

const ours = (...words: string[]) => runHere(['hash', ...words], 'basecow');

t.test('plain with --chunk is md5deep -p, and its sisters', async (t) => {
  for (const algorithm of ['md5', 'sha1', 'sha256']) {
    for (const size of ['512', '32k', '64k', '1m']) {
      // One file at a time: md5deep's own threads mix up the order.
      const theirs = NAMES.map((name) => run(`${algorithm}deep`, ['-l', '-p', size, name])).join('');
      const found = await ours('-a', algorithm, '--chunk', size, ...NAMES);
      t.strictSame(found, { status: 0, stdout: theirs, stderr: '' }, `${algorithm} ${size}`);
    }
  }
});

t.test('a name with a line end is escaped as md5sum has it, also beside chunks', async (t) => {
  writeFileSync('new\nline\\', 'x');
  const md5 = createHash('md5').update('x').digest('hex');
  const found = await ours('--chunk', '1k', 'new\nline\\');
  t.equal(found.stdout, `\\${md5}  new\\nline\\\\ offset 0-0\n`);
  writeFileSync('list', found.stdout);
  t.match(await ours('-c', 'list'), { status: 0, stdout: '\\new\\nline\\\\: OK\n', stderr: '' });
  const refused = await ours('--output', 'hashdeep', 'new\nline\\', 'one');
  t.match(refused, {
    status: 1,
    stdout: /^1,[0-9a-f,]+,one$/m,
    stderr: 'basecow: new\\nline\\\\: A name with a line end cannot be written in hashdeep format\n',
  });
});

/** hashdeep's output without the two lines that tell who made it where. */
const rows = (text: string) => text.replaceAll(/^## .*\n/gm, '');

t.test('hashdeep', async (t) => {
  const cases = [
    { theirs: [], ours: [] },
    { theirs: ['-c', 'md5'], ours: ['-a', 'md5'] },
    { theirs: ['-c', 'sha256,sha1,md5'], ours: ['-a', 'sha256,sha1,md5'] },
    { theirs: ['-p', '32k'], ours: ['--chunk', '32k'] },
    { theirs: ['-p', '64k', '-c', 'sha1'], ours: ['--chunk', '64k', '-a', 'sha1'] },
  ];
  for (const words of cases) {
    for (const name of NAMES) {
      const theirs = run('hashdeep', ['-l', ...words.theirs, name]);
      const found = await ours('--output', 'hashdeep', ...words.ours, name);
      t.equal(rows(found.stdout), rows(theirs), `${words.ours.join(' ')} ${name}`);
    }
  }
  const { stdout } = await ours('--output', 'hashdeep', 'one');
  t.match(
    stdout,
    new RegExp(
      `^%%%% HASHDEEP-1\\.0\\n%%%% size,md5,sha256,filename\\n## Invoked from: ${process.cwd()}\\n## # basecow hash --output hashdeep one\\n## \\n1,`,
    ),
  );
  const strange = await ours('--output', 'hashdeep', '-a', 'sha512', 'one');
  t.match(strange, {
    status: 1,
    stdout: '',
    stderr: /hashdeep's format has md5, sha1, sha256, not 'sha512'/,
  });
});

/** DFXML without what tells of program, machine and moment. */
const evidence = (text: string) =>
  text
    .replace(/ {6}<algorithm name='' enabled='0'\/>\n/, '')
    .replace(/ {4}<program>[\s\S]*?<execution_environment>/, '<execution_environment>')
    .replace(/(<(command_line|start_time)>)[\s\S]*?(<\/\2>)/g, '$1$3')
    .replace(/(<(utime|stime|maxrss|minflt|majflt|nswap|inblock|oublock|clocktime)>)[^<]*/g, '$1');

t.test('DFXML', async (t) => {
  for (const size of [undefined, '32k']) {
    for (const name of NAMES) {
      const theirs = run('md5deep', ['-d', '-l', ...(size ? ['-p', size] : []), name]);
      const found = await ours('--output', 'dfxml', ...(size ? ['--chunk', size] : []), name);
      t.equal(evidence(found.stdout), evidence(theirs), `${name} ${size ?? 'whole'}`);
      t.match(tryRun('xmllint', ['--noout', '-'], { input: found.stdout }), { status: 0, stderr: '' });
    }
  }
  const both = await ours('--output', 'dfxml', '-a', 'md5,sha256', '--chunk', '64k', 'odd');
  const theirs = run('hashdeep', ['-d', '-l', '-c', 'md5,sha256', '-p', '64k', 'odd']);
  t.equal(evidence(both.stdout), evidence(theirs), 'two algorithms');
  const missing = await ours('--output', 'dfxml', 'nope', 'one');
  t.match(missing, { status: 1, stderr: 'basecow: nope: No such file or directory\n' });
  t.match(
    missing.stdout,
    /<fileobject>\n {4}<filename>nope<\/filename>\n {4}<error>No such file or directory<\/error>\n {2}<\/fileobject>\n {2}<fileobject>\n {4}<filename>one</,
  );
  writeFileSync('bell\u0007', 'x');
  const bell = await ours('--output', 'dfxml', 'bell\u0007');
  t.match(bell, { status: 1, stderr: /A name with control characters cannot be written in XML/ });
  t.match(tryRun('xmllint', ['--noout', '-'], { input: bell.stdout }), { status: 0, stderr: '' });
});

/** bmaptool's file without its comments. */
const elements = (text: string) =>
  text
    .replaceAll(/<!--[\s\S]*?-->/g, '')
    .replaceAll(/\n\s*(?=\n)/g, '')
    .replace(/(<BmapFileChecksum>)[^<]*/, '$1');

function sparse(path: string, size: number, pieces: [number, Buffer][]): void {
  writeFileSync(path, '');
  truncateSync(path, size);
  const fd = openSync(path, 'r+');
  for (const [at, bytes] of pieces) writeSync(fd, bytes, 0, bytes.length, at);
  closeSync(fd);
}

t.test('bmap', async (t) => {
  const MB = 2 ** 20;
  sparse('sparse', 10 * MB + 3, [
    [20_480, random.bytes(12_288)],
    [4 * MB, random.bytes(1)],
    [10 * MB, random.bytes(3)],
  ]);
  sparse('hole', MB, []);
  for (const name of ['sparse', 'hole', 'odd', 'exact', 'one']) {
    const theirs = run('bmaptool', ['create', name]);
    const found = await ours('--output', 'bmap', name);
    t.match(found, { status: 0, stderr: '' });
    t.equal(elements(found.stdout), elements(theirs), name);
  }
  for (const algorithm of ['sha256', 'md5', 'sha1']) {
    writeFileSync('map', (await ours('--output', 'bmap', '-a', algorithm, 'sparse')).stdout);
    t.match(readFileSync('map', 'utf8'), `<ChecksumType> ${algorithm} </ChecksumType>`);
    t.match(tryRun('bmaptool', ['copy', '--bmap', 'map', 'sparse', 'copied']), { status: 0 });
    t.ok(readFileSync('copied').equals(readFileSync('sparse')), `copied by ${algorithm}`);
    run('cp', ['sparse', 'corrupt']);
    sparseByte('corrupt', 20_500);
    const refused = tryRun('bmaptool', ['copy', '--bmap', 'map', 'corrupt', 'copied']);
    t.match(refused, { status: 1, stderr: /checksum mismatch for blocks range 5-7/ });
  }
  run('cp', ['map', 'bent']);
  writeFileSync('bent', readFileSync('map', 'utf8').replace('<Range', '<Range '));
  t.match(tryRun('bmaptool', ['copy', '--bmap', 'bent', 'sparse', 'copied']), { status: 1 });
  t.match(await ours('--output', 'bmap', 'void'), {
    status: 1,
    stdout: '',
    stderr: 'basecow: void: A bmap needs a file with something in it, or a block device\n',
  });
  t.match(await ours('--output', 'bmap', 'one', 'odd'), { status: 1, stderr: /A bmap is of one file/ });
});

function sparseByte(path: string, at: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, '\u0000Z', at);
  closeSync(fd);
}

t.test('the bmap of a guest disk serves its raw form', async (t) => {
  qemuImg('convert', '-O', 'qcow2', '-c', 'sparse', 'sparse.qcow2');
  qemuImg('convert', '-O', 'raw', 'sparse.qcow2', 'flat');
  const found = await ours('--guest', '--output', 'bmap', 'sparse.qcow2');
  t.match(found, { status: 0, stderr: '' });
  writeFileSync('map', found.stdout);
  t.match(tryRun('bmaptool', ['copy', '--bmap', 'map', 'flat', 'copied']), { status: 0 });
  t.ok(readFileSync('copied').equals(readFileSync('flat')));
});

/** By hand: the parts' digests by md5sum, put together. */
function etag(bytes: Buffer, part: number): string {
  const parts = [];
  for (let at = 0; at === 0 || at < bytes.length; at += part) {
    const input = bytes.subarray(at, at + part);
    parts.push(Buffer.from(run('md5sum', [], { input }).slice(0, 32), 'hex'));
  }
  return `${run('md5sum', [], { input: Buffer.concat(parts) }).slice(0, 32)}-${parts.length}`;
}

t.test('S3 ETags', async (t) => {
  const MB = 2 ** 20;
  const large = Buffer.alloc(17 * MB + 5);
  random.bytes(4096).copy(large, 9 * MB);
  const md5 = (bytes: Buffer) => run('md5sum', [], { input: bytes }).slice(0, 32);
  for (const [name, length, expected] of [
    ['below', 8 * MB - 1, md5(large.subarray(0, 8 * MB - 1))],
    ['at', 8 * MB, etag(large.subarray(0, 8 * MB), 8 * MB)],
    ['above', large.length, etag(large, 8 * MB)],
  ] as const) {
    writeFileSync(name, large.subarray(0, length));
    t.strictSame(
      await ours('--output', 'etag', name),
      { status: 0, stdout: `${expected}  ${name}\n`, stderr: '' },
      name,
    );
  }
  const five = await ours('--output', 'etag', '--chunk', '5M', 'above', 'one', 'void');
  const expected = [etag(large, 5 * MB), etag(Buffer.from('x'), 5 * MB), etag(Buffer.alloc(0), 5 * MB)];
  t.equal(five.stdout, ['above', 'one', 'void'].map((name, i) => `${expected[i]}  ${name}\n`).join(''));
  t.match(expected[1], /-1$/);
  // Part sizes that aren't recorded are found, or told.
  writeFileSync('tags', five.stdout);
  t.match(await ours('-c', 'tags'), { status: 0, stdout: 'above: OK\none: OK\nvoid: OK\n' });
  writeFileSync('tags', (await ours('--output', 'etag', '--chunk', '1234567', 'above')).stdout);
  t.match(await ours('-c', 'tags'), { status: 1, stdout: 'above: FAILED\n' });
  t.match(await ours('-c', '--chunk', '1234567', 'tags'), { status: 0, stdout: 'above: OK\n' });
  writeFileSync('tags', `"${etag(large, 8 * MB)}"  above\n`);
  t.match(await ours('-c', 'tags'), { status: 0, stdout: 'above: OK\n' }, 'in quotes, as S3 tells it');
  t.match(await ours('--output', 'etag', '-a', 'sha1', 'one'), {
    status: 1,
    stderr: /An ETag is made of md5/,
  });
  truncateSync('above', 100 * MB);
  t.match(await ours('--output', 'etag', '--chunk', '8k', 'above'), {
    status: 1,
    stdout: '',
    stderr: 'basecow: above: Parts of 8192 bytes of 104857600 are 12800; S3 takes 10000\n',
  });
});

t.test('many files are printed in order', async (t) => {
  const names = Array.from({ length: 600 }, (_, i) => `many-${i}`);
  for (const [i, name] of names.entries()) writeFileSync(name, random.bytes((i * 7919) % 3000));
  names.splice(300, 0, 'nope');
  const theirs = tryRun('md5sum', names);
  const found = await ours(...names);
  t.equal(found.stdout, theirs.stdout);
  t.equal(found.stderr, theirs.stderr.replace('md5sum:', 'basecow:'));
  t.equal(found.status, 1);
});

t.test('many files have one progress', async (t) => {
  // More than are digested at a time.
  const names = Array.from({ length: 20 }, (_, i) => `part${i}`);
  for (const [i, name] of names.entries()) writeFileSync(name, Buffer.alloc(1000 + i, i));
  const { stderr, status } = await ours('--chunk', '512', '--progress=json', ...names);
  const events = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { done: number; total: number });
  t.equal(status, 0);
  t.match(events.at(-1), { done: 20_190, total: 20_190 });
  t.equal(events.filter(({ done, total }) => total > 0 && done === total && done < 20_190).length, 0);
  t.ok(
    events.every(({ done }, i) => i === 0 || done >= events[i - 1].done),
    'never back',
  );
});

t.test('what does not go together is refused by name', async (t) => {
  for (const [words, sentence] of [
    [
      '--output xml odd',
      '--output must be used with plain, json, hashdeep, dfxml, etag or bmap as argument.',
    ],
    ['--whole odd', '--whole goes with --chunk: the digest of the whole file beside those of its chunks'],
    ['--output bmap --chunk 1M odd', 'A bmap has a digest per mapped range: --chunk is of no use'],
    ['--output bmap -a md5,sha1 odd', 'A bmap takes one algorithm'],
    ['--blkhash --chunk 1M odd', '--chunk and --whole cannot be used with --blkhash'],
    ['--blkhash --output dfxml odd', '--blkhash prints plain or json, not dfxml'],
    ['--blkhash -a md5,sha1 odd', '--blkhash takes one algorithm'],
    ['--block-size 64k odd', '--block-size is of --blkhash'],
    [
      '--blkhash --block-size 100 odd',
      'Invalid block size specified. Must be between 512 and 9007199254740991.',
    ],
    ['-c --output json odd', '--output cannot be used with -c'],
    ['--file odd odd', '--file goes with -c'],
    ['--status odd', '--status goes with -c'],
    ['--strict odd', '--strict goes with -c'],
    ['--ignore-missing odd', '--ignore-missing goes with -c'],
    ['-w odd', '--warn goes with -c'],
    ['-c --whole odd', '--whole is of no use where a list is verified'],
    ['--guest -', 'A guest disk cannot be read from standard input'],
    ['-c --repair-list odd odd', '-c and --repair-list cannot be used together'],
    ['--repair-list odd --output dfxml odd', '--repair-list prints plain or json'],
    ['--repair-list odd odd one', 'Expecting one file name with --repair-list'],
  ] as const) {
    const found = await ours(...words.split(' '));
    t.match(found, { status: 1, stdout: '' }, words);
    t.equal(found.stderr.split('\n')[0], `basecow: ${sentence}`, words);
  }
});
