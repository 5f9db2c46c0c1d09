// Lists of digests as they come from others: every form, cut anywhere, and hostile ones.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type ListItem, parseDigests } from 'basecow';
import t from 'tap';
import { Random } from '../../support/random.js';
import { run } from '../../support/tools.js';

const dir = t.testdir();
process.chdir(dir);
const random = new Random(23);
const NAMES = ['f1', 'a & <b>"\'q', 'comma,name', 'été 😀', 'void'];
for (const name of NAMES) writeFileSync(name, name === 'void' ? '' : random.bytes(random.integer(1, 5000)));

async function parsed(text: string | Uint8Array, hints = {}): Promise<ListItem[]> {
  const items: ListItem[] = [];
  for await (const item of parseDigests({ list: Buffer.from(text as string), ...hints })) items.push(item);
  return items;
}

const MD5 = createHash('md5').update('x').digest('hex');
const SHA1 = createHash('sha1').update('x').digest('hex');
const JSON_LIST = JSON.stringify([
  {
    filename: 'a"\\\n😀',
    size: 1500,
    guest: false,
    md5: MD5,
    chunks: { algorithm: 'sha1', size: 1000, digests: [SHA1, SHA1] },
  },
  {
    filename: 'g',
    size: 5,
    guest: true,
    format: 'qcow2',
    blkhash: { algorithm: 'md5', blockSize: 65536, digest: MD5 },
    more: { deep: [1, -2.5e3, null, true] },
  },
  {
    filename: 'two',
    size: 3,
    chunks: [
      { algorithm: 'md5', size: 512, digests: [MD5] },
      { algorithm: 'sha1', size: 512, digests: [SHA1] },
    ],
  },
]);
const LISTS: Record<string, string> = {
  md5sum: run('md5sum', NAMES),
  tagged: run('sha256sum', ['--tag', ...NAMES]),
  openssl: run('openssl', ['dgst', '-sha512', 'f1']),
  md5deep: run('md5deep', ['-l', '-p', '512', ...NAMES]),
  hashdeep: run('hashdeep', ['-l', ...NAMES]),
  pieces: run('hashdeep', ['-l', '-p', '512', '-c', 'md5,sha1,tiger', ...NAMES]),
  dfxml: run('hashdeep', ['-d', '-l', '-p', '512', ...NAMES]),
  bmap: run('bmaptool', ['create', 'f1']),
  json: JSON_LIST,
  malformed: `${MD5}  a\nnonsense\n\n# comment\n${MD5}  b`,
};

t.test('every form, the same wherever it is cut', async (t) => {
  for (const [name, text] of Object.entries(LISTS)) {
    const bytes = Buffer.from(text);
    const expected = await parsed(bytes);
    t.ok(expected.length > 0, `${name}: ${expected.length}`);
    const step = Math.max(1, Math.floor(bytes.length / 60));
    for (let at = 1; at < bytes.length; at += step) {
      const items: ListItem[] = [];
      const list = Readable.from([bytes.subarray(0, at), bytes.subarray(at)]);
      for await (const item of parseDigests({ list })) items.push(item);
      if (JSON.stringify(items) !== JSON.stringify(expected))
        t.strictSame(items, expected, `${name} cut at ${at}`);
    }
    const items: ListItem[] = [];
    const bits = (function* () {
      for (const byte of bytes) yield Uint8Array.of(byte);
    })();
    for await (const item of parseDigests({ list: Readable.from(bits) })) items.push(item);
    t.strictSame(items, expected, `${name} byte by byte`);
  }
});

