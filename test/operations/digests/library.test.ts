// Lists through the library: what hash finds is written, read back, verified and repaired by.
import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import {
  bmapText,
  type DigestFormat,
  digestWriter,
  hash,
  httpRange,
  makeBmap,
  parseDigests,
  repairRanges,
  s3Etag,
  type VerifiedFile,
  verifyDigests,
  writeDigests,
} from 'basecow';
import t from 'tap';
import { Random } from '../../support/random.js';
import { qemuImg, run } from '../../support/tools.js';

process.chdir(t.testdir());
writeFileSync('disk', new Random(41).bytes(300_000));
copyFileSync('disk', 'changed');
const bytes = readFileSync('disk');
bytes[100_000] ^= 1;
writeFileSync('changed', bytes);

async function verified(list: string | Uint8Array, options = {}): Promise<VerifiedFile[]> {
  const files: VerifiedFile[] = [];
  for await (const item of verifyDigests({ list, ...options })) {
    if (item.of === 'malformed') throw new Error(`line ${item.line}`);
    files.push(item);
  }
  return files;
}

t.test('what hash finds, in every format and back', async (t) => {
  const outcome = await hash({ path: 'disk', algorithms: ['md5', 'sha256'], chunkSize: 65_536 });
  for (const format of ['plain', 'dfxml', 'json'] as DigestFormat[]) {
    const text = [...writeDigests(format, [outcome], ['md5', 'sha256'])].join('');
    const again = [...writeDigests(format, [outcome], ['md5', 'sha256'])].join('');
    t.equal(text, again, `${format}: the same input makes the same list`);
    const right = await verified(Buffer.from(text));
    t.ok(right.length >= 1 && right.every(({ verdict }) => verdict === 'ok'), format);
    const wrong = await verified(Buffer.from(text), { file: 'changed' });
    t.match(wrong.at(-1), {
      name: 'disk',
      path: 'changed',
      verdict: 'failed',
      differing: [{ start: 65_536, length: 65_536 }],
    });
    const { ranges } = await repairRanges({ list: Buffer.from(text), file: 'changed' });
    t.strictSame(ranges.map(httpRange), ['65536-131071'], format);
  }
  const hashdeep = await hash({ path: 'disk', algorithms: ['md5'], chunkSize: 65_536 });
  t.equal(
    [...writeDigests('hashdeep', [hashdeep], ['md5'], { command: 'a\nb', directory: '/' })]
      .join('')
      .split('\n').length,
    5 + 1 + 5 + 1,
  );
  t.throws(() => digestWriter('csv' as never, ['md5']), { code: 'INVALID_ARGUMENT', message: /not 'csv'/ });
});

t.test('a list as a stream', async (t) => {
  const list = () => Readable.from([Buffer.from(run('md5sum', ['disk', 'changed']))]);
  t.match(await verified(list() as never), [
    { name: 'disk', verdict: 'ok' },
    { name: 'changed', verdict: 'ok' },
  ]);
  t.match(await verified(list() as never, { file: 'changed' }), [{ name: 'changed', verdict: 'ok' }]);
  const endless = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(2 ** 20, '#');
    })(),
  );
  await t.rejects(repairRanges({ list: endless, file: 'disk', name: 'LIST' }), {
    code: 'LIMIT_EXCEEDED',
    message: /longer than 67108864 bytes/,
    path: 'LIST',
  });
});

t.test('what cannot be read is an answer, a cancel is none', async (t) => {
  const md5 = 'd'.repeat(32);
  const list = Buffer.from(`${md5}  gone\n${md5}  gone offset 0-9\n${md5}  .\n${md5}-1  gone\n`);
  const files = await verified(list);
  t.match(files, [
    { name: 'gone', verdict: 'unreadable', error: { code: 'IO', errno: 'ENOENT' } },
    { name: 'gone', verdict: 'unreadable', ranged: true, error: { errno: 'ENOENT' } },
    { name: '.', verdict: 'unreadable', error: { errno: 'EISDIR' } },
    { name: 'gone', verdict: 'unreadable', error: { errno: 'ENOENT' } },
  ]);
  const read = async () => {
    for await (const _ of verifyDigests({ list }, { signal: AbortSignal.abort() }));
  };
  await t.rejects(read(), { code: 'CANCELLED' });
  await t.rejects(verified('nolist'), { code: 'IO', errno: 'ENOENT', path: 'nolist' });
});

