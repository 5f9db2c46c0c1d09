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

export function resolveLimits(limits: Partial<Limits> = {}): Readonly<Limits> {
  return { ...defaultLimits, ...limits };
}
