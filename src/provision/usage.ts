// Which cached files the disks in the instances folder rest on.
import type { Dirent } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { toDiskImageError } from '../disk/errors.js';
import { identityOf } from '../disk/hostFile.js';
import { resolveStoredName } from '../disk/names.js';
import { openDisk } from '../formats/open.js';
import { throwIfAborted } from './abort.js';
import { readDiskInfo } from './diskInfo.js';
import { BASE_FOLDER, LOCK_FOLDER } from './names.js';

/** instances/INSTANCE/FILE, and instances/snapshots/TEMPORARY/FILE. */
const DEPTH = 3;
const MAGIC = Buffer.from('QFI\xfb', 'latin1');

export interface Usage {
  /** Overlays by `dev:ino` of the file they name as their backing file. */
  readonly overlays: ReadonlyMap<string, string[]>;
  /** Files that look like overlays and can't be read: what they rest on is not known. */
  readonly unreadable: { path: string; reason: string }[];
}

/** Looks at every file below the instances' folders; qcow2 headers only, no locks, nothing else is opened. */
export async function findUsage(instances: string, signal?: AbortSignal): Promise<Usage> {
  const overlays = new Map<string, string[]>();
  const unreadable: Usage['unreadable'] = [];
  for await (const { path, format } of candidates(instances, 1, signal)) {
    try {
      const backing = await backingOf(path, format);
      const stat = backing === undefined ? undefined : await fs.stat(backing).catch(() => undefined);
      if (!stat) continue;
      const identity = identityOf(stat);
      overlays.set(identity, [...(overlays.get(identity) ?? []), path]);
    } catch (error) {
      const failure = toDiskImageError(error, { path });
      // Removed since the folder was read.
      if (failure.errno !== 'ENOENT') unreadable.push({ path, reason: failure.message });
    }
  }
  return { overlays, unreadable };
}

async function* candidates(
  folder: string,
  depth: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ path: string; format?: string }> {
  throwIfAborted(signal, 'list');
  const formats = depth > 1 ? await readDiskInfo(folder).catch(() => ({}) as Record<string, string>) : {};
  for (const entry of await entries(folder)) {
    const path = join(folder, entry.name);
    const skipped = depth === 1 && (entry.name === BASE_FOLDER || entry.name === LOCK_FOLDER);
    if (entry.isDirectory() && !skipped && depth < DEPTH) yield* candidates(path, depth + 1, signal);
    else if (depth > 1 && (entry.isFile() || entry.isSymbolicLink())) yield { path, format: formats[path] };
  }
}

async function entries(folder: string): Promise<Dirent[]> {
  try {
    return await fs.readdir(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw toDiskImageError(error, { path: folder, operation: 'list' });
  }
}

/** The backing file of an overlay; undefined for everything else. */
async function backingOf(path: string, format: string | undefined): Promise<string | undefined> {
  if (format === 'raw') return undefined;
  const stat = await fs.stat(path);
  if (!stat.isFile() || !(await hasMagic(path))) return undefined;
  const disk = await openDisk(path, { format: 'qcow2', chain: false, lock: false });
  try {
    const { backingFilename } = await disk.info();
    return backingFilename === undefined ? undefined : resolveStoredName(backingFilename, path);
  } finally {
    await disk.close();
  }
}

async function hasMagic(path: string): Promise<boolean> {
  const file = await fs.open(path, 'r');
  try {
    const head = Buffer.alloc(MAGIC.length);
    await file.read(head, 0, head.length, 0);
    return head.equals(MAGIC);
  } finally {
    await file.close();
  }
}
