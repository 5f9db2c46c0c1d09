// An existing image as convert's target (-n): the map decides where bytes go, the engine puts them there.

import type { JobControl } from '../../disk/control.js';
import type { Disk } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import { ExtentColumns, Kind } from '../../disk/extents.js';
import type { Checkpoint, ConvertTarget, TargetRequest } from '../../disk/format.js';
import type { NativePlacement, RawSink } from '../../native.js';
import { rawSink } from '../rawSink.js';
import { WritableQcow2Disk } from './writable.js';

/** L2 entries that one batch changes at most: its tables stay in memory until a checkpoint. */
const MAX_BATCH_ENTRIES = 2 ** 16;

export class InPlaceTarget implements ConvertTarget {
  readonly sink: RawSink;
  readonly alignment: number;
  readonly span: number;
  readonly checkpoint: Checkpoint;
  readonly #disk: WritableQcow2Disk;
  readonly #backing: boolean;
  readonly #isZero: boolean;
  readonly #allocatesZeros: boolean;
  readonly #control: JobControl;

  constructor(disk: WritableQcow2Disk, request: TargetRequest & { targetIsZero: boolean }) {
    this.#disk = disk;
    this.#backing = request.backing;
    this.#isZero = request.targetIsZero && disk.header.backingFile === undefined;
    this.#allocatesZeros = request.sparseSize === 0;
    this.#control = request.control;
    this.alignment = disk.clusterSize;
    this.span = disk.clusterSize * MAX_BATCH_ENTRIES;
    this.checkpoint = {
      get due() {
        return disk.flushDue;
      },
      reach: () => disk.flush(),
    };
    // Zeros of allocated clusters have a place: new ones may lie where something else lay before.
    this.sink = rawSink(disk.core.guest, request, this.#allocatesZeros ? 'write' : 'punch');
  }

  async prepare(columns: ExtentColumns): Promise<NativePlacement> {
    const places = new ExtentColumns(columns.count + 16);
    for (let row = 0; row < columns.count; row++) {
      const kind = columns.kind[row];
      const start = columns.start[row];
      const length = columns.length[row];
      if (kind === Kind.unallocated && this.#backing) continue;
      if (kind >= Kind.data || this.#allocatesZeros) await this.#disk.allocate(places, start, length);
      else if (!this.#isZero) await this.#disk.zero(start, length, { control: this.#control });
    }
    return { count: places.count, start: places.start, length: places.length, offset: places.offset };
  }

  async accept(): Promise<void> {}

  async finish(): Promise<void> {}

  publish(options: { sync: boolean }): Promise<void> {
    return this.#disk.publish(options.sync);
  }

  /** The opener closes the disk; what was not published is not in the image. */
  async discard(): Promise<void> {}
}

/**
 * @throws TARGET_TOO_SMALL, UNSUPPORTED_OPERATION (compression).
 */
export async function openQcow2Target(
  disk: Disk,
  request: TargetRequest & { targetIsZero: boolean },
): Promise<ConvertTarget> {
  if (!(disk instanceof WritableQcow2Disk)) throw new RangeError(`'${disk.path}' was not opened for writing`);
  if (disk.virtualSize < request.size) {
    throw new DiskImageError('TARGET_TOO_SMALL', 'output file is smaller than input file', {
      path: disk.path,
      operation: 'convert',
    });
  }
  if (request.compress) {
    throw new DiskImageError(
      'UNSUPPORTED_OPERATION',
      `Compressed clusters can be written to a new image only, not into the existing '${disk.path}'`,
      { path: disk.path, operation: 'convert' },
    );
  }
  return new InPlaceTarget(disk, request);
}
