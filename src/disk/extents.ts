import type { GuestFile } from './guestFile.js';
import type { HostFile } from './hostFile.js';
import { type GuestOffset, guestOffset, type HostOffset, hostOffset } from './offsets.js';

export type Codec = 'deflate' | 'zstd';

/** One run of guest bytes that live in one place. */
export interface Extent {
  /** Guest offset, bytes. */
  readonly start: GuestOffset;
  /** Bytes; an extent never crosses a layer or a host discontinuity. */
  readonly length: number;
  readonly kind: 'data' | 'zero' | 'compressed' | 'unallocated';
  /** Where the bytes are, for data and compressed; for zero, where bytes are reserved (preallocated zeros). */
  readonly file?: HostFile;
  readonly offset?: HostOffset;
  /** Data is stored encrypted: the bytes at `offset` are not the guest's. */
  readonly encrypted?: true;
  readonly compressed?: { readonly length: number; readonly codec: Codec };
  /** 0 = this image, 1 = its backing file, … */
  readonly depth: number;
}

/** Column values of `kind`; the native engine reads the same numbers (native/transfer/plan.h). */
export const Kind = { unallocated: 0, zero: 1, data: 2, deflate: 3, zstd: 4 } as const;
export type KindCode = (typeof Kind)[keyof typeof Kind];

/** `file` column value when an extent has no host place. */
export const NO_FILE = 0xffff;

/** Room at first: most maps are short, and batches of them should not each clear columns for the longest. */
const FIRST_ROWS = 256;

/**
 * A batch of extents as columns: what travels inside basecow and into the native engine, so that a map of
 * millions of clusters costs no object each. Rows are in guest order, do not overlap and have no gaps.
 *
 * Per row: guest `start` and `length`; `kind`; `depth`; for data, `file` (index into `files`) and host
 * `offset`; for compressed kinds one row is (a part of) one compressed unit: `offset` and `compressedLength`
 * say where the compressed bytes are (as far as the descriptor claims; the reader may stop at the stream's end
 * or the file's end), `unit` is the size the whole unit inflates to, and `skip` how many inflated bytes precede
 * this row's first byte.
 */
export class ExtentColumns {
  count = 0;
  capacity: number;
  kind: Uint8Array;
  depth: Uint16Array;
  file: Uint16Array;
  start: Float64Array;
  length: Float64Array;
  offset: Float64Array;
  compressedLength: Uint32Array;
  skip: Uint32Array;
  unit: Uint32Array;
  /** What the `file` column indexes: where the bytes are, and how they are encrypted there. */
  readonly files: GuestFile[] = [];

  constructor(capacity = 4096) {
    const rows = Math.min(capacity, FIRST_ROWS);
    this.capacity = capacity;
    this.kind = new Uint8Array(rows);
    this.depth = new Uint16Array(rows);
    this.file = new Uint16Array(rows);
    this.start = new Float64Array(rows);
    this.length = new Float64Array(rows);
    this.offset = new Float64Array(rows);
    this.compressedLength = new Uint32Array(rows);
    this.skip = new Uint32Array(rows);
    this.unit = new Uint32Array(rows);
  }

  get full(): boolean {
    return this.count >= this.capacity;
  }

  /** Guest offset just after the last row; `fallback` when there is none. */
  end(fallback = 0): number {
    const last = this.count - 1;
    return last < 0 ? fallback : this.start[last] + this.length[last];
  }

  clear(): void {
    this.count = 0;
    this.files.length = 0;
  }

  fileIndex(file: GuestFile): number {
    // Chains are short, and consecutive rows name the same file: a backwards scan beats a Map.
    for (let i = this.files.length - 1; i >= 0; i--) if (this.files[i] === file) return i;
    if (this.files.length >= NO_FILE) throw new RangeError('more than 65534 host files in one batch');
    return this.files.push(file) - 1;
  }

