// Tables of images with one field changed: the violation's code, and the value in its sentence.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { codes, cutFile, judge, patch } from './inspection.js';
import type { Random } from './random.js';
import { qemuImg } from './tools.js';

export interface Bench {
  dir: string;
  random: Random;
}

export type Change = (path: string) => void;
export const put =
  (offset: number, bytes: Buffer | number[]): Change =>
  (path) =>
    patch(path, offset, bytes);
export const all =
  (...changes: Change[]): Change =>
  (path) => {
    for (const change of changes) change(path);
  };
export const cut =
  (size: number): Change =>
  (path) =>
    cutFile(path, size);
export const edit =
  (change: (image: Buffer) => void): Change =>
  (path) => {
    const image = readFileSync(path);
    change(image);
    writeFileSync(path, image);
  };

export interface Field {
  what: string;
  change: Change;
  codes: string[];
  says: string;
  strict?: boolean;
}

export function table(bench: Bench, format: string, make: (path: string) => void, fields: Field[]): void {
  const good = `${bench.dir}/good.${format}`;
  make(good);
  const claimed = format.split('-')[0];
  t.test(`${format}: the unchanged image is safe`, async (t) => {
    t.same((await judge(t, good, { claimed }, bench.random)).violations, []);
  });
  fields.forEach(({ what, change, codes: wanted, says, strict }, index) => {
    t.test(`${format}, ${what}: ${wanted.join(', ')}`, async (t) => {
      const path = `${bench.dir}/${format}${index}`;
      copyFileSync(good, path);
      change(path);
      const verdict = await judge(t, path, { claimed, strict }, bench.random);
      t.same(codes(verdict), wanted);
      t.equal(verdict.safe, false);
      t.match(verdict.violations.map(({ message }) => message).join('\n'), says);
    });
  });
}

/** A 3 MiB disk in another format. */
export const convert =
  (bench: Bench, format: string, ...options: string[]): Change =>
  (path) => {
    const raw = `${bench.dir}/raw`;
    writeFileSync(raw, Buffer.alloc(3 * 2 ** 20, 'some content '));
    qemuImg('convert', '-f', 'raw', '-O', format, ...options, raw, path);
  };
