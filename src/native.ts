// Floor 0: the only file that loads the addon, and its typed face. Everything the engine can do is declared
// here; native/binding/*.cc implements exactly this.
import { fileURLToPath } from 'node:url';
import bindings from 'bindings';

/**
 * Progress, cancel, rate and priority of one job, shared with the engine without messages. Bytes: 0 f64 bytes done, 8 f64
 * bytes total, 16 i32 1 = cancel, 20 i32 I/O priority (0 = as it is), 24 f64 bytes per second (0 = no limit), 32 i64
 * nanoseconds until which the rate is used up, 40 i32 nice value added, 44 i32 threads that may work now (0 = all).
 * (native/transfer/control.h)
 */
export const CONTROL_BYTES = 64;

/** Columns of one batch of guest extents, as in disk/extents.ts. Kind: 0 unallocated, 1 zero, 2 data, 3 deflate, 4 zstd. */
export interface NativeColumns {
  count: number;
  kind: Uint8Array;
  file: Uint16Array;
  start: Float64Array;
  length: Float64Array;
  offset: Float64Array;
  compressedLength: Uint32Array;
  skip: Uint32Array;
  unit: Uint32Array;
}

/** How data is encrypted in its file, as in disk/cipher.ts. The engine copies the keys, and wipes its copies when the job ends. */
export interface NativeCipher {
  mode: 'ecb' | 'cbc' | 'xts' | 'ctr';
  ivgen: 'none' | 'plain' | 'plain64' | 'essiv';
  /** AES: 16, 24 or 32 bytes; twice that for xts. */
  key: Uint8Array;
  /** essiv: the AES key that makes vectors of sector numbers; else empty. */
  ivKey: Uint8Array;
  /** A sector of 512 bytes is numbered by its guest or host offset less `origin` (negative with `guest` only). */
  numbering: 'guest' | 'host';
  origin: number;
}

/** Where guest bytes go on the host, for sinks that scatter: rows in guest order. */
export interface NativePlacement {
  count: number;
  start: Float64Array;
  length: Float64Array;
  offset: Float64Array;
}

/**
 * Writes guest bytes to a host file, at the same offset (+ `shift`) or where a placement says. Rows of kind
 * unallocated and zero are zeros; gaps between rows are left alone.
 */
export interface RawSink {
  type: 'raw';
  fd: number;
  /** For error messages. */
  path: string;
  /** Added to guest offsets when a batch has no placement, bytes. */
  shift: number;
  /**
   * Zero runs of at least this many bytes (multiple of 512) inside data are treated as zeros; 0 = write data as
   * it is, which lets data extents go by copy_file_range. Runs are looked for within one segment and in steps
   * of 4096 bytes (512 when this is no multiple of 4096).
   */
  detectZeros: number;
  /**
   * What becomes of zeros: the target already reads as zeros there; punch a hole (fallback: write; not with a cipher);
   * write them out.
   */
  zeros: 'skip' | 'punch' | 'write';
  /** Try FICLONERANGE, then copy_file_range, for data extents when detectZeros is 0. */
  offload: boolean;
  /** Drop written pages from the page cache as the job goes (cache mode none). */
  dropCache?: boolean;
  /** Data and zeros are written encrypted. Part of a sector is read, changed and written back. */
  cipher?: NativeCipher;
}

/**
 * Packs non-zero clusters one after another into a host file being built, in guest order, whatever the thread
 * count: the same input gives the same bytes. Units never cross or touch a reserved cluster.
 */
