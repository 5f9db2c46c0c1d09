// What a list says of one file, until it is verified.
import type { DiskImageError } from '../../disk/errors.js';
import type { HashAlgorithm } from '../hashAlgorithms.js';
import type { ByteRange } from '../hashRanges.js';
import type { ListedDigest } from './types.js';

/** Digests of ranges, by one algorithm. */
export interface RangeClaims {
  starts: number[];
  lengths: number[];
  /** Lower-case hexadecimal. */
  digests: string[];
}

export class Claim {
  /** As the list spells it. */
  readonly name: string;
  /** The file that is read. */
  readonly path: string;
  guest = false;
  format: string | undefined;
  /** Digests of the whole in any form, not yet verified. */
  wholes: ListedDigest[] = [];
  ranges = new Map<HashAlgorithm, RangeClaims>();
  pending = 0;
  /** The list has digests of ranges of it. */
  ranged = false;
  /** Where among the list's digests the latest one is. */
  latest = 0;
  checked = 0;
  mismatched = 0;
  /** A digest of the whole was wrong. */
  wholeDiffers = false;
  differing: ByteRange[] = [];
  size: number | undefined;
  listedSize: number | undefined;
  error: DiskImageError | undefined;

  constructor(name: string, path: string) {
    this.name = name;
    this.path = path;
  }

  add(found: ListedDigest): void {
    this.pending++;
    this.guest ||= found.guest === true;
    this.format ??= found.format;
    this.listedSize ??= found.size;
    if (found.of !== 'range') {
      this.wholes.push(found);
      return;
    }
    this.ranged = true;
    let claims = this.ranges.get(found.algorithm);
    if (!claims) {
      claims = { starts: [], lengths: [], digests: [] };
      this.ranges.set(found.algorithm, claims);
    }
    claims.starts.push(found.start!);
    claims.lengths.push(found.length!);
    claims.digests.push(found.digest);
  }

  differs(start: number, length: number): void {
    const last = this.differing.at(-1);
    if (last && last.start <= start && start <= last.start + last.length) {
      last.length = Math.max(last.length, start + length - last.start);
    } else this.differing.push({ start, length });
  }

  /** The differing ranges in order, those that touch joined. */
  settle(): void {
    const sorted = this.differing.sort((a, b) => a.start - b.start);
    this.differing = [];
    for (const { start, length } of sorted) this.differs(start, length);
  }
}

/**
 * Cuts claims into passes over the file: in each, ranges go up and do not overlap, but one may come several times in a row.
 * Indices into the claims.
 */
export function* passes({ starts, lengths }: RangeClaims): Generator<number[]> {
  let left = starts.map((_, i) => i).filter((i) => lengths[i] > 0);
  const order = (a: number, b: number) => starts[a] - starts[b] || lengths[a] - lengths[b];
  if (left.some((at, i) => i > 0 && order(left[i - 1], at) > 0)) left.sort(order);
  while (left.length > 0) {
    const pass: number[] = [];
    const later: number[] = [];
    let end = 0;
    for (const i of left) {
      const last = pass.at(-1);
      if (starts[i] >= end || (last !== undefined && order(last, i) === 0)) {
        pass.push(i);
        end = starts[i] + lengths[i];
      } else later.push(i);
    }
    yield pass;
    left = later;
  }
}
