import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { requireObject } from '../disk/arguments.js';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { HostFile } from '../disk/hostFile.js';
import { type LockMode, Permission } from '../disk/lock.js';
import { throwIfAborted } from './abort.js';
import { type CachedFile, cachedFile, listCache } from './cacheList.js';
import type { LockFolder } from './lock.js';
import { baseFolder, cachePaths, parseBaseName, wantedKey } from './names.js';
import { findUsage } from './usage.js';

export interface RemoveOptions {
  /** Remove this image with all that was made of it. */
  imageId?: string;
  /** The same by the SHA-1 of its id, which is all that is known of bases made by Nova. */
  key?: string;
  /** Remove everything that nothing uses, of every image. */
  unused?: boolean;
  /** Seconds; files used more recently stay. Default 0. */
  olderThan?: number;
  /** Only say what would be done. */
  dryRun?: boolean;
  signal?: AbortSignal;
}

export interface RemoveOutcome {
  path: string;
  /** `removed` (with dryRun: would be), or why it was kept. */
  action: 'removed' | 'in use' | 'locked' | 'recent';
  /** Bytes of storage that it occupied. */
  allocated: number;
  /** Overlays that rest on it, or what else keeps it. */
  reasons: string[];
}

/** Conflicts with everybody who reads the file or relies on it. */
const ALONE: LockMode = { use: Permission.write | Permission.resize, share: 0 };

/**
 * Removes cached files under the lock of their image, after having looked for overlays once more. A file that an
 * overlay in the instances folder rests on, or that a running machine has open, is kept whatever is asked.
 * @throws INVALID_ARGUMENT without an image id or `unused`, and for an image that is not in the cache
 */
export async function removeFromCache(
  instances: string,
  locks: LockFolder,
  options: RemoveOptions,
): Promise<RemoveOutcome[]> {
  requireObject(options, 'the options', 'remove');
  const { unused, signal, olderThan = 0 } = options;
  const key = wantedKey(options);
  if ((key === undefined) === !unused) {
    throw new DiskImageError(
      'INVALID_ARGUMENT',
      'Say which image is to be removed: one by its id, or all unused ones',
      {
        operation: 'remove',
      },
    );
  }
  if (!(olderThan >= 0)) {
    throw new DiskImageError('INVALID_ARGUMENT', `${olderThan} seconds are no age`, { operation: 'remove' });
  }
  const { images } = await listCache(instances, signal);
  const wanted = images.filter((image) => key === undefined || image.key === key);
  if (key !== undefined && wanted.length === 0) {
    throw new DiskImageError('INVALID_ARGUMENT', `Image '${options.imageId ?? key}' is not in the cache`, {
      operation: 'remove',
    });
  }
  const outcomes: RemoveOutcome[] = [];
  for (const image of wanted) {
    throwIfAborted(signal, 'remove');
    outcomes.push(...(await removeImage(instances, image.key, locks, options)));
  }
  return outcomes;
}

async function removeImage(
  instances: string,
  key: string,
  locks: LockFolder,
  options: RemoveOptions,
): Promise<RemoveOutcome[]> {
  const lock = await locks.tryAcquire(cachePaths(instances, key).lockName);
  try {
    const usage = await findUsage(instances, options.signal);
    const unknown = usage.unreadable.map(
      ({ path, reason }) => `'${path}' can't be read, so it may rest on this: ${reason}`,
    );
    const outcomes: RemoveOutcome[] = [];
    for (const name of await namesOf(instances, key)) {
      const file = await cachedFile(join(baseFolder(instances), name), usage);
      if (!file) continue;
      const kind = parseBaseName(name)?.kind;
      const canBeUsed = kind === 'base' || kind === 'resized';
      const blockers = canBeUsed ? [...file.overlays, ...unknown] : [];
      outcomes.push(await removeFile(file, lock !== undefined, blockers, options));
    }
    if (lock && !options.dryRun) await removeNotes(instances, key);
    return outcomes;
  } finally {
    await lock?.release();
  }
}

async function removeFile(
  file: CachedFile,
  haveLock: boolean,
  blockers: string[],
  { olderThan = 0, dryRun }: RemoveOptions,
): Promise<RemoveOutcome> {
  const { path, allocated, age } = file;
  const kept = (action: RemoveOutcome['action'], reasons: string[]): RemoveOutcome => ({
    path,
    action,
    allocated,
    reasons,
  });
  if (blockers.length > 0) return kept('in use', blockers);
  if (!haveLock) return kept('locked', ['another process works on this image']);
  if (age < olderThan) return kept('recent', [`last used ${age} seconds ago`]);
  const holder = await machineLock(path);
  if (holder) return kept('in use', [holder]);
  if (!dryRun) {
    try {
      await fs.rm(path, { force: true });
    } catch (error) {
      throw toDiskImageError(error, { path, operation: 'remove' });
    }
  }
  return kept('removed', []);
}

/** A machine that runs on an overlay elsewhere holds QEMU's locks on the base. */
async function machineLock(path: string): Promise<string | undefined> {
  const file = await HostFile.open(path);
  try {
    file.lock(ALONE);
    return undefined;
  } catch (error) {
    const failure = toDiskImageError(error);
    if (failure.code === 'LOCKED') return failure.message.replaceAll('\n', ' ');
    throw failure;
  } finally {
    await file.close();
  }
}

/** Notes whose files are gone go too. */
async function removeNotes(instances: string, key: string): Promise<void> {
  const paths = cachePaths(instances, key);
  const kinds = (await namesOf(instances, key)).map((name) => parseBaseName(name)?.kind);
  if (!kinds.includes('base') && !kinds.includes('resized')) await fs.rm(paths.record, { force: true });
  if (!kinds.includes('part')) await fs.rm(paths.partState, { force: true });
}

async function namesOf(instances: string, key: string): Promise<string[]> {
  const names = await fs.readdir(baseFolder(instances));
  return names.filter((name) => parseBaseName(name)?.key === key).sort();
}
