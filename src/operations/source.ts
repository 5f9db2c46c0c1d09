import type { Disk } from '../disk/disk.js';
import type { SnapshotSelector } from '../disk/format.js';
import type { Gate } from '../disk/gate.js';
import { type GateSpec, resolveGate } from '../disk/gates.js';
import type { Limits } from '../disk/limits.js';
import { openDisk } from '../formats/open.js';

/** QEMU's cache modes. `none` and `directsync` keep the job's pages out of the page cache; `unsafe` never syncs. */
export type CacheMode = 'none' | 'directsync' | 'writeback' | 'writethrough' | 'unsafe';

/** An image an operation reads. */
export interface ImageSource {
  path: string;
  /** Format name; never guessed (probeFormat guesses, as a named act). */
  format: string;
  /** Internal snapshot to read instead of the active layer. */
  snapshot?: SnapshotSelector;
  /** Rules for files that the image names; default `local`. Jobs in a pool take names only. */
  gate?: Gate | GateSpec;
  limits?: Partial<Limits>;
  /** QEMU's image locks; default true, `false` is qemu-img's `-U`. */
  lock?: boolean;
}

/** Opens the chain of `source` for reading. */
export function openSource(source: ImageSource): Promise<Disk> {
  return openDisk(source.path, {
    format: source.format,
    snapshot: source.snapshot,
    gate: resolveGate(source.gate),
    limits: source.limits,
    lock: source.lock,
  });
}

/** True for the modes that leave no pages of the job in the page cache. */
export function dropsCache(mode: CacheMode | undefined): boolean {
  return mode === 'none' || mode === 'directsync';
}
