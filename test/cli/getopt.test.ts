// The option parser beside getopt(1), which is glibc's getopt_long with a command line.
import t from 'tap';
import { Getopt, type LongOption } from '#src/cli/getopt.js';
import { Random } from '../support/random.js';
import { tryRun } from '../support/tools.js';

const long: LongOption[] = [
  { name: 'help', argument: 'none', value: 'h' },
  { name: 'format', argument: 'required', value: 'f' },
  { name: 'force-share', argument: 'none', value: 'U' },
  { name: 'output', argument: 'required', value: 'output' },
  { name: 'object', argument: 'required', value: 'object' },
  { name: 'quiet', argument: 'none', value: 'q' },
];
const SHORT = 'hf:o:pqU';

interface Seen {
  options: string[];
  operands: string[];
  messages: string[];
}

/** Long options by name, as getopt(1) prints them. */
function parse(words: string[], environment: NodeJS.ProcessEnv = {}): Seen {
  const named = long.map((option) => ({ ...option, value: `--${option.name}` }));
  const getopt = new Getopt(['prog', ...words], { short: SHORT, long: named }, environment);
  const seen: Seen = { options: [], operands: [], messages: [] };
  for (let parsed = getopt.next(); parsed; parsed = getopt.next()) {
    if (parsed.kind !== 'option') {
      seen.messages.push(parsed.message);
      continue;
    }
    seen.options.push(parsed.value.startsWith('--') ? parsed.value : `-${parsed.value}`);
    if (parsed.argument !== undefined) seen.options.push(parsed.argument);
  }
  seen.operands = getopt.operands;
  return seen;
}

/** One word a line comes out of getopt(1)'s quoted output. */
function glibc(words: string[], short = SHORT): Seen {
  const names = long.map(({ name, argument }) => (argument === 'none' ? name : `${name}:`)).join(',');
  const ran = tryRun('getopt', ['-o', short, '-l', names, '-n', 'prog', '--', ...words]);
  const out = [...ran.stdout.matchAll(/'((?:[^']|'\\'')*)'|(\S+)/g)].map(([, quoted, bare]) =>
    quoted === undefined
      ? { text: bare, quoted: false }
      : { text: quoted.replaceAll("'\\''", "'"), quoted: true },
  );
  const end = out.findIndex(({ text, quoted }) => text === '--' && !quoted);
  return {
    options: out.slice(0, end).map(({ text }) => text),
    operands: out.slice(end + 1).map(({ text }) => text),
    messages: ran.stderr
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.replace(/^prog: /, '')),
  };
}

t.test('what glibc makes of chosen words', (t) => {
  const cases: string[][] = [
    [],
    ['a', '-p', 'b', '-q', 'c'],
    ['-pq', '-fraw', 'x'],
    ['-pfraw', '-f', 'qcow2', '-'],
    ['--format=raw', '--format', 'qcow2', '--form', 'x', 'y'],
    ['a', '--', '-p', '--format', 'b'],
    ['-f', '--', 'a'],
    ['--o', 'json'],
    ['--fo', 'x'],
    ['--out=json', 'a'],
    ['--help=x', 'a'],
    ['-Z', 'a', '-pZq'],
    ['-f'],
    ['--format'],
    ['--nope=1', 'b'],
    ['-p-q'],
    ['a', 'b', '-p', '--', 'c', '-q'],
    ['-o', 'a=b,c=d', "it's"],
    ['', '-p', ''],
  ];
  for (const words of cases) t.strictSame(parse(words), glibc(words), JSON.stringify(words));
  t.end();
});

t.test('what glibc makes of random words', (t) => {
  const seed = 20240607;
  const random = new Random(seed);
  const pieces = [
    '-p',
    '-q',
    '-f',
    'raw',
    '--',
    '-',
    'x',
    '--format',
    '--format=r',
    '--out',
    '--quiet',
    '-pf',
    '-U',
    '--f',
    '-oZ',
    '-Z',
    '--no',
    'y z',
    '',
  ];
  for (let round = 0; round < 150; round++) {
    const words = Array.from({ length: random.integer(0, 7) }, () => random.pick(pieces));
    t.strictSame(parse(words), glibc(words), `seed ${seed}, round ${round}: ${JSON.stringify(words)}`);
  }
  t.end();
});

t.test('POSIXLY_CORRECT and + stop at the first operand', (t) => {
  t.strictSame(parse(['-p', 'a', '-q'], { POSIXLY_CORRECT: '' }), glibc(['-p', 'a', '-q'], `+${SHORT}`));
  const getopt = new Getopt(['prog', '-p', 'a', '-q'], { short: `+${SHORT}`, long }, {});
  t.strictSame(getopt.next(), { kind: 'option', value: 'p' });
  t.equal(getopt.next(), undefined);
  t.strictSame(getopt.operands, ['a', '-q']);
  t.end();
});

t.test('the word that qemu-img names is argv[optind - 1]', (t) => {
  const word = (...words: string[]) => {
    const getopt = new Getopt(['info', ...words], { short: 'U', long }, {});
    for (let parsed = getopt.next(); parsed; parsed = getopt.next()) {
      if (parsed.kind !== 'option') return parsed.word;
    }
    return undefined;
  };
  t.equal(word('-Uq', 'a'), '-Uq');
  t.equal(word('-qU', 'a'), 'info', 'in the middle of a group the word is not finished');
  t.equal(word('a', '--nope', 'b'), '--nope');
  t.equal(word('--format'), '--format');
  t.end();
});

t.test('extra names never make an abbreviation ambiguous', (t) => {
  const extra: LongOption[] = [
    { name: 'options', argument: 'required', value: 'o' },
    { name: 'progress', argument: 'keyword', value: 'p', keywords: ['json'] },
  ];
  const first = (...words: string[]) => new Getopt(['x', ...words], { short: '', long, extra }, {}).next();
  t.match(first('--out', 'x'), { kind: 'option', value: 'output', argument: 'x' });
  t.match(first('--op', 'x'), { kind: 'option', value: 'o', argument: 'x' });
  t.strictSame(first('--progress', 'file'), { kind: 'option', value: 'p' });
  t.strictSame(first('--progress', 'json'), { kind: 'option', value: 'p', argument: 'json' });
  t.strictSame(first('--progress=json'), { kind: 'option', value: 'p', argument: 'json' });
  t.end();
});

t.test('the words of the caller stay as they are', (t) => {
  const words = ['prog', 'a', '-p', 'b'];
  const getopt = new Getopt(words, { short: SHORT, long }, {});
  while (getopt.next());
  t.strictSame(words, ['prog', 'a', '-p', 'b']);
  t.end();
});
