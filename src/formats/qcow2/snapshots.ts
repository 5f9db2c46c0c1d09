// The snapshot table (specification, "Snapshots").
import type { SnapshotInfo } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import type { SnapshotSelector } from '../../disk/format.js';
import type { HostFile } from '../../disk/hostFile.js';
import type { Limits } from '../../disk/limits.js';
import { MAX_SNAPSHOT_EXTRA } from './constants.js';
import type { Qcow2Header } from './header.js';

/** A table entry: what `info` shows and where its L1 table is. */
export interface Snapshot extends SnapshotInfo {
  /** Host offset, bytes; unchecked until the snapshot is opened. */
  readonly l1Offset: number;
  readonly l1Entries: number;
  /** Extra data as stored, known and unknown fields. */
  readonly extra: Buffer;
  /** Id and name as stored, whatever text they are. */
  readonly idBytes: Buffer;
  readonly nameBytes: Buffer;
}

/** What the world sees of a snapshot. */
export function snapshotInfo(snapshot: SnapshotInfo): SnapshotInfo {
  const { id, name, dateSec, dateNsec, vmClockNsec, vmStateSize, diskSize, icount } = snapshot;
  const shown = { id, name, dateSec, dateNsec, vmClockNsec, vmStateSize, diskSize };
  return icount === undefined ? shown : { ...shown, icount };
}

export interface SnapshotTable {
  readonly snapshots: readonly Snapshot[];
  /** Bytes the table occupies. */
  readonly bytes: number;
}

const FIXED_BYTES = 40;
const READ_AHEAD = 65536;

/**
 * Reads the whole table; its size is bounded by Limits.snapshotTableBytes and the file's end. With `zeroFill` what
 * the file lacks reads as zeros, as for QEMU's check.
 * @throws CORRUPT_IMAGE, LIMIT_EXCEEDED
 */
export async function readSnapshots(
  file: HostFile,
  header: Qcow2Header,
  limits: Readonly<Limits>,
  options: { zeroFill?: boolean } = {},
): Promise<SnapshotTable> {
  const snapshots: Snapshot[] = [];
  const zeroFill = options.zeroFill ?? false;
  const reader = new TableReader(file, header.snapshotTableOffset, limits.snapshotTableBytes, zeroFill);
  for (let i = 0; i < header.snapshotCount; i++) {
    const what = `Snapshot table entry ${i}`;
    const fixed = await reader.take(FIXED_BYTES, what);
    const idLength = fixed.readUInt16BE(12);
    const nameLength = fixed.readUInt16BE(14);
    const extraLength = fixed.readUInt32BE(36);
    if (extraLength > MAX_SNAPSHOT_EXTRA) {
      throw corrupt(
        file,
        `${what} has ${extraLength} bytes of extra data, above ${MAX_SNAPSHOT_EXTRA}`,
        reader.offset,
      );
    }
    const extra = Buffer.from(await reader.take(extraLength, what));
    const idBytes = Buffer.from(await reader.take(idLength, what));
    const nameBytes = Buffer.from(await reader.take(nameLength, what));
    await reader.take(-reader.taken & 7, what, true);
    const diskSize = extraLength >= 16 ? Number(extra.readBigUInt64BE(8)) : header.diskSize;
    const icount = extraLength >= 24 ? extra.readBigUInt64BE(16) : undefined;
    snapshots.push({
      id: idBytes.toString('utf8'),
      name: nameBytes.toString('utf8'),
      idBytes,
      nameBytes,
      dateSec: fixed.readUInt32BE(16),
      dateNsec: fixed.readUInt32BE(20),
      vmClockNsec: fixed.readBigUInt64BE(24),
      vmStateSize: extraLength >= 8 ? Number(extra.readBigUInt64BE(0)) : fixed.readUInt32BE(32),
      diskSize,
      ...(icount !== undefined && icount !== 0xffffffffffffffffn && { icount }),
      l1Offset: Number(fixed.readBigUInt64BE(0)),
      l1Entries: fixed.readUInt32BE(8),
      extra,
    });
  }
  return { snapshots, bytes: reader.taken };
}

/** Sequential reads of a table whose length is known only from its entries. */
class TableReader {
  readonly #file: HostFile;
  readonly #start: number;
  readonly #limit: number;
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;
  readonly #zeroFill: boolean;
  taken = 0;

