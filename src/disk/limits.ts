import { DiskImageError } from './errors.js';

const MiB = 2 ** 20;

/** What an untrusted image may claim before it is refused with LIMIT_EXCEEDED. */
export interface Limits {
  /** Largest virtual size in bytes. */
  virtualSize: number;
  /** Largest L1 table in bytes (QEMU: QCOW_MAX_L1_SIZE, 32 MiB). */
  l1Bytes: number;
  /** Largest refcount table in bytes (QEMU: QCOW_MAX_REFTABLE_SIZE, 8 MiB). */
  refcountTableBytes: number;
  /** Most internal snapshots (QEMU: QCOW_MAX_SNAPSHOTS). */
  snapshots: number;
  /** Largest snapshot table in bytes (QEMU: QCOW_MAX_SNAPSHOTS_SIZE, 64 MiB). */
  snapshotTableBytes: number;
  /** Most persistent bitmaps (QEMU: QCOW2_MAX_BITMAPS). */
  bitmaps: number;
  /** Most layers in a backing chain, the image itself included. */
  chainDepth: number;
}

export const defaultLimits: Readonly<Limits> = Object.freeze({
  virtualSize: Number.MAX_SAFE_INTEGER,
  l1Bytes: 32 * MiB,
  refcountTableBytes: 8 * MiB,
  snapshots: 65536,
  snapshotTableBytes: 64 * MiB,
  bitmaps: 65535,
  chainDepth: 200,
});

/** The limits with defaults for what is left out. @throws INVALID_ARGUMENT for unknown names and what is no whole number. */
export function resolveLimits(limits: Partial<Limits> = {}): Readonly<Limits> {
  const resolved: Limits = { ...defaultLimits };
  for (const [name, value] of Object.entries(limits)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(defaultLimits, name) || !Number.isSafeInteger(value) || value < 0) {
      throw new DiskImageError(
        'INVALID_ARGUMENT',
        `limits.${name} = ${value} is no limit: a whole number from 0 to 2^53 - 1 for ${Object.keys(defaultLimits).join(', ')}`,
        { operation: 'open' },
      );
    }
    resolved[name as keyof Limits] = value;
  }
  return resolved;
}
