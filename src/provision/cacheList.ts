import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { toDiskImageError } from '../disk/errors.js';
import { identityOf } from '../disk/hostFile.js';
import { baseFolder, cachePaths, parseBaseName } from './names.js';
import { type BaseRecord, readRecord } from './record.js';
import { findUsage, type Usage } from './usage.js';

export interface CachedFile {
  path: string;
  /** Bytes. */
  size: number;
  /** Bytes of storage occupied. */
  allocated: number;
  /** Last use, ISO 8601. */
  lastUsed: string;
  /** Seconds since. */
  age: number;
  /** Overlays in the instances folder that rest on it. */
  overlays: string[];
}

export interface CachedImage {
  /** Undefined for bases that Nova made: only the SHA-1 is known of their id. */
  imageId?: string;
  /** SHA-1 of the image id. */
  key: string;
  /** Absent while it is being made, or when only leftovers are there. */
  base?: CachedFile;
  resized: CachedFile[];
  /** Downloads and conversions under way or left by a killed run. */
  unfinished: CachedFile[];
  /** What was recorded when the base was made. */
  source?: string;
  format?: string;
  created?: string;
  sourceDigests?: BaseRecord['sourceDigests'];
  /** Whether there is a record to verify the base against. */
  verifiable: boolean;
}

export interface CacheListing {
  folder: string;
  images: CachedImage[];
  /** Files in the cache folder that are none of ours. */
  others: string[];
  /** Overlays that can't be read: what they rest on is not known. */
  unreadable: Usage['unreadable'];
}

export async function listCache(instances: string, signal?: AbortSignal): Promise<CacheListing> {
  const folder = baseFolder(instances);
  const usage = await findUsage(instances, signal);
  const images = new Map<string, CachedImage>();
  const others: string[] = [];
  for (const name of await names(folder)) {
    const parsed = parseBaseName(name);
    const path = join(folder, name);
    const file = parsed && (await cachedFile(path, usage));
    if (!parsed || !file) {
      if (!parsed) others.push(path);
      continue;
    }
    let image = images.get(parsed.key);
    if (!image) {
      image = await describe(instances, parsed.key);
      images.set(parsed.key, image);
    }
    if (parsed.kind === 'base') image.base = file;
    else if (parsed.kind === 'resized') image.resized.push(file);
    else image.unfinished.push(file);
  }
  const sorted = [...images.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const image of sorted) image.resized.sort((a, b) => a.size - b.size);
  return { folder, images: sorted, others: others.sort(), unreadable: usage.unreadable };
}

/** One file of the cache; undefined when it is gone or no regular file. */
export async function cachedFile(path: string, { overlays }: Usage): Promise<CachedFile | undefined> {
  const stat = await fs.lstat(path).catch(() => undefined);
  if (!stat?.isFile()) return undefined;
  return {
    path,
    size: stat.size,
    allocated: stat.blocks * 512,
    lastUsed: stat.mtime.toISOString(),
    age: Math.max(0, Math.round((Date.now() - stat.mtimeMs) / 1000)),
    overlays: overlays.get(identityOf(stat)) ?? [],
  };
}

async function describe(instances: string, key: string): Promise<CachedImage> {
  const record = await readRecord(cachePaths(instances, key).record);
  return {
    ...(record && { imageId: record.imageId }),
    key,
    resized: [],
    unfinished: [],
    ...(record && {
      source: record.source,
      format: record.format,
      created: record.created,
      sourceDigests: record.sourceDigests,
    }),
    verifiable: record?.data !== undefined,
  };
}

/** Plain entries of the cache folder; none when it is not there. */
async function names(folder: string): Promise<string[]> {
  try {
    const entries = await fs.readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw toDiskImageError(error, { path: folder, operation: 'list' });
  }
}
