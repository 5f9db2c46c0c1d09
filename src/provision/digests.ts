import { requireOneOf, requireString } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';

const HEX_DIGITS = { md5: 32, sha256: 64, sha512: 128 } as const;

export type SourceAlgorithm = keyof typeof HEX_DIGITS;
/** Lower-case hexadecimal digests of an image file, by algorithm. */
export type Digests = Partial<Record<SourceAlgorithm, string>>;

/** What is digested of a source when its caller expects nothing in particular: the fastest where CPUs help with it. */
const DEFAULT_ALGORITHM: SourceAlgorithm = 'sha256';

/** The digests a caller expects, in lower case. @throws INVALID_ARGUMENT for text that can't be such a digest. */
export function parseDigests(given: Digests): Digests {
  // A digest that nobody compares must not look like one that was.
  for (const name of Object.keys(given)) {
    requireOneOf(name, Object.keys(HEX_DIGITS), 'a digest algorithm', 'provision');
  }
  const parsed: Digests = {};
  for (const [name, digits] of Object.entries(HEX_DIGITS) as [SourceAlgorithm, number][]) {
    const text = given[name];
    if (text === undefined) continue;
    requireString(text, `digests.${name}`, 'provision');
    if (text.length !== digits || !/^[0-9a-fA-F]+$/.test(text)) {
      throw new DiskImageError(
        'INVALID_ARGUMENT',
        `'${text.slice(0, 200)}' is no ${name} digest: that has ${digits} hexadecimal digits`,
        { operation: 'provision' },
      );
    }
    parsed[name] = text.toLowerCase();
  }
  return parsed;
}

export function algorithmsFor(expected: Digests): SourceAlgorithm[] {
  const names = Object.keys(expected) as SourceAlgorithm[];
  return names.length > 0 ? names : [DEFAULT_ALGORITHM];
}

/** Compares every expected digest. @throws DIGEST_MISMATCH naming both values. */
export function verifyDigests(expected: Digests, found: Digests, what: string, path: string): void {
  for (const name of Object.keys(expected) as SourceAlgorithm[]) {
    if (found[name] === expected[name]) continue;
    throw new DiskImageError(
      'DIGEST_MISMATCH',
      `${name} of ${what} is ${found[name] ?? 'not known'}, but ${expected[name]} was expected`,
      { path, operation: 'verify' },
    );
  }
}
