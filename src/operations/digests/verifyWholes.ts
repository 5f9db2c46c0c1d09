// Digests of whole files: many files at once, several algorithms of one file in one pass.
import { type DiskImageError, toDiskImageError } from '../../disk/errors.js';
import { type HashOutcome, type HashRequest, hash } from '../hash.js';
import type { HashAlgorithm } from '../hashAlgorithms.js';
import { type HashedFile, hashFiles } from '../hashFiles.js';
import type { JobSettings } from '../job.js';
import { BlkhashPlan } from './blkhash.js';
import type { Claim } from './claims.js';
import { DEFAULT_PART, etagOf, likelyParts, sizeOf } from './etag.js';
import type { ListedDigest } from './types.js';

/** One reading of one file, and what to do with what comes of it. */
interface Reading {
  request: HashRequest;
  claims: Set<Claim>;
  settle: (outcome: HashOutcome) => void;
}

/** Sets what became of each claim's `wholes`. @throws CANCELLED */
export async function verifyWholes(
  sources: ReadonlyMap<Claim, HashRequest>,
  partSize: number | undefined,
  settings: JobSettings,
): Promise<void> {
  const readings = plainReadings(sources);
  for (const [claim, source] of sources) {
    for (const found of claim.wholes) {
      if (found.of === 'blkhash') readings.push(blkhashReading(claim, source, found));
    }
  }
  await run(readings, settings);
  for (const [claim, source] of sources) {
    for (const found of claim.wholes) {
      if (found.of !== 'etag' || claim.error) continue;
      try {
        await verifyEtag(claim, source, found, partSize, settings);
      } catch (error) {
        claim.error = fileError(error, claim.path);
      }
    }
  }
}

function plainReadings(sources: ReadonlyMap<Claim, HashRequest>): Reading[] {
  const byFile = new Map<string, { source: HashRequest; found: [Claim, ListedDigest][] }>();
  for (const [claim, source] of sources) {
    for (const found of claim.wholes) {
      if (found.of !== 'whole') continue;
      const key = `${source.guest ? source.format : ''}:${source.path}`;
      const entry = byFile.get(key) ?? { source, found: [] };
      entry.found.push([claim, found]);
      byFile.set(key, entry);
    }
  }
  return [...byFile.values()].map(({ source, found }) => ({
    request: { ...source, algorithms: [...new Set(found.map(([, one]) => one.algorithm))] },
    claims: new Set(found.map(([claim]) => claim)),
    settle: ({ size, digests }) => {
      for (const [claim, { algorithm, digest }] of found)
        settle(claim, size, digests[algorithm as HashAlgorithm] === digest);
    },
  }));
}

function blkhashReading(claim: Claim, source: HashRequest, found: ListedDigest): Reading {
  const plan = new BlkhashPlan(found.algorithm, source.path);
  return {
    request: { ...source, ...plan.request(found.blockSize!) },
    claims: new Set([claim]),
    settle: ({ size }) => settle(claim, size, plan.digest(size) === found.digest),
  };
}

function settle(claim: Claim, size: number, right: boolean): void {
  claim.size = size;
  claim.checked++;
  if (right) return;
  claim.mismatched++;
  claim.wholeDiffers = true;
}

async function run(readings: readonly Reading[], settings: JobSettings): Promise<void> {
  const settled = ({ claims, settle: finish }: Reading, { outcome, error }: Omit<HashedFile, 'path'>) => {
    if (outcome) finish(outcome);
    else for (const claim of claims) claim.error ??= error;
  };
  // A single file gets all threads, and progress in bytes.
  if (readings.length === 1) settled(readings[0], await hashAlone(readings[0].request, settings));
  else if (readings.length > 1) {
    const requests = readings.map(({ request }) => request);
    for (const [index, file] of (await hashFiles(requests, settings)).entries())
      settled(readings[index], file);
  }
}

async function hashAlone(request: HashRequest, settings: JobSettings): Promise<Omit<HashedFile, 'path'>> {
  try {
    return { outcome: await hash(request, settings) };
  } catch (error) {
    return { error: fileError(error, request.path) };
  }
}

/** @throws CANCELLED: that is no answer about a file. */
export function fileError(error: unknown, path: string): DiskImageError {
  const found = toDiskImageError(error, { path, operation: 'hash' });
  if (found.code === 'CANCELLED') throw found;
  return found;
}

/** The part size is not in an ETag: those that fit its number of parts are tried, likeliest first. */
async function verifyEtag(
  claim: Claim,
  source: HashRequest,
  found: ListedDigest,
  partSize: number | undefined,
  settings: JobSettings,
): Promise<void> {
  const size = await sizeOf(source);
  const wanted = `${found.digest}-${found.parts}`;
  const candidates =
    partSize === undefined && size !== undefined
      ? likelyParts(size, found.parts!)
      : [partSize ?? DEFAULT_PART];
  let right = false;
  let bytes = size ?? 0;
  for (const chunkSize of candidates) {
    const outcome = await hash({ ...source, algorithms: [], chunkSize, chunkAlgorithm: 'md5' }, settings);
    bytes = outcome.size;
    right = etagOf(outcome, chunkSize).etag === wanted;
    if (right) break;
  }
  settle(claim, bytes, right);
}
