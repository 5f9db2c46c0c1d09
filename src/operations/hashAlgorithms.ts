import { getHashes } from 'node:crypto';

/** Bytes per digest of every algorithm there is a name for. All but md5 come from the OpenSSL that Node carries. */
export const digestBytes = {
  md5: 16,
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
  'sha512-224': 28,
  'sha512-256': 32,
  'sha3-224': 28,
  'sha3-256': 32,
  'sha3-384': 48,
  'sha3-512': 64,
  blake2b512: 64,
  blake2s256: 32,
  ripemd160: 20,
  sm3: 32,
} as const satisfies Record<string, number>;

/** Digest algorithm, as OpenSSL names it. */
export type HashAlgorithm = keyof typeof digestBytes;

/** Those that this Node.js can compute: an OpenSSL may leave some out (ripemd160 and sm3, mostly). */
export function hashAlgorithms(): HashAlgorithm[] {
  const offered = new Set(getHashes());
  return (Object.keys(digestBytes) as HashAlgorithm[]).filter((name) => name === 'md5' || offered.has(name));
}

/** Why `name` cannot be computed; undefined when it can. */
export function algorithmRefusal(name: unknown): string | undefined {
  if (typeof name === 'string' && Object.hasOwn(digestBytes, name)) {
    if (name === 'md5' || getHashes().includes(name)) return undefined;
    return `The OpenSSL of this Node.js does not offer '${name}'`;
  }
  return `Unknown digest algorithm '${String(name)}' (known: ${hashAlgorithms().join(', ')})`;
}
