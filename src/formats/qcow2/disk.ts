import { BaseDisk } from '../../disk/baseDisk.js';
import type { Disk, DiskInfo, MapOptions } from '../../disk/disk.js';
import type { EncryptedFile } from '../../disk/encryptedFile.js';
import { DiskImageError } from '../../disk/errors.js';
import { ExtentColumns, Kind, NO_FILE } from '../../disk/extents.js';
import type { GuestFile } from '../../disk/guestFile.js';
import type { HostFile } from '../../disk/hostFile.js';
import type { Limits } from '../../disk/limits.js';
import { CryptMethod } from './constants.js';
import type { Qcow2Header } from './header.js';
import { infoOf } from './info.js';
import { type L1Table, readL1 } from './l1.js';
import { L2Cache } from './l2Cache.js';
import type { Layer } from './layer.js';
import { mapLayer } from './map.js';
import { detectMetadataPreallocation } from './preallocated.js';
import type { Snapshot, SnapshotTable } from './snapshots.js';

export interface Qcow2Parts {
  file: HostFile;
  header: Qcow2Header;
  limits: Readonly<Limits>;
  snapshotTable: SnapshotTable;
  /** The external data file, when the chain was opened and there is one. */
  dataFile?: HostFile;
  /** Of an encrypted image that was opened with its secret: the data file's guest bytes. */
  encrypted?: EncryptedFile;
  backing?: Disk;
  /** Presented instead of the active layer. */
  snapshot?: Snapshot;
  warnings: readonly string[];
  /** A writer's own cache. */
  l2?: L2Cache;
}

/** A qcow2 image, read-only: its own layer and, through `backing`, its chain. */
export class Qcow2Disk extends BaseDisk {
  readonly format: string = 'qcow2';
  readonly file: HostFile;
  readonly limits: Readonly<Limits>;
  /** As of open, or of the last change through this disk. */
  snapshotTable: SnapshotTable;
  readonly snapshot?: Snapshot;
  readonly externalFile?: HostFile;
  readonly #encrypted?: EncryptedFile;
  readonly backing?: Disk;
  readonly warnings: readonly string[];
  readonly clusterSize: number;
  readonly l2: L2Cache;
  readonly #header: Qcow2Header;
  #l1: L1Table | undefined;
  #scratch: ExtentColumns | undefined;
  #preallocated: Promise<boolean> | undefined;

  constructor(parts: Qcow2Parts) {
    super();
    this.file = parts.file;
    this.#header = parts.header;
    this.limits = parts.limits;
    this.snapshotTable = parts.snapshotTable;
    this.snapshot = parts.snapshot;
    this.externalFile = parts.dataFile;
    this.#encrypted = parts.encrypted;
    this.backing = parts.backing;
    this.warnings = parts.warnings;
    this.clusterSize = parts.header.clusterSize;
    this.l2 = parts.l2 ?? new L2Cache(parts.file, parts.header.clusterSize);
  }

  get header(): Qcow2Header {
    return this.#header;
  }

  get virtualSize(): number {
    return this.snapshot?.diskSize ?? this.header.diskSize;
  }

  /** QEMU reads L2 tables in slices of at most 64 KiB (l2-cache-entry-size). */
  get statusSpan(): number {
    return (Math.min(this.clusterSize, 65536) / this.header.l2EntryBytes) * this.clusterSize;
  }

  get path(): string {
    return this.file.path;
  }

  /** The L1 table of what is presented; read on first use when the image was opened for its header only. */
  async loadL1(): Promise<L1Table> {
    const { l1Offset, l1Entries } = this.snapshot ?? this.header;
    this.#l1 ??= await readL1(this.file, l1Offset, l1Entries);
    return this.#l1;
  }

  /** What mapping needs. @throws UNSUPPORTED_FEATURE for encrypted data; UNSUPPORTED_OPERATION without the data file. */
  async layer(): Promise<Layer> {
    const { header, file, l2 } = this;
    if (!this.#encrypted) refuseEncrypted(header, file.path);
    const dataFile = header.externalData ? this.externalFile : file;
    if (!dataFile) {
      throw new DiskImageError(
        'UNSUPPORTED_OPERATION',
        `The external data file '${header.dataFile ?? ''}' of '${file.path}' was not opened`,
        { path: file.path, operation: 'map' },
      );
    }
    const guest: GuestFile = this.#encrypted ?? dataFile;
    return { header, file, dataFile, guest, l1: await this.loadL1(), l2 };
  }

  async map(into: ExtentColumns, start: number, end: number, options: MapOptions = {}): Promise<number> {
    const layer = await this.layer();
    const { backing } = this;
    if (!backing || options.layer === 'own') return mapLayer(layer, into, start, end);
    // Two maps may run at once on one disk: each takes the scratch columns, or makes its own.
    const own = this.#scratch ?? new ExtentColumns(1024);
    this.#scratch = undefined;
    own.clear();
    try {
      let at = start;
      while (at < end && !into.full) {
        own.clear();
        const stop = await mapLayer(layer, own, at, end);
        at = await this.#join(own, backing, into, stop);
      }
      return at;
    } finally {
      own.clear();
      this.#scratch = own;
    }
  }

  /** Rows of this layer, with what it lacks taken from the backing disk; returns how far `into` has room. */
  async #join(own: ExtentColumns, backing: Disk, into: ExtentColumns, stop: number): Promise<number> {
    let scratch: ExtentColumns | undefined;
    for (let row = 0; row < own.count; row++) {
      if (into.full) return own.start[row];
      if (own.kind[row] !== Kind.unallocated) {
        into.appendRow(own, row);
        continue;
      }
      const end = own.start[row] + own.length[row];
      let at = own.start[row];
      const held = Math.min(end, backing.virtualSize);
      while (at < held) {
        if (into.full) return at;
        scratch ??= new ExtentColumns(1024);
        scratch.clear();
        at = await backing.map(scratch, at, held);
        for (let i = 0; i < scratch.count; i++) into.appendRow(scratch, i, 1);
      }
      // Past the backing disk's end nothing is left to fall through to: zeros, decided at this layer. A subcluster
      // without data keeps the place that is reserved for it.
      if (at >= end) continue;
      if (own.file[row] === NO_FILE) into.pushEmpty(Kind.unallocated, at, end - at, 0);
      else {
        const offset = own.offset[row] + (at - own.start[row]);
        into.pushPlaced(Kind.unallocated, at, end - at, 0, own.files[own.file[row]], offset);
      }
    }
    return stop;
  }

  info(): Promise<DiskInfo> {
    return infoOf(this);
  }

  /** Holes of an encrypted file are no zeros. */
  async metadataPreallocated(): Promise<boolean> {
    if (this.#encrypted) return false;
    this.#preallocated ??= detectMetadataPreallocation(this.file, this.header);
    return this.#preallocated;
  }

  async close(): Promise<void> {
    await this.backing?.close();
    await this.externalFile?.close();
    await this.file.close();
    this.#encrypted?.forget();
  }
}

/** @throws UNSUPPORTED_FEATURE naming the method. */
export function refuseEncrypted(header: Qcow2Header, path: string): void {
  if (header.cryptMethod === CryptMethod.none) return;
  const method = header.cryptMethod === CryptMethod.aes ? 'AES' : 'LUKS';
  throw new DiskImageError(
    'UNSUPPORTED_FEATURE',
    `Image '${path}' is encrypted (${method}): reading encrypted images is not supported`,
    { path, offset: 32, operation: 'open' },
  );
}