export interface PackSink {
  type: 'pack';
  fd: number;
  path: string;
  /** Bytes, power of two, 512 to 2 MiB. */
  clusterSize: number;
  /** Bytes of the last cluster of the guest disk beyond its end are zeros; guest size in bytes. */
  guestSize: number;
  /** Host offset of the first free cluster; cluster-aligned. */
  firstFree: number;
  /**
   * A cluster at every host offset k * reserveEvery (k >= 1) is left alone for the caller's metadata (refcount
   * blocks). 0 = none.
   */
  reserveEvery: number;
  /**
   * Guest bytes per group (what one L2 table maps). After the last packed cluster of a group that packed or
   * zero-marked anything, one cluster is allocated for the caller; reported as group rows.
   */
  groupBytes: number;
  /** Bytes allocated for each group, multiple of clusterSize, contiguous (1 cluster in qcow2). */
  groupTableBytes: number;
  /** Compressed clusters that may share one host cluster (the largest refcount); undefined or 0 = any number. */
  refcountMax?: number;
  /**
   * Clusters that are all zero are not written: reported in `zeroed` when reportZeros. false = they are stored,
   * also those of zero rows. Clusters with nothing but unallocated rows are neither stored nor reported.
   */
  detectZeros: boolean;
  /** Also report clusters inside data or zero rows that turned out zero (needed over a backing file). */
  reportZeros: boolean;
  compression: null | {
    codec: 'deflate' | 'zstd';
    /**
     * 0 = the default for VM images: our own deflate, zstd's level 3. deflate 1..9 (1..3 are igzip's where ISA-L
     * is found, the rest are zlib's), zstd 1..19.
     */
    level: number;
  };
  dropCache?: boolean;
  /** Clusters are written encrypted, whose origin is 0; not with compression. */
  cipher?: NativeCipher;
}

/**
 * Digests guest bytes: the whole in order, chunks or ranges each by itself. Without a whole the order is free, and
 * several chunks or ranges are digested side by side on every thread. Their digests go into each batch's `digests`.
 */
export interface DigestSink {
  type: 'digest';
  /** Of the whole stream: md5 and what OpenSSL offers (native/hash/sha.h). Empty = chunks or ranges alone. */
  algorithms: string[];
  /** Bytes per chunk; undefined or 0 = no chunk digests. */
  chunkSize?: number;
  /** With chunkSize: where the last chunk ends, bytes. */
  size?: number;
  /** Each batch brings `ranges` to digest; goes with neither algorithms nor chunkSize. */
  ranges?: boolean;
  /** Of chunks or ranges. */
  unitAlgorithm?: string;
  /** Without algorithms: what cannot be read fails its own chunk or range only (BatchResult.failures). */
  keepGoing?: boolean;
}

/** Copies guest bytes into memory; [start, start + buffer.length) of the guest. */
export interface ReadSink {
  type: 'read';
  buffer: Uint8Array;
  /** Guest offset of buffer[0]. */
  start: number;
}

/** Compares the batch's source with a second source (submit's `other`). */
export interface CompareSink {
  type: 'compare';
}

export interface JobOptions {
  sink: RawSink | PackSink | DigestSink | ReadSink | CompareSink;
  control: SharedArrayBuffer;
  /** 1 to 16; the digest of a whole stream is serial whatever is said here. */
  threads: number;
  /**
   * Guest bytes one thread handles at a time; multiple of every cluster size involved, 64 KiB to 16 MiB.
   * A job holds at most threads * (2 * segment + codec state) bytes.
   */
  segment: number;
  /** Drop source pages after reading (source cache mode none). */
  dropSourceCache?: boolean;
  /**
   * digest: read past the page cache (O_DIRECT) where the file can, and is not encrypted; where not, dropSourceCache
   * decides.
   */
  direct?: boolean;
  /** A source that ends before an extent it should hold: `error` (SHRANK), or `zeros` (qcow2 tail clusters past EOF). */
  shortRead: 'error' | 'zeros';
  /**
   * Instead of failing at an unreadable or undecodable place, read it as zeros and count it (convert --salvage).
   */
  salvage?: boolean;
}

export interface BatchResult {
  /** Bytes written to the target (data only). */
  written: number;
  /** pack: clusters that got a place, in guest order. */
  packed?: {
    count: number;
    /** Guest offset of the cluster, bytes. */
    guest: Float64Array;
    /** Host offset: cluster-aligned for plain, any byte for compressed. */
    host: Float64Array;
    /** Compressed bytes; 0 = stored plain. */
    size: Uint32Array;
  };
  /** pack with reportZeros: guest offsets of clusters that were read and are all zero. */
  zeroed?: Float64Array;
  /**
   * pack: tables allocated for groups that ended in this batch: guest offset of the group, host offset of the
   * table. That of the last group may be in the totals.
   */
  groups?: { count: number; guest: Float64Array; host: Float64Array };
  /** pack: first free host cluster after this batch (cluster-aligned). */
  firstFree?: number;
  /** digest with keepGoing: chunks or ranges that could not be read, by their number within the batch. */
  failures?: { index: number; error: Error }[];
  /** compare: first differing guest byte of this batch, -1 = none. */
  mismatch?: number;
  /** salvage: places that could not be read: guest offset and length pairs. */
  unreadable?: Float64Array;
  /** salvage: sentence of the error at the first of them. */
  unreadableReason?: string;
}

