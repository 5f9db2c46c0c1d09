import { BaseDisk } from '../../disk/baseDisk.js';
import type { Disk, DiskInfo, MapOptions } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import { type ExtentColumns, Kind } from '../../disk/extents.js';
import type { FormatOpenOptions } from '../../disk/format.js';
import type { HostFile } from '../../disk/hostFile.js';
import { LockModes } from '../../disk/lock.js';
import { alignUp } from '../../disk/offsets.js';
import { native } from '../../native.js';

/** QEMU counts disks in sectors: a file of 1000 bytes is a disk of 1024, zeros after its end. */
const SECTOR = 512;

/** A raw disk. Holes of the host file are zero rows with their place, as `qemu-img map` shows them. */
export class RawDisk extends BaseDisk {
  readonly format = 'raw';
  readonly file: HostFile;
  readonly warnings: readonly string[] = [];

  constructor(file: HostFile) {
    super();
    this.file = file;
  }

  /** Bytes; the file's size rounded up to 512. */
  get virtualSize(): number {
    return alignUp(this.file.size, SECTOR);
  }

  get path(): string {
    return this.file.path;
  }

  async map(into: ExtentColumns, start: number, end: number, _options: MapOptions = {}): Promise<number> {
    const fileEnd = Math.min(end, this.file.size);
    let at = start;
    while (at < fileEnd && !into.full) {
      const room = Math.max(1, (into.capacity - into.count) >> 1);
      const { runs, next } = native.dataRuns(this.file.fd, at, fileEnd, room);
      for (let i = 0; i < runs.length; i += 2) {
        this.#push(into, Kind.zero, at, runs[i]);
        this.#push(into, Kind.data, runs[i], runs[i + 1]);
        at = runs[i + 1];
      }
      this.#push(into, Kind.zero, at, next);
      at = next;
    }
    if (at >= fileEnd && at < end) {
      // Bytes of the last sector that the file does not have read as zeros.
      this.#push(into, Kind.zero, at, end);
      at = end;
    }
    return at;
  }

  #push(into: ExtentColumns, kind: typeof Kind.data | typeof Kind.zero, start: number, end: number): void {
    if (end > start) into.pushPlaced(kind, start, end - start, 0, this.file, start);
  }

  async info(): Promise<DiskInfo> {
    await this.file.refresh();
    return {
      filename: this.path,
      format: this.format,
      virtualSize: this.virtualSize,
      actualSize: this.file.allocated,
      dirtyFlag: false,
    };
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/**
 * Opens a host file as a raw disk. Locks as qemu-img takes them: a reader with its chain 100 | 201 203, a writer
 * 100 101 103 | -, metadata only (`info`) none.
 * @throws LIMIT_EXCEEDED when the file is larger than the caller allows; SNAPSHOT_NOT_FOUND: raw has none; LOCKED.
 */
export async function openRaw(file: HostFile, options: FormatOpenOptions): Promise<Disk> {
  const { path } = file;
  const disk = options.write ? await openWritable(file) : new RawDisk(file);
  if (disk.virtualSize > options.limits.virtualSize) {
    throw new DiskImageError(
      'LIMIT_EXCEEDED',
      `Virtual size of ${disk.virtualSize} bytes exceeds the limit of ${options.limits.virtualSize} ('${path}')`,
      { path, operation: 'open' },
    );
  }
  if (options.snapshot) {
    throw new DiskImageError('SNAPSHOT_NOT_FOUND', `Raw image '${path}' has no internal snapshots`, {
      path,
      operation: 'open',
    });
  }
  if (options.lock) {
    if (options.write) file.lock(LockModes.resizeShared);
    else if (options.chain) file.lock(LockModes.read);
  }
  return disk;
}

async function openWritable(file: HostFile): Promise<RawDisk> {
  const { WritableRawDisk } = await import('./writable.js');
  return new WritableRawDisk(file);
}