t.test('what is read from them', async (t) => {
  const [first, second, third] = await parsed(JSON_LIST);
  t.strictSame(first, {
    of: 'range',
    name: 'a"\\\n😀',
    size: 1500,
    algorithm: 'sha1',
    digest: SHA1,
    start: 0,
    length: 1000,
  });
  t.match(second, { start: 1000, length: 500 });
  t.match(third, { of: 'whole', algorithm: 'md5', digest: MD5 });
  t.match((await parsed(JSON_LIST))[3], {
    of: 'blkhash',
    name: 'g',
    guest: true,
    format: 'qcow2',
    blockSize: 65536,
  });
  t.match(await parsed(`"${MD5}-17"  a b`), [{ of: 'etag', parts: 17, digest: MD5, name: 'a b' }]);
  t.match(await parsed(`${MD5}  a offset 10-19\n`), [{ of: 'range', name: 'a', start: 10, length: 10 }]);
  t.match(await parsed(`${MD5}  a offset 19-10\n`), [{ of: 'whole', name: 'a offset 19-10' }]);
  t.match(await parsed('d41d8cd98f00b204e9800998ecf8427e  a offset 0-0'), [{ length: 0 }], 'nothing');
  t.match(await parsed(`${MD5}  a`, { blkhashBlock: 512 }), [{ of: 'blkhash', blockSize: 512 }]);
  t.match(await parsed(`${MD5}  a\n${SHA1}  a`, { algorithms: ['sha1'] }), [
    { of: 'malformed', line: 1 },
    { algorithm: 'sha1' },
  ]);
  t.match(await parsed('0'.repeat(128), { algorithms: ['blake2b512'] }), [{ of: 'malformed' }], 'no name');
  t.match(await parsed(`${'0'.repeat(128)}  x`, { algorithms: ['blake2b512'] }), [
    { algorithm: 'blake2b512' },
  ]);
  t.match(await parsed(`\ufeff${MD5}  a`), [{ name: 'a' }], 'byte order mark');
  t.match(await parsed(`${MD5} a b`), [{ of: 'whole', name: 'a b' }], 'md5 -r');
  t.match(await parsed(`${MD5}  a\0b\n${MD5}  a`), [{ of: 'malformed', line: 1 }, { name: 'a' }]);
  t.strictSame(await parsed(''), []);
  t.strictSame(await parsed('\n\n  \n'), [{ of: 'malformed', line: 3 }]);
  t.match(
    await parsed(
      `<dfxml><fileobject><filename>&#x41;&lt;&#10;</filename><hashdigest type='md5'>${MD5}</hashdigest></fileobject></dfxml>`,
    ),
    [{ of: 'whole', name: 'A<\n' }],
  );
});

t.test('a long line is one malformed line', async (t) => {
  const items = await parsed(`${MD5}  a\n${'f'.repeat(10_000_000)}\n${MD5}  b\n`);
  t.match(items, [{ name: 'a' }, { of: 'malformed', line: 2 }, { name: 'b' }]);
});

