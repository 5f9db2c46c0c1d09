import { statSync } from 'node:fs';
import { requireObject, requireOneOf } from '../disk/arguments.js';
import type { Disk } from '../disk/disk.js';
import { DiskImageError } from '../disk/errors.js';
import type { RuntimeOptions, SnapshotSelector } from '../disk/format.js';
import type { Gate } from '../disk/gate.js';
import { type GateSpec, resolveGate } from '../disk/gates.js';
import { type HostFile, identityOf } from '../disk/hostFile.js';
import type { Limits } from '../disk/limits.js';
import type { Secrets } from '../disk/secrets.js';
import { type OpenDiskOptions, openDisk } from '../formats/open.js';
import { layers } from './segment.js';

/** QEMU's cache modes. `none` and `directsync` keep the job's pages out of the page cache; `unsafe` never syncs. */
export type CacheMode = 'none' | 'directsync' | 'writeback' | 'writethrough' | 'unsafe';

/** An existing image that an operation opens. */
export interface NamedImage {
  path: string;
  /** Format name; never guessed (probeFormat guesses, as a named act). */
  format: string;
  /** Rules for files that the image names; default `local`. Jobs in a pool take names only. */
  gate?: Gate | GateSpec;
  limits?: Partial<Limits>;
  /** QEMU's image locks; default true, `false` is qemu-img's `-U`. */
  lock?: boolean;
  /** Runtime options of the image by QEMU's names; the format refuses those it has not. */
  runtime?: RuntimeOptions;
  /** Passphrases and keys that runtime options name, by id. */
  secrets?: Secrets;
}

/** An image an operation reads. */
export interface ImageSource extends NamedImage {
  /** Internal snapshot to read instead of the active layer. */
  snapshot?: SnapshotSelector;
}

const CACHE_MODES: readonly CacheMode[] = ['none', 'directsync', 'writeback', 'writethrough', 'unsafe'];

/** @throws INVALID_ARGUMENT for what is no cache mode: a typing error must not decide about durability. */
export function checkCacheMode(mode: CacheMode | undefined, what: string, operation: string): void {
  requireOneOf(mode, CACHE_MODES, what, operation);
}

/** Opens the chain of `source` for reading. */
export function openSource(source: ImageSource): Promise<Disk> {
  requireObject(source, 'an image to read', 'open');
  return openDisk(source.path, { ...openingOf(source), snapshot: source.snapshot });
}

/** How the image is to be opened, as far as whoever names it says. */
export function openingOf(
  image: Omit<NamedImage, 'path'>,
): Omit<OpenDiskOptions, 'writable' | 'snapshot' | 'chain' | 'check'> {
  const { format, gate, limits, lock, runtime, secrets } = image;
  return { format, gate: resolveGate(gate), limits, lock, runtime, secrets };
}

/** True for the modes that leave no pages of the job in the page cache. */
export function dropsCache(mode: CacheMode | undefined): boolean {
  return mode === 'none' || mode === 'directsync';
}

/** @throws INVALID_ARGUMENT when the target is one of the files that are about to be read, under whatever name. */
export function refuseSameFile(
  sources: readonly Pick<HostFile, 'identity' | 'path'>[],
  target: string,
  operation: string,
): void {
  const stat = statSync(target, { throwIfNoEntry: false });
  const same = stat && sources.find(({ identity }) => identity === identityOf(stat));
  if (!same) return;
  throw new DiskImageError(
    'INVALID_ARGUMENT',
    `Target '${target}' is the same file as the source '${same.path}'`,
    { path: target, operation },
  );
}

/** The host files of all layers of all sources. */
export function filesOf(sources: readonly Disk[]): HostFile[] {
  return sources.flatMap(layers).map(({ file }) => file);
}

/** @throws SOURCE_CHANGED when a raw layer lost bytes while it was read: what was copied of it may be zeros. */
export async function refuseShrunk(sources: readonly Disk[], operation: string): Promise<void> {
  for (const { file, format, path } of sources.flatMap(layers)) {
    const before = file.size;
    if (format !== 'raw' || file.isBlockDevice) continue;
    await file.refresh();
    if (file.size >= before) continue;
    throw new DiskImageError(
      'SOURCE_CHANGED',
      `'${path}' shrank from ${before} to ${file.size} bytes while it was read`,
      { path, operation },
    );
  }
}
