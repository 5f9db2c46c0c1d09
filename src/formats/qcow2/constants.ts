// Numbers of the qcow2 specification (docs/interop/qcow2.rst). Offsets and sizes in bytes unless named otherwise.

/** `QFI\xfb`. */
export const QCOW2_MAGIC = 0x514649fb;

export const HEADER_V2_BYTES = 72;
/** Smallest legal version 3 header: up to and including header_length. */
export const HEADER_V3_MIN_BYTES = 104;
/** What QEMU writes since compression types exist. */
export const HEADER_V3_BYTES = 112;

export const MIN_CLUSTER_BITS = 9;
export const MAX_CLUSTER_BITS = 21;
export const MAX_BACKING_NAME = 1023;
/** QEMU keeps a backing format of at most 15 bytes. */
export const MAX_BACKING_FORMAT = 15;

export const Incompatible = {
  dirty: 1n << 0n,
  corrupt: 1n << 1n,
  dataFile: 1n << 2n,
  compressionType: 1n << 3n,
  extendedL2: 1n << 4n,
} as const;
export const KNOWN_INCOMPATIBLE = 0x1fn;

export const Compatible = { lazyRefcounts: 1n << 0n } as const;
export const KNOWN_COMPATIBLE = 0x1n;

export const Autoclear = { bitmaps: 1n << 0n, dataFileRaw: 1n << 1n } as const;
export const KNOWN_AUTOCLEAR = 0x3n;

export const ExtensionType = {
  end: 0,
  backingFormat: 0xe2792aca,
  featureNames: 0x6803f857,
  bitmaps: 0x23852875,
  luks: 0x0537be77,
  dataFile: 0x44415441,
} as const;

export const CryptMethod = { none: 0, aes: 1, luks: 2 } as const;

/** Subclusters per cluster with extended L2 entries. */
export const SUBCLUSTERS = 32;
/** Smallest cluster with extended L2 entries: 32 subclusters of a sector. */
export const MIN_EXTENDED_CLUSTER = 16384;

/** QEMU: QCOW_MAX_SNAPSHOT_EXTRA_DATA. */
export const MAX_SNAPSHOT_EXTRA = 1024;
