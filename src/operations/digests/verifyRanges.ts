// Digests of byte ranges of one file.
import { chunkDigest, type HashRequest } from '../hash.js';
import { hashRanges } from '../hashRanges.js';
import { openHostMap } from '../hostMap.js';
import type { JobSettings } from '../job.js';
import { openSource } from '../source.js';
import { emptyDigest } from './algorithms.js';
import { type Claim, passes } from './claims.js';

/** Compares the claim's ranges; those beyond the end of the file differ. @throws as hashRanges. */
export async function verifyRanges(claim: Claim, source: HashRequest, settings: JobSettings): Promise<void> {
  const size = await currentSize(source);
  claim.size = size;
  for (const [algorithm, all] of claim.ranges) {
    const { starts, lengths, digests } = all;
    const judge = (i: number, right: boolean) => {
      claim.checked++;
      if (right) return;
      claim.mismatched++;
      if (lengths[i] > 0) claim.differs(starts[i], lengths[i]);
    };
    for (const [i, length] of lengths.entries()) {
      if (length === 0) judge(i, starts[i] <= size && digests[i] === emptyDigest(algorithm));
    }
    for (const pass of passes(all)) {
      const inside = pass.filter((i) => starts[i] + lengths[i] <= size);
      const ranges = new Float64Array(inside.length * 2);
      // A range that is listed again is digested once.
      const places: number[] = [];
      let count = 0;
      for (const [at, i] of inside.entries()) {
        if (at === 0 || starts[i] !== starts[inside[at - 1]])
          ranges.set([starts[i], lengths[i]], 2 * count++);
        places.push(count - 1);
      }
      const pairs = ranges.subarray(0, 2 * count);
      const found =
        count > 0 ? await hashRanges({ ...source, ranges: pairs, algorithm }, settings) : undefined;
      for (const [at, i] of inside.entries()) judge(i, chunkDigest(found!, places[at]) === digests[i]);
      for (const i of pass) if (starts[i] + lengths[i] > size) judge(i, false);
    }
  }
}

async function currentSize(source: HashRequest): Promise<number> {
  const map = source.guest
    ? await openSource({ ...source, format: source.format! })
    : await openHostMap(source.path);
  await map.close();
  return map.virtualSize;
}