  constructor(file: HostFile, start: number, limit: number, zeroFill: boolean) {
    this.#file = file;
    this.#start = start;
    this.#limit = limit;
    this.#zeroFill = zeroFill;
  }

  get offset(): number {
    return this.#start + this.taken;
  }

  /** The next bytes; `padding` may lie past the end of the file, nothing else. */
  async take(length: number, what: string, padding = false): Promise<Buffer> {
    if (this.taken + length > this.#limit) {
      throw new DiskImageError(
        'LIMIT_EXCEEDED',
        `${what} ends ${this.taken + length} bytes into the snapshot table, above the limit of ${this.#limit} ('${this.#file.path}')`,
        { path: this.#file.path, offset: this.offset, operation: 'open' },
      );
    }
    if (this.taken + length > this.#windowStart + this.#window.length) {
      const wanted = Buffer.allocUnsafe(Math.max(length, READ_AHEAD));
      const got = await this.#file.read(wanted, this.offset);
      this.#window = this.#zeroFill ? wanted.fill(0, got) : wanted.subarray(0, got);
      this.#windowStart = this.taken;
      if (this.#window.length < length && !padding) {
        throw corrupt(
          this.#file,
          `${what} needs bytes up to ${this.offset + length}, but the file ends at ${this.#file.size}`,
          this.offset,
        );
      }
    }
    const at = this.taken - this.#windowStart;
    this.taken += length;
    return this.#window.subarray(at, at + length);
  }
}

/** The snapshot QEMU would pick: `idOrName` matches an id first, then a name. */
export function findSnapshot(
  snapshots: readonly Snapshot[],
  selector: SnapshotSelector,
  path: string,
): Snapshot {
  const { id, name, idOrName } = selector;
  const found =
    idOrName !== undefined
      ? (snapshots.find((one) => one.id === idOrName) ?? snapshots.find((one) => one.name === idOrName))
      : snapshots.find(
          (one) => (id === undefined || one.id === id) && (name === undefined || one.name === name),
        );
  if (found && (id !== undefined || name !== undefined || idOrName !== undefined)) return found;
  const wanted =
    idOrName ??
    [id !== undefined && `id ${id}`, name !== undefined && `name ${name}`].filter(Boolean).join(', ');
  throw new DiskImageError('SNAPSHOT_NOT_FOUND', `Image '${path}' has no snapshot '${wanted}'`, {
    path,
    operation: 'open',
  });
}

function corrupt(file: HostFile, why: string, offset: number): DiskImageError {
  return new DiskImageError('CORRUPT_IMAGE', `${why} ('${file.path}')`, {
    path: file.path,
    offset,
    operation: 'open',
  });
}

/**
 * Checks a snapshot's L1 table and disk size before it is presented.
 * @throws CORRUPT_IMAGE, LIMIT_EXCEEDED
 */
export function checkSnapshotL1(
  snapshot: Snapshot,
  header: Qcow2Header,
  file: HostFile,
  limits: Readonly<Limits>,
): void {
  const { l1Offset, l1Entries, diskSize } = snapshot;
  const name = `Snapshot '${snapshot.name}'`;
  const exceeds = (what: string) =>
    new DiskImageError('LIMIT_EXCEEDED', `${name}: ${what} ('${file.path}')`, {
      path: file.path,
      operation: 'open',
    });
  if (l1Entries * 8 > limits.l1Bytes) {
    throw exceeds(`L1 table of ${l1Entries} entries exceeds the limit of ${limits.l1Bytes / 8}`);
  }
  const most = Math.min(limits.virtualSize, Number.MAX_SAFE_INTEGER);
  if (diskSize > most) {
    const stored = snapshot.extra.readBigUInt64BE(8);
    throw exceeds(`disk size of ${stored} bytes exceeds the limit of ${most}`);
  }
  if (l1Entries === 0) return;
  if (l1Offset === 0 || l1Offset % header.clusterSize !== 0) {
    throw corrupt(
      file,
      `${name}: its L1 table's offset ${l1Offset} is not a cluster after the header`,
      l1Offset,
    );
  }
  if (l1Offset + l1Entries * 8 > file.size) {
    throw corrupt(
      file,
      `${name}: its L1 table at offset ${l1Offset} needs ${l1Entries * 8} bytes, but the file ends at ${file.size}`,
      l1Offset,
    );
  }
}