t.test('many ranges of many files, interleaved', async (t) => {
  const outcome = await hash({ path: 'disk', algorithms: [], chunkSize: 512, chunkAlgorithm: 'md5' });
  const rows = [...writeDigests('plain', [outcome], [])].join('').trimEnd().split('\n');
  // More than are verified at a time; the second copy of each is of another file.
  const lines: string[] = [];
  for (let round = 0; round < 120; round++) {
    for (const row of rows) lines.push(row, row.replace('  disk', '  changed'));
  }
  const files = await verified(Buffer.from(lines.join('\n')));
  t.strictSame(
    files.map(({ name, verdict, checked, mismatched, differing }) => ({
      name,
      verdict,
      checked,
      mismatched,
      differing,
    })),
    [
      { name: 'disk', verdict: 'ok', checked: rows.length * 120, mismatched: 0, differing: [] },
      {
        name: 'changed',
        verdict: 'failed',
        checked: rows.length * 120,
        mismatched: 120,
        differing: [{ start: 99_840, length: 512 }],
      },
    ],
  );
});

t.test('a file that differs in very many places', async (t) => {
  const count = 200_000;
  writeFileSync('wide', '');
  truncateSync('wide', count * 1024);
  const lines: string[] = [];
  for (let i = 0; i < count; i++)
    lines.push(`${'0'.repeat(32)}  wide offset ${i * 1024}-${i * 1024 + 511}\n`);
  const { ranges } = await repairRanges({ list: Buffer.from(lines.join('')), file: 'wide' });
  t.equal(ranges.length, count);
  t.strictSame(ranges.at(-1), { start: (count - 1) * 1024, length: 512 });
});

t.test('bmap and ETag', async (t) => {
  const map = await makeBmap({ path: 'disk', algorithm: 'blake2b512' });
  t.match(map, { size: 300_000, algorithm: 'blake2b512', digests: { length: 1 } });
  writeFileSync('disk.bmap', bmapText(map));
  t.match(readFileSync('disk.bmap', 'utf8'), '<ChecksumType> blake2b </ChecksumType>', "Python's name");
  run('bmaptool', ['copy', '--bmap', 'disk.bmap', 'disk', 'copied']);
  t.match(await verified('disk.bmap'), [{ name: 'disk', verdict: 'ok' }]);
  await t.rejects(verified(readFileSync('disk.bmap')), {
    code: 'INVALID_ARGUMENT',
    message: /does not name its image/,
  });
  t.match(await s3Etag({ path: 'disk', partSize: 100_000 }), {
    parts: 3,
    partSize: 100_000,
    size: 300_000,
    etag: /^[0-9a-f]{32}-3$/,
  });
  qemuImg('convert', '-O', 'qcow2', 'disk', 'disk.qcow2');
  qemuImg('convert', '-O', 'raw', 'disk.qcow2', 'flat');
  t.match(await s3Etag({ path: 'disk.qcow2', guest: true, format: 'qcow2' }), {
    etag: run('md5sum', ['flat']).slice(0, 32),
    parts: undefined,
  });
});

t.test('wrong arguments', async (t) => {
  for (const list of [undefined, 7, {}]) {
    const read = async () => {
      for await (const _ of parseDigests({ list: list as never }));
    };
    await t.rejects(read(), {
      code: 'INVALID_ARGUMENT',
      message: /list must be a path, bytes or a stream, not/,
    });
  }
});