export interface JobTotals extends BatchResult {
  /** digest: raw digests by algorithm. */
  digests?: Record<string, Uint8Array>;
}

/**
 * A running job with its own threads. Batches must be submitted in guest order (pack, digest of a whole: gap-free from
 * 0; `end` of each a multiple of `segment` except the last). Several may be in flight; each promise settles when
 * its batch is done. After an error every later submit fails with the same error. `finish` waits for all
 * batches and joins; `abort` cancels, joins and settles everything; one of the two must be called.
 */
export interface NativeJob {
  submit(batch: NativeBatch): Promise<BatchResult>;
  finish(): Promise<JobTotals>;
  abort(): Promise<void>;
}

export interface NativeBatch {
  start: number;
  end: number;
  columns: NativeColumns;
  /** Open file descriptors that columns.file indexes. */
  fds: Int32Array;
  /** Names for error messages, parallel to fds. */
  paths: string[];
  /** Parallel to fds: data rows of that file are decrypted. */
  ciphers?: (NativeCipher | undefined)[];
  /** raw: where the bytes go, when not at their guest offset. */
  placement?: NativePlacement;
  /**
   * digest with ranges: start and length in turn, guest bytes, ascending and disjoint; each touches the batch. One that
   * goes on behind it is in the next batch again.
   */
  ranges?: Float64Array;
  /**
   * digest with chunks or ranges: filled with the raw digests of those that touch the batch, one after another. One that
   * does not end in the batch leaves its place alone and needs none.
   */
  digests?: Uint8Array;
  /** compare: the other side. */
  other?: Pick<NativeBatch, 'columns' | 'fds' | 'paths' | 'ciphers'>;
}

export interface CopyFileOptions {
  /** `auto`: FICLONE if it works, else copy; `always`: FICLONE or error; `never`. */
  reflink: 'auto' | 'always' | 'never';
  /** As RawSink.detectZeros; data is then read and scanned instead of copied inside the kernel. */
  detectZeros: number;
  /** Bytes the target has in the end, >= source size; undefined = the source's size. Not used for block devices. */
  size?: number;
  threads: number;
  control: SharedArrayBuffer;
  /** Target is fresh or truncated (reads as zeros): holes need no punching. */
  targetIsZero: boolean;
}

export interface CopyFileResult {
  method: 'reflink' | 'copy_file_range' | 'read-write';
  /** Bytes of data moved (holes not counted). */
  copied: number;
}

/** A file written in one go under a temporary (or no) name, then published. Used for overlays and small images. */
export interface PublishFile {
  path: string;
  mode: number;
  /** Bytes; the file is extended (sparse) to this length. */
  length: number;
  /** Pieces: bytes and where they go. */
  pieces: { offset: number; data: Uint8Array }[];
  /** Replace an existing file (rename) or fail with EEXIST (link). */
  replace: boolean;
  /** fdatasync before the name appears. */
  sync: boolean;
}

export interface PublishOutcome {
  /** Undefined = published. Otherwise nothing is left of it under any name. */
  error?: { code: string; syscall: string; message: string };
}

export interface EngineInfo {
  version: string;
  /** Which library serves each codec: `libdeflate 1.14`, `basecow (levels 0 and 3), isa-l 2.30.0 (1 and 2), zlib 1.3.1` … or null. */
  inflate: string;
  deflate: string;
  zstd: string | null;
  sha: string | null;
  /** CPU kernels picked at run time. */
  md5: string;
  zeroScan: string;
}

export interface NativeAddon {
  engineInfo(): EngineInfo;

  createJob(options: JobOptions): NativeJob;

  /** Sparse copy of a regular file or block device into another. */
  copyFile(
    sourceFd: number,
    sourcePath: string,
    targetFd: number,
    targetPath: string,
    options: CopyFileOptions,
  ): Promise<CopyFileResult>;

