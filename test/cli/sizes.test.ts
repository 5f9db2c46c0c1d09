// Sizes in and out beside qemu-img and printf.
import { truncateSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { CliError } from '#src/cli/errors.js';
import { fixedDecimals, sizeArgument, sizeText } from '#src/cli/sizes.js';
import { Random } from '../support/random.js';
import { qemuImg, run, tryRun } from '../support/tools.js';

t.test('sizeText is what qemu-img info prints', (t) => {
  const file = `${t.testdir()}/disk.raw`;
  writeFileSync(file, '');
  const KiB = 1024;
  const seed = 5;
  const random = new Random(seed);
  const sizes = [
    0,
    512,
    999 * KiB,
    1000 * KiB,
    1023 * KiB,
    KiB ** 2,
    1.5 * KiB ** 3,
    1.125 * KiB ** 3,
    12.25 * KiB ** 2,
    12.75 * KiB ** 2,
    999.5 * KiB ** 2,
    1000 * KiB ** 2,
    8 * KiB ** 4,
  ];
  for (let i = 0; i < 40; i++) sizes.push(random.integer(1, 2 ** random.integer(1, 33)) * 512);
  for (const size of sizes) {
    truncateSync(file, size);
    const [, expected] = /virtual size: (.*) \(/.exec(qemuImg('info', '-f', 'raw', file)) ?? [];
    t.equal(sizeText(size), expected, `${size} bytes (seed ${seed})`);
  }
  t.end();
});

t.test('fixedDecimals is printf %.2f', (t) => {
  const seed = 6;
  const random = new Random(seed);
  const values = [0, 0.125, 0.375, 0.625, 2.5, 1.005, 0.615, 100, 99.995, 1 / 3, 1e-9];
  for (let i = 0; i < 200; i++) values.push((random.integer(0, 1e6) * 100) / random.integer(1, 1e6));
  const input = values.map((value) => `${value.toPrecision(17)}\n`).join('');
  const expected = run('awk', ['{ printf "%.2f\\n", $1 }'], { input }).trim().split('\n');
  for (const [i, value] of values.entries()) {
    t.equal(fixedDecimals(value, 2), expected[i], `${value} (seed ${seed})`);
  }
  t.end();
});

t.test('size arguments', (t) => {
  const words = [
    '1',
    '010',
    '0x10',
    '0x1k',
    '1.',
    '1.k',
    '1.5k',
    '1.5',
    '.5k',
    '1e3',
    '1E',
    ' 1',
    '+1',
    '1b',
    '1.5b',
    '1kB',
    '0.0005k',
    '0.0004k',
    '1.1G',
    '0.3E',
    '7.99999E',
    '8E',
    '16E',
    '',
    'k',
    '-1',
    '-0',
    '0x',
    '0x1.8k',
    'nan',
    '1 ',
  ];
  for (const word of words) {
    const theirs = tryRun('qemu-img', ['measure', `--size=${word}`]);
    const warnings: string[] = [];
    let lines: readonly string[] = [];
    let bytes: bigint | undefined;
    try {
      bytes = sizeArgument('image size', word, (text) => warnings.push(text));
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      lines = error.lines;
    }
    const stderr = [...warnings.map((text) => `warning: ${text}`), ...lines].map(
      (line) => `qemu-img: ${line}\n`,
    );
    t.equal(stderr.join(''), theirs.stderr, `complaints about '${word}'`);
    if (theirs.status !== 0) t.equal(bytes, undefined, `'${word}' is refused`);
    else {
      const required = BigInt(/required size: (\d+)/.exec(theirs.stdout)?.[1] ?? -1);
      t.equal(((bytes! + 511n) / 512n) * 512n, required, `'${word}' in sectors`);
    }
  }
  t.end();
});
