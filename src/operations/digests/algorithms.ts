// Digest algorithms by the names that lists call them.
import { createHash } from 'node:crypto';
import { algorithmRefusal, digestBytes, type HashAlgorithm } from '../hashAlgorithms.js';

/** coreutils' and OpenSSL's tags, DFXML's types and hashlib's names, in lower case, where they are not OpenSSL's own name. */
const ALIASES: Readonly<Record<string, string>> = {
  'sha2-224': 'sha224',
  'sha2-256': 'sha256',
  'sha2-384': 'sha384',
  'sha2-512': 'sha512',
  'sha512/224': 'sha512-224',
  'sha512/256': 'sha512-256',
  sha512_224: 'sha512-224',
  sha512_256: 'sha512-256',
  sha3_224: 'sha3-224',
  sha3_256: 'sha3-256',
  sha3_384: 'sha3-384',
  sha3_512: 'sha3-512',
  blake2b: 'blake2b512',
  'blake2b-512': 'blake2b512',
  blake2s: 'blake2s256',
  'blake2s-256': 'blake2s256',
  'sha-1': 'sha1',
  'sha-256': 'sha256',
};

/** Bytes of a digest. */
export function digestWidth(algorithm: HashAlgorithm): number {
  return digestBytes[algorithm];
}

/** The algorithm that a list calls `MD5`, `SHA2-256`, `BLAKE2b`, …; undefined when it cannot be computed here. */
export function algorithmNamed(text: string): HashAlgorithm | undefined {
  const lower = text.toLowerCase();
  const name = Object.hasOwn(ALIASES, lower) ? ALIASES[lower] : lower;
  return algorithmRefusal(name) === undefined ? (name as HashAlgorithm) : undefined;
}

const BY_WIDTH: Readonly<Record<number, HashAlgorithm>> = {
  16: 'md5',
  20: 'sha1',
  28: 'sha224',
  32: 'sha256',
  48: 'sha384',
  64: 'sha512',
};

/** The algorithm of a bare digest of so many bytes: the first of `among` with that width, without them the commonest. */
export function algorithmOfWidth(width: number, among?: readonly HashAlgorithm[]): HashAlgorithm | undefined {
  if (among) return among.find((name) => digestBytes[name] === width);
  return BY_WIDTH[width];
}

/** Python's hashlib name, which bmap files use. */
export function hashlibName(algorithm: HashAlgorithm): string {
  if (algorithm === 'blake2b512') return 'blake2b';
  if (algorithm === 'blake2s256') return 'blake2s';
  return /^sha(3|512)-/.test(algorithm) ? algorithm.replace('-', '_') : algorithm;
}

const empty = new Map<HashAlgorithm, string>();

/** Digest of no bytes, hexadecimal. */
export function emptyDigest(algorithm: HashAlgorithm): string {
  let digest = empty.get(algorithm);
  if (digest === undefined) {
    digest = createHash(algorithm).digest('hex');
    empty.set(algorithm, digest);
  }
  return digest;
}

/** True when `text` is a digest of `algorithm` in hexadecimal. */
export function isDigest(text: string, algorithm: HashAlgorithm): boolean {
  return text.length === digestBytes[algorithm] * 2 && /^[0-9a-fA-F]+$/.test(text);
}
