import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Progress } from '../disk/control.js';
import { toDiskImageError } from '../disk/errors.js';
import { HostFile } from '../disk/hostFile.js';
import { inspectFile } from '../inspect/index.js';
import { convert } from '../operations/convert.js';
import { copyImage } from '../operations/copyImage.js';
import type { Effort } from '../operations/job.js';
import { checkBase } from './checkBase.js';
import { digestData } from './dataDigest.js';
import type { Digests } from './digests.js';
import type { Steps } from './events.js';
import type { HttpLimits } from './http/download.js';
import { fetchHttp } from './httpSource.js';
import { type Accepted, accept, type IntakeRules } from './intake.js';
import { openLocal } from './localSource.js';
import type { CachePaths } from './names.js';
import { type BaseRecord, writeRecord } from './record.js';
import { renameDurably } from './smallFile.js';
import type { ImageOrigin, Obtained } from './source.js';

/** Zero runs of this many bytes become holes of the base (qemu-img convert's default). */
const SPARSE_SIZE = 4096;

export interface BaseOrder {
  imageId: string;
  origin: ImageOrigin;
  paths: CachePaths;
  rules: IntakeRules;
  expected: Digests;
  http: HttpLimits;
  /** Digest the base, so that it can be verified later. */
  digest: boolean;
  threads?: number;
  steps: Steps;
  signal?: AbortSignal;
  effort: Effort;
}

/**
 * Makes `_base/<key>` from its origin; the caller holds the image's lock. Until the last rename everything has
 * another name, and whatever fails leaves nothing (but a download that can be taken up).
 */
export async function makeBase(order: BaseOrder): Promise<BaseRecord> {
  const { origin, paths, steps } = order;
  // Left by a process that was killed: nobody works on it, since we hold the lock.
  await fs.rm(paths.converted, { force: true });
  const obtained = await steps.run('fetch', async ({ progress, detail }) => {
    const got = await obtain(order, progress);
    detail(origin.name, got.size);
    return got;
  });
  try {
    const accepted = await steps.run('inspect', async ({ detail }) => {
      const { claimed, maxVirtualSize } = order.rules;
      const verdict = accept(await inspectFile(obtained.path, { claimed, maxVirtualSize }), order.rules);
      detail(verdict.format, verdict.virtualSize);
      return verdict;
    });
    await fs.mkdir(dirname(paths.base), { recursive: true });
    const made = await steps.run('convert', async ({ progress, detail }) => {
      const raw = await toRaw(order, obtained, accepted, progress);
      const given = Object.keys(order.expected);
      detail(
        given.length > 0 ? `${given.join(', ')} of the source verified` : 'to raw',
        accepted.virtualSize,
      );
      return raw;
    });
    const record = await steps.run('verify', async ({ progress, detail }) => {
      const known = await verify(order, obtained, accepted, made, progress);
      detail('raw, and no image in itself', known.virtualSize);
      return known;
    });
    await writeRecord(paths.record, record);
    await renameDurably(made.path, paths.base);
    return record;
  } catch (error) {
    throw toDiskImageError(error, { path: paths.base, operation: 'provision' });
  } finally {
    await fs.rm(paths.converted, { force: true });
    await obtained.release();
  }
}

function obtain(order: BaseOrder, onProgress: (progress: Progress) => void): Promise<Obtained> {
  const { origin, paths, rules, expected, http: limits, signal, effort } = order;
  if (origin.kind === 'file') return openLocal(origin.path, expected, effort, signal);
  return fetchHttp({ origin: origin.origin, paths, rules, expected, limits, signal, effort, onProgress });
}

interface Made {
  path: string;
  digests: Digests;
}

async function toRaw(
  order: BaseOrder,
  obtained: Obtained,
  { plain, format, virtualSize }: Accepted,
  onProgress: (progress: Progress) => void,
): Promise<Made> {
  const { paths, threads, signal, effort } = order;
  const settings = { ...effort, signal, threads, onProgress };
  if (plain && obtained.owned) {
    await syncFile(obtained.path);
    return { path: obtained.path, digests: await obtained.settled() };
  }
  if (plain) await copyPlain(obtained.path, paths.converted, settings);
  else {
    await convert(
      {
        sources: [{ path: obtained.path, format, gate: 'deny', limits: { virtualSize } }],
        target: { path: paths.converted, format: 'raw', gate: 'deny' },
        sparseSize: SPARSE_SIZE,
      },
      settings,
    );
  }
  return { path: paths.converted, digests: await obtained.settled() };
}

/** A clone costs nothing; where there are none, the bytes pass by anyway and zeros can be left out. */
async function copyPlain(
  source: string,
  target: string,
  settings: Parameters<typeof copyImage>[1],
): Promise<void> {
  try {
    await copyImage({ source, target, reflink: 'always' }, settings);
  } catch (error) {
    const { errno } = toDiskImageError(error);
    if (!['EOPNOTSUPP', 'ENOTSUP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOSYS'].includes(errno ?? '')) throw error;
    await copyImage({ source, target, reflink: 'never', sparseSize: SPARSE_SIZE }, settings);
  }
}

async function verify(
  { imageId, origin, rules, digest, threads, signal, effort }: BaseOrder,
  obtained: Obtained,
  accepted: Accepted,
  made: Made,
  onProgress: (progress: Progress) => void,
): Promise<BaseRecord> {
  const file = await HostFile.open(made.path);
  try {
    await checkBase(file, { ...rules, format: accepted.format });
    const data = digest ? await digestData(file, { ...effort, threads, signal, onProgress }) : undefined;
    return {
      version: 1,
      imageId,
      source: origin.name,
      format: accepted.format,
      virtualSize: file.size,
      sourceSize: obtained.size,
      sourceDigests: made.digests,
      ...(data && { data }),
      created: new Date().toISOString(),
    };
  } finally {
    await file.close();
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await HostFile.open(path, { write: true });
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