const bmap = (edit: (text: string) => string) => edit(LISTS.bmap);
const NS = '<dfxml><fileobject><filename>a</filename>';
const HOSTILE: readonly [what: string, text: string, sentence: string][] = [
  [
    'document type',
    '<!DOCTYPE dfxml [<!ENTITY a "b">]><dfxml/>',
    'document types and entity declarations are not read',
  ],
  ['entity', `${NS}<filename>&lol;</filename>`, 'it has the entity "&lol;", which is none of XML\'s own'],
  ['open entity', `${NS}<filename>a & b</filename>`, 'it has the entity "& b", which is none of XML\'s own'],
  [
    'surrogate',
    '<dfxml><fileobject><filename>&#xd800;</filename>',
    'it has the entity "&#xd800;", which is none of XML\'s own',
  ],
  ['depth', '<a:dfxml>'.repeat(100), 'elements are nested more than 64 deep'],
  ['wrong end', '<dfxml><fileobject></dfxml>', '</dfxml> closes <fileobject>'],
  ['no end', '<dfxml><fileobject>', '<fileobject> is not closed'],
  ['two roots', '<dfxml></dfxml><dfxml>', '<dfxml> comes after the end'],
  [
    'endless tag',
    `<dfxml ${'a'.repeat(200_000)}`,
    'it is not well-formed: "<dfxml aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"',
  ],
  [
    'endless name',
    `<dfxml><fileobject><filename>${'a'.repeat(200_000)}`,
    'a field is longer than 65536 characters',
  ],
  ['attribute twice', '<dfxml a="1" a="2"/>', '<dfxml> has the attribute a twice'],
  ['other XML', '<html></html>', 'its element <html> is neither dfxml nor bmap'],
  [
    'other encoding',
    '<?xml version="1.0" encoding="UTF-16"?><dfxml/>',
    "its encoding is 'UTF-16'; only UTF-8 is read",
  ],
  [
    'digest first',
    `<dfxml><fileobject><hashdigest type='md5'>${MD5}</hashdigest>`,
    'a <hashdigest> comes before its <filename>',
  ],
  ['no digest', `${NS}<hashdigest type='md5'>12</hashdigest>`, "'12' is no md5 digest"],
  ['negative offset', `${NS}<byte_run file_offset='-1' len='2'>`, "file_offset '-1' is no number of bytes"],
  [
    'run beyond 2^53',
    `${NS}<byte_run file_offset='9007199254740991' len='2'>`,
    'a byte run ends beyond 2^53: 9007199254740991, 2',
  ],
  [
    'bmap version',
    bmap((text) => text.replace('version="2.0"', 'version="1.3"')),
    "it is a bmap of version '1.3'; 2.0 is read",
  ],
  [
    'bmap changed',
    bmap((text) => text.replace('<ImageSize> ', '<ImageSize>  ')),
    'the bmap itself has changed',
  ],
  [
    'bmap checksum missing',
    bmap((text) => text.replace(/<BmapFileChecksum>[^<]*<\/BmapFileChecksum>/, '')),
    'BmapFileChecksum does not come before the block map',
  ],
  [
    'bmap checksum type',
    bmap((text) => text.replace(' sha256 ', ' crc99 ')),
    "its ChecksumType 'crc99' is not known",
  ],
  ['bmap without sums', bmap((text) => text.replace(/ chksum="[^"]*"/, '')), 'the range 0'],
  [
    'bmap range',
    bmap((text) => text.replace(/(<Range[^>]*>)[^<]*/, '$1 5-3 ')),
    "'5-3' is no range, or out of order",
  ],
  ['JSON cut', '[{"filename": "a", ', 'it ends too early'],
  ['JSON comma', '[{"filename": "a",}]', 'it is no JSON where it says "}"'],
  ['JSON number', '[{"filename": 01}]', 'it is no JSON where it says "01}]"'],
  ['JSON rest', '[] []', 'it is no JSON where it says "["'],
  ['JSON depth', '['.repeat(100), 'it is nested more than 16 deep'],
  [
    'JSON string',
    `["${'a'.repeat(200_000)}`,
    'it is no JSON where it says "\\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"',
  ],
  ['JSON of something else', '[1]', 'it holds 1 where a file is described'],
  ['JSON without name', `[{"md5": "${MD5}"}]`, 'a file has no filename'],
  ['JSON digest', '[{"filename": "a", "md5": "xyz"}]', '"xyz" is no md5 digest'],
  ['JSON size', '[{"filename": "a", "size": -1}]', 'size is no number of bytes: -1'],
  [
    'JSON order',
    `[{"filename": "a", "chunks": {"digests": ["${MD5}"]}}]`,
    'filename, size, chunks.algorithm and chunks.size must come before chunks.digests',
  ],
  [
    'JSON chunks',
    `[{"filename": "a", "size": 3, "chunks": {"algorithm": "md5", "size": 2, "digests": ["${MD5}","${MD5}","${MD5}"]}}]`,
    'it has more than 2 chunks of 2 bytes in 3',
  ],
  [
    'JSON no chunk',
    `[{"filename": "a", "size": 3, "chunks": {"algorithm": "md5", "size": 0, "digests": []}}]`,
    'chunks.size is 0',
  ],
  [
    'JSON algorithm',
    `[{"filename": "a", "size": 3, "chunks": {"algorithm": "crc", "size": 2, "digests": []}}]`,
    'the algorithm "crc" is not known',
  ],
];

t.test('hostile lists are refused with the reason', async (t) => {
  for (const [what, text, sentence] of HOSTILE) {
    for (const size of [text.length, 7]) {
      const list = Readable.from(
        (function* () {
          for (let at = 0; at < text.length; at += size) yield Buffer.from(text.slice(at, at + size));
        })(),
      );
      const read = async () => {
        for await (const _ of parseDigests({ list, name: 'LIST' }));
      };
      const error = await read().then(
        () => undefined,
        (error: Error) => error,
      );
      t.match(error, { code: 'INVALID_ARGUMENT', path: 'LIST' }, what);
      t.ok(error?.message.startsWith("'LIST' is no list of digests: "), error?.message ?? what);
      // How much of it had come is told as well.
      const shown =
        size === 7 && sentence.includes('where it says') ? 'it is no JSON where it says' : sentence;
      t.ok(error?.message.includes(shown), `${what}: ${error?.message}`);
    }
  }
});

t.test('a million lines are not held', async (t) => {
  const lines = 1_000_000;
  const list = (function* () {
    for (let i = 0; i < lines; i += 1000) {
      let text = '';
      for (let k = i; k < i + 1000; k++) text += `${MD5}  disk offset ${k * 512}-${k * 512 + 511}\n`;
      yield Buffer.from(text);
    }
  })();
  let count = 0;
  // What is in use after a collection, not what the heap has grown to: that depends on when V8 collects.
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = used();
  let more = 0;
  for await (const item of parseDigests({ list: Readable.from(list) })) {
    if (item.of === 'range') count++;
    if (count === lines) more = used() - before;
  }
  t.equal(count, lines);
  // Held, they would be some 200 MB.
  t.ok(more < 32 * 2 ** 20, `${Math.round(more / 2 ** 20)} MiB more`);
});
