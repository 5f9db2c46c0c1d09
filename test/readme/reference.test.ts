// docs/library.md names everything that the package exports, and the sentences of the error table have every code.
import * as fs from 'node:fs';
import * as basecow from 'basecow';
import t from 'tap';

const read = (name: string): string => fs.readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

t.test('every exported value is in docs/library.md', async (t) => {
  const reference = read('docs/library.md');
  for (const name of Object.keys(basecow)) {
    t.match(reference, new RegExp(`\\b${name}\\b`), name);
  }
  for (const name of Object.getOwnPropertyNames(basecow.ImageCache.prototype)) {
    if (name !== 'constructor') t.match(reference, `\`${name}(`, `ImageCache.${name}`);
  }
});

t.test('every error code is in docs/library.md', async (t) => {
  const reference = read('docs/library.md');
  const codes = read('src/disk/errors.ts').match(/^ {2}\| '[A-Z0-9_]+'/gm) ?? [];
  t.ok(codes.length > 20, `${codes.length} codes`);
  for (const code of codes) t.match(reference, `\`${code.slice("  | '".length, -1)}\``, code);
});
