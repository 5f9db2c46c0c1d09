import * as fs from 'node:fs/promises';
import type { Progress } from '../disk/control.js';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import type { Effort } from '../operations/job.js';
import { algorithmsFor, type Digests, verifyDigests } from './digests.js';
import { FollowingDigest } from './followingDigest.js';
import { Download, type HttpLimits } from './http/download.js';
import { nameOf, type Origin } from './http/location.js';
import { Intake, type IntakeRules } from './intake.js';
import type { CachePaths } from './names.js';
import type { Obtained } from './source.js';

const SLACK = 2 ** 26;

export interface HttpFetch {
  origin: Origin;
  paths: CachePaths;
  rules: IntakeRules;
  expected: Digests;
  limits: HttpLimits;
  signal?: AbortSignal;
  effort?: Effort;
  onProgress?: (progress: Progress) => void;
}

/**
 * Downloads to `.part`. A download that failed for the network's sake and can be taken up stays there; everything else
 * is removed.
 */
export async function fetchHttp(order: HttpFetch): Promise<Obtained> {
  const { origin, paths, expected, rules } = order;
  const { part, partState } = paths;
  const digest = new FollowingDigest(algorithmsFor(expected), order.effort, order.signal);
  const download = new Download({
    origin,
    part,
    partState,
    intake: new Intake(rules),
    digest,
    // A file can hold more than its guest sees (snapshots, metadata), but there must be an end.
    maxBytes: rules.maxVirtualSize === undefined ? Number.MAX_SAFE_INTEGER : 2 * rules.maxVirtualSize + SLACK,
    limits: order.limits,
    signal: order.signal,
    bytesPerSecond: order.effort?.bytesPerSecond,
    onProgress: order.onProgress,
  });
  const remove = async (): Promise<void> => {
    await fs.rm(part, { force: true });
    await fs.rm(partState, { force: true });
  };
  try {
    const { file, position: size } = await download.run();
    const found = await digest.finish(file, size);
    verifyDigests(expected, found, `'${nameOf(origin.url)}'`, nameOf(origin.url));
    await download.close();
    return { path: part, size, owned: true, settled: async () => found, release: remove };
  } catch (error) {
    await digest.abort();
    const keep = error instanceof DiskImageError && error.code === 'DOWNLOAD_FAILED' && download.resumable;
    await download.close();
    if (!keep) await remove();
    throw toDiskImageError(error, { path: part, operation: 'fetch' });
  }
}