  /** Appends zero or unallocated bytes, merging with the row before. May exceed `capacity` by growing. */
  pushEmpty(kind: KindCode, start: number, length: number, depth: number): void {
    if (this.#continues(kind, start, depth, NO_FILE)) this.length[this.count - 1] += length;
    else this.#row(kind, start, length, depth, NO_FILE, 0, 0, 0, 0);
  }

  /**
   * Appends bytes that have a place in `file`: kind `data`, or `zero` for reserved space that reads as zeros.
   * Merges with the row before when the host run goes on.
   */
  pushPlaced(
    kind: KindCode,
    start: number,
    length: number,
    depth: number,
    file: GuestFile,
    offset: number,
  ): void {
    const index = this.fileIndex(file);
    const last = this.count - 1;
    const merges =
      this.#continues(kind, start, depth, index) && this.offset[last] + this.length[last] === offset;
    if (merges) this.length[last] += length;
    else this.#row(kind, start, length, depth, index, offset, 0, 0, 0);
  }

  /** Appends (part of) one compressed unit; never merges. */
  pushCompressed(
    kind: KindCode,
    start: number,
    length: number,
    depth: number,
    file: GuestFile,
    offset: number,
    compressedLength: number,
    skip: number,
    unit: number,
  ): void {
    this.#row(kind, start, length, depth, this.fileIndex(file), offset, compressedLength, skip, unit);
  }

  /** Appends a row of `other` as it is, one layer deeper by `deeper`. */
  appendRow(other: ExtentColumns, row: number, deeper = 0): void {
    this.appendPart(other, row, 0, other.length[row], other.start[row], deeper);
  }

  /**
   * Appends the `length` bytes of `other`'s row that begin `skip` bytes into it, as guest bytes at `at`.
   * A part of a compressed unit stays a row of that unit.
   */
  appendPart(other: ExtentColumns, row: number, skip: number, length: number, at: number, deeper = 0): void {
    const kind = other.kind[row] as KindCode;
    const depth = other.depth[row] + deeper;
    const index = other.file[row];
    if (index === NO_FILE) {
      this.pushEmpty(kind, at, length, depth);
      return;
    }
    const file = other.files[index].moved(at - other.start[row] - skip);
    const offset = other.offset[row];
    if (kind === Kind.deflate || kind === Kind.zstd) {
      const inflated = other.skip[row] + skip;
      const bytes = other.compressedLength[row];
      this.pushCompressed(kind, at, length, depth, file, offset, bytes, inflated, other.unit[row]);
    } else {
      this.pushPlaced(kind, at, length, depth, file, offset + skip);
    }
  }

  /** The row as the object that library users see. */
  at(row: number): Extent {
    const kind = this.kind[row];
    const file = this.file[row] === NO_FILE ? undefined : this.files[this.file[row]];
    const compressed = kind === Kind.deflate || kind === Kind.zstd;
    return {
      start: guestOffset(this.start[row]),
      length: this.length[row],
      kind: compressed
        ? 'compressed'
        : kind === Kind.data
          ? 'data'
          : kind === Kind.zero
            ? 'zero'
            : 'unallocated',
      ...(file && { file: file.host, offset: hostOffset(this.offset[row]) }),
      ...(file?.cipher && { encrypted: true }),
      ...(compressed && {
        compressed: {
          length: this.compressedLength[row],
          codec: kind === Kind.deflate ? ('deflate' as const) : ('zstd' as const),
        },
      }),
      depth: this.depth[row],
    };
  }

  /** The row before is of the same kind, layer and file, and ends at `start`. */
  #continues(kind: KindCode, start: number, depth: number, file: number): boolean {
    const last = this.count - 1;
    return (
      last >= 0 &&
      this.kind[last] === kind &&
      this.depth[last] === depth &&
      this.file[last] === file &&
      this.start[last] + this.length[last] === start
    );
  }

  #row(
    kind: number,
    start: number,
    length: number,
    depth: number,
    file: number,
    offset: number,
    compressedLength: number,
    skip: number,
    unit: number,
  ): void {
    if (this.count === this.kind.length) this.#grow();
    const row = this.count++;
    this.kind[row] = kind;
    this.depth[row] = depth;
    this.file[row] = file;
    this.start[row] = start;
    this.length[row] = length;
    this.offset[row] = offset;
    this.compressedLength[row] = compressedLength;
    this.skip[row] = skip;
    this.unit[row] = unit;
  }

  /** One mapping step may overshoot `capacity`, which is a target, not a wall. */
  #grow(): void {
    const rows = Math.max(1, this.kind.length * 2);
    this.kind = copied(this.kind, new Uint8Array(rows));
    this.depth = copied(this.depth, new Uint16Array(rows));
    this.file = copied(this.file, new Uint16Array(rows));
    this.start = copied(this.start, new Float64Array(rows));
    this.length = copied(this.length, new Float64Array(rows));
    this.offset = copied(this.offset, new Float64Array(rows));
    this.compressedLength = copied(this.compressedLength, new Uint32Array(rows));
    this.skip = copied(this.skip, new Uint32Array(rows));
    this.unit = copied(this.unit, new Uint32Array(rows));
  }
}

function copied<Column extends { set(from: Column): void }>(from: Column, to: Column): Column {
  to.set(from);
  return to;
}
