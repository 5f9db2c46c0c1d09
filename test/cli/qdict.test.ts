// Key order and layout of JSON beside what qemu-img prints.
import t from 'tap';
import { type JsonValue, qdictBucket, qdictOrder, qemuJson } from '#src/cli/qdict.js';
import { makeCliImages } from '../support/cliImages.js';
import { Random } from '../support/random.js';
import { tryRun } from '../support/tools.js';

const dir = t.testdir();
makeCliImages(dir);

/** The same value, its keys in random order. */
function shuffled(value: JsonValue, random: Random): JsonValue {
  if (Array.isArray(value)) return value.map((item) => shuffled(item, random));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  for (let i = entries.length - 1; i > 0; i--) {
    const j = random.integer(0, i);
    [entries[i], entries[j]] = [entries[j], entries[i]];
  }
  return Object.fromEntries(entries.map(([key, member]) => [key, shuffled(member as JsonValue, random)]));
}

t.test('what qemu-img prints comes out again, whatever the order of keys', (t) => {
  const seed = 11;
  const random = new Random(seed);
  const commands = [
    ...['a.qcow2', 's.qcow2', 'v2.qcow2', 'd.qcow2', 'o.qcow2', 'r.raw'].map((file) => [
      'info',
      '--output=json',
      file,
    ]),
    ['info', '--output=json', '--backing-chain', 'o.qcow2'],
    ...['a.qcow2', 'comp.qcow2', 'corrupt.qcow2', 'leak.qcow2'].map((file) => [
      'check',
      '--output=json',
      file,
    ]),
    ['measure', '--output=json', '-O', 'qcow2', 'a.qcow2'],
  ];
  for (const command of commands) {
    const { stdout } = tryRun('qemu-img', command, { cwd: dir });
    for (let round = 0; round < 5; round++) {
      const value = shuffled(JSON.parse(stdout) as JsonValue, random);
      t.equal(`${qemuJson(value)}\n`, stdout, `${command.join(' ')} (seed ${seed}, round ${round})`);
    }
  }
  t.end();
});

t.test('strings are escaped as qemu-img does', (t) => {
  // A file name travels through info untouched.
  for (const name of [
    'a b',
    'ü',
    '漢字',
    'q"uote',
    'back\\slash',
    'tab\t',
    'bell\x07',
    'del\x7f',
    '😀',
    'new\nline',
  ]) {
    tryRun('qemu-img', ['create', '-q', '-f', 'raw', `./${name}`, '1M'], { cwd: dir });
    const { stdout } = tryRun('qemu-img', ['info', '--output=json', '-f', 'raw', `./${name}`], { cwd: dir });
    t.match(stdout, `"filename": ${qemuJson(`./${name}`)},`, JSON.stringify(name));
  }
  t.end();
});

t.test('keys of one bucket: the last inserted first', (t) => {
  const buckets = new Map<number, string>();
  let pair: [string, string] | undefined;
  for (let i = 0; !pair; i++) {
    const key = `key-${i}`;
    const other = buckets.get(qdictBucket(key));
    if (other !== undefined) pair = [other, key];
    buckets.set(qdictBucket(key), key);
  }
  t.strictSame(qdictOrder(pair), [pair[1], pair[0]]);
  t.end();
});

t.test('undefined members are left out', (t) => {
  t.equal(qemuJson({ a: undefined, b: 1n }), '{\n    "b": 1\n}');
  t.end();
});
