import type { Readable, Writable } from 'node:stream';
import type { JobControl } from './control.js';
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
   * Guest bytes from `start` on as the guest would read them: `length` of them in a new Buffer (at most 1 GiB), or as
   * many as the given buffer holds, which is returned.
   * @throws INVALID_ARGUMENT outside the disk, or when it is closed; LIMIT_EXCEEDED; CORRUPT_IMAGE, IO, SOURCE_CHANGED.
   */
  read(start: number, length: number): Promise<Buffer>;
  read<T extends Uint8Array>(start: number, into: T): Promise<T>;

  /** Guest bytes as a stream. Destroying it stops reading; it does not close the disk. Fails as `read` does. */
  createReadStream(options?: ReadStreamOptions): Readable;

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

  /**
   * Closes this layer and its chain; releases locks. Safe to call twice. A disk that was written to is flushed first,
   * unless places that `allocate` gave may still lack their bytes: then nothing since the last flush is published.
   */
  close(): Promise<void>;
  /** As `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ReadStreamOptions {
  /** First guest byte, default 0. */
  start?: number;
  /** Guest byte after the last, default the virtual size. */
  end?: number;
  /** Bytes per chunk, 1 to 1 GiB; default 1 MiB. */
  chunkSize?: number;
  signal?: AbortSignal;
}

export interface MapOptions {
  /** `chain` (default): resolved through all layers. `own`: this layer only. */
  layer?: 'chain' | 'own';
}

/** What a `zero` may do with the clusters it covers. */
export interface ZeroOptions {
  /** Give their places back (default). `false` keeps them reserved for the next write. */
  unmap?: boolean;
  /** A cancel of this job ends a long zeroing: CANCELLED, and the range is zeroed in part. */
  control?: JobControl;
}

export interface ResizeOptions {
  /** The size may be below the present one; what lies beyond is lost. Default false. */
  shrink?: boolean;
  /** Of what is added; default `off`. */
  preallocation?: 'off' | 'metadata' | 'falloc' | 'full';
}

export interface WriteStreamOptions {
  /** First guest byte, default 0. */
  start?: number;
  /** Bytes the stream takes before it asks its source to wait, default 4 MiB. They are written in one go. */
  highWaterMark?: number;
  /** Flush when the source has ended, before `finish`. Default true. */
  flush?: boolean;
  signal?: AbortSignal;
}

/**
 * A Disk that can change. Any number of calls may be under way at once: those that overlap take effect in the order
 * they were made, the rest run side by side, and a read sees every write that was made before it.
 *
 * Order of publication is the format's affair: `flush` makes everything that was done before it durable, in an order
 * that is safe at any instant (data, then refcounts, then L2, then L1 and header, frees last).
 */
export interface WritableDisk extends Disk {
  /**
   * Writes all of `buffer` at guest byte `start`, at any alignment. The buffer must not change meanwhile.
   * @throws INVALID_ARGUMENT outside the disk, or when it is closed; LIMIT_EXCEEDED when the image cannot grow any
   * more; CORRUPT_IMAGE; IO. The range holds old bytes, new ones, or some of both.
   */
  write(buffer: Uint8Array, start: number): Promise<void>;
  /** [start, start + length) reads as zeros from now on, without falling through to a backing file. */
  zero(start: number, length: number, options?: ZeroOptions): Promise<void>;
  /**
   * The bytes are not needed any more: whole clusters in the range read as zeros and give their storage back; what
   * covers only part of a cluster stays, as with QEMU.
   */
  discard(start: number, length: number): Promise<void>;
  flush(): Promise<void>;
  /**
   * A new virtual size, bytes.
   * @throws INVALID_ARGUMENT, UNSUPPORTED_OPERATION, LIMIT_EXCEEDED, IO.
   */
  resize(size: number, options?: ResizeOptions): Promise<void>;
  /**
   * A stream into the disk. Destroying it stops writing; it does not close the disk. What would pass the disk's end
   * fails with INVALID_ARGUMENT.
   */
  createWriteStream(options?: WriteStreamOptions): Writable;
  /**
   * Makes [start, start+length) writable in place and appends to `into` one or more `data` rows saying where
   * the bytes are to be put. Partial clusters at the ends keep their old content (copy-on-write is done here).
   * The bytes must be there before the next `flush`, which publishes their places; nothing else publishes them. For
   * callers that have the disk to themselves.
   */
  allocate(into: ExtentColumns, start: number, length: number): Promise<void>;
  /** Changes wait in memory for more than some MiB of metadata: write what was allocated, then `flush`. */
  readonly flushDue: boolean;
}

export function isWritable(disk: Disk): disk is WritableDisk {
  return typeof (disk as WritableDisk).allocate === 'function';
}
