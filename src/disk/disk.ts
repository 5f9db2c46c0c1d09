import type { ExtentColumns } from './extents.js';
import type { HostFile } from './hostFile.js';

/** One internal snapshot as stored (qcow2 specification, "Snapshots"). */
export interface SnapshotInfo {
  id: string;
  name: string;
  /** Seconds and nanoseconds since the epoch. */
  dateSec: number;
  dateNsec: number;
  /** Guest run time, nanoseconds. */
  vmClockNsec: bigint;
  /** Bytes of VM state. */
  vmStateSize: number;
  /** Bytes; the disk may have had another size then. */
  diskSize: number;
  /** Instruction count, undefined when the snapshot has none. */
  icount?: bigint;
}

/** A value of `format-specific.data`, in QEMU's names. */
export type FormatSpecificValue =
  | string
  | number
  | boolean
  | FormatSpecificValue[]
  | { [key: string]: FormatSpecificValue };

/** What `info` reports. Names are QEMU's (ImageInfo, BlockNodeInfo); sizes in bytes. */
export interface DiskInfo {
  filename: string;
  format: string;
  virtualSize: number;
  /** Bytes of storage the file occupies. */
  actualSize: number;
  clusterSize?: number;
  encrypted?: boolean;
  compressed?: boolean;
  dirtyFlag?: boolean;
  backingFilename?: string;
  /** `backingFilename` resolved against the image's directory. */
  fullBackingFilename?: string;
  backingFilenameFormat?: string;
  snapshots?: SnapshotInfo[];
  formatSpecific?: { type: string; data: { [key: string]: FormatSpecificValue } };
}

/**
 * An opened image. A chain is a Disk whose map passes unallocated ranges on to its backing Disk.
 *
 * `map` is the primitive every format implements; `extents`, `read` and `createReadStream` are made from it
 * (see disk/view.ts), so a format driver never loops over guest bytes.
 */
export interface Disk {
  readonly format: string;
  readonly path: string;
  /** Bytes. */
  readonly virtualSize: number;
  /** Bytes; allocation unit of the format, undefined for raw. */
  readonly clusterSize?: number;
  /** The host file that holds this layer's metadata (for raw: its data). */
  readonly file: HostFile;
  /** The opened backing disk, when the chain was opened and there is one. */
  readonly backing?: Disk;
  readonly warnings: readonly string[];

  /**
   * Appends rows that cover [start, x) to `into`, x <= end, and returns x. Stops early when `into` is full;
   * always makes progress when start < end. With `layer: 'own'` ranges this layer does not hold stay
   * `unallocated` instead of being resolved in the backing chain.
   * Rows are in guest order without gaps. `unallocated` rows read as zeros; what lies past the backing disk's end is
   * such a row at the overlay's own depth, as `qemu-img map` shows it.
   */
  map(into: ExtentColumns, start: number, end: number, options?: MapOptions): Promise<number>;

  info(): Promise<DiskInfo>;

  /**
   * Guest bytes that one slice of this layer's tables maps: QEMU never reports the status of a longer run, nor
   * across a multiple of it (compare's strict mode shows that). Absent = runs of any length.
   */
  readonly statusSpan?: number;

  /**
   * True when clusters are allocated that were mostly never written (preallocation=metadata): the host file's holes
   * then tell more than this layer's metadata (QEMU: qcow2_detect_metadata_preallocation). Absent = false.
   */
  metadataPreallocated?(): Promise<boolean>;

  /** Closes this layer and its chain; releases locks. Safe to call twice. */
  close(): Promise<void>;
}

export interface MapOptions {
  /** `chain` (default): resolved through all layers. `own`: this layer only. */
  layer?: 'chain' | 'own';
}

/**
 * A Disk that can change. Order of publication is the format's affair: `flush` makes everything before it
 * durable in a crash-safe order (data, then refcounts, then L2, then L1/header).
 */
export interface WritableDisk extends Disk {
  /**
   * Makes [start, start+length) writable in place and appends to `into` one or more `data` rows saying where
   * the bytes are to be put. Partial clusters at the ends keep their old content (copy-on-write is done here).
   * The bytes must be there before the next `flush`, which publishes their places; nothing else publishes them.
   */
  allocate(into: ExtentColumns, start: number, length: number): Promise<void>;
  /** The range reads as zeros from now on, without falling through to a backing file. */
  zero(start: number, length: number): Promise<void>;
  flush(): Promise<void>;
  /** Changes wait in memory for more than some MiB of metadata: write what was allocated, then `flush`. */
  readonly flushDue: boolean;
}

export function isWritable(disk: Disk): disk is WritableDisk {
  return typeof (disk as WritableDisk).allocate === 'function';
}