  /**
   * Data and holes of [start, end) by SEEK_DATA/SEEK_HOLE: pairs [start, end) of data runs, at most `max` runs.
   * `next` = where the walk stopped (end when complete). A file or device without SEEK_DATA is all data.
   */
  dataRuns(fd: number, start: number, end: number, max: number): { runs: Float64Array; next: number };

  /**
   * Grows (or keeps) a regular file to `size` bytes. off: ftruncate. falloc: ftruncate, then posix_fallocate of
   * what was added (EOPNOTSUPP is an error). full: writes zeros. Cancellable through control.
   */
  extend(
    fd: number,
    path: string,
    from: number,
    size: number,
    preallocation: 'off' | 'falloc' | 'full',
    control: SharedArrayBuffer,
  ): Promise<void>;

  /**
   * Writes many pieces: data[i] of `lengths[i]` bytes, consecutive in `buffer`, go to offsets[i]. With a cipher they are
   * whole sectors, guest bytes from guests[i] on, and written encrypted; `buffer` stays as it is.
   */
  writePieces(
    fd: number,
    path: string,
    buffer: Uint8Array,
    offsets: Float64Array,
    lengths: Uint32Array,
    cipher?: NativeCipher,
    guests?: Float64Array,
  ): Promise<void>;

  /**
   * At once, for small pieces: whole sectors (the last may be short, but whole blocks of 16 bytes), the first of which has
   * number `sector`. `output` may be `input`.
   */
  cryptSectors(
    cipher: NativeCipher,
    direction: 'encrypt' | 'decrypt',
    input: Uint8Array,
    output: Uint8Array,
    sector: number,
  ): void;

  /** Publishes files one by one on engine threads; with `groupSync` one syncfs per filesystem comes before any name appears. */
  publishFiles(files: PublishFile[], groupSync: boolean): Promise<PublishOutcome[]>;

  /** Gives an O_TMPFILE descriptor a name (linkat through /proc/self/fd). */
  linkFd(fd: number, path: string): void;

  syncfs(fd: number, path: string): Promise<void>;
  /**
   * [offset, offset + length) reads as zeros from now on: a hole where filesystem or device can, else written. The
   * file's size stays; bytes past its end are not made. A cancel leaves the range zeroed in part; progress is not
   * counted.
   */
  zeroRange(
    fd: number,
    path: string,
    offset: number,
    length: number,
    control?: SharedArrayBuffer,
  ): Promise<void>;
  /**
   * Hints for a new, empty file, as QEMU gives them: no copy-on-write (btrfs), and bytes of storage to allocate at a
   * time (XFS; 0 = leave it). Filesystems without them ignore both.
   */
  hintNewFile(fd: number, noCopyOnWrite: boolean, extentSize: number): void;
  /** BLKGETSIZE64; bytes. */
  blockDeviceSize(fd: number): number;
  /** Sets (`type` read or write) or clears (unlock) an OFD lock on one byte; false = held by another. Never waits. */
  ofdLock(fd: number, offset: number, length: number, type: 'read' | 'write' | 'unlock'): boolean;
  /** F_OFD_GETLK as a write lock: true = another descriptor holds a lock in the range. */
  ofdTest(fd: number, offset: number, length: number): boolean;
}

const root = fileURLToPath(new URL('..', import.meta.url));

/** Where node-gyp builds, the usual place first: of its own, `bindings` tries a dozen, and each miss costs start-up time. */
const places = [
  ['module_root', 'build', 'Release', 'bindings'],
  ['module_root', 'build', 'Debug', 'bindings'],
];

/** The addon. One instance per environment (main thread or worker); it shares nothing with the others. */
export const native: NativeAddon = load();

function load(): NativeAddon {
  try {
    return bindings({ bindings: 'basecow', module_root: root, try: places });
  } catch (cause) {
    // `bindings` lists every place it looked at; what helps is how to make the file.
    throw new Error(
      `The basecow addon can't be loaded from ${root}build/Release/basecow.node for Node.js ${process.version} (npm rebuild basecow builds it)`,
      { cause },
    );
  }
}
