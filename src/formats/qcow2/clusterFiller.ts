// Bytes to their places: the caller's, and around them what the clusters held before.
import type { Disk } from '../../disk/disk.js';
import { ExtentColumns, Kind } from '../../disk/extents.js';
import type { GuestFile } from '../../disk/guestFile.js';
import { readInto } from '../../disk/readInto.js';
import { WriteQueue } from '../../disk/writeQueue.js';
import { ENGINE_WRITE_BYTES, writeWhole } from '../../disk/writeWhole.js';
import type { Placement, Range, Step } from './clusterWriter.js';

/** Up to this many bytes, old and new content go out in one write. */
const MERGE_BYTES = 2 ** 18;
/** More steps than this are written by the engine in one trip. */
const MAX_WRITES = 16;
/** One piece's length is a 32-bit number for the engine. */
const MAX_PIECE = 2 ** 30;

export class ClusterFiller {
  readonly #disk: Pick<Disk, 'map' | 'path' | 'virtualSize'>;
  readonly #file: GuestFile;
  readonly #queue: WriteQueue;

  /** @param disk what the clusters hold now, backing chain included; `file` is where they go */
  constructor(disk: Pick<Disk, 'map' | 'path' | 'virtualSize'>, file: GuestFile) {
    this.#disk = disk;
    this.#file = file;
    this.#queue = new WriteQueue(file);
  }

  /** Writes `buffer`, which begins at guest byte `start`, as the steps say, and what belongs around it. */
  put(steps: readonly Step[], buffer: Uint8Array, start: number): Promise<void> {
    const [step] = steps;
    if (steps.length > 1 || step.to - step.from >= ENGINE_WRITE_BYTES)
      return this.#putMany(steps, buffer, start);
    const bytes = buffer.subarray(step.from - start, step.to - start);
    const { placement } = step;
    if (!placement || placement.fills.length === 0) return this.#queue.write(bytes, step.host, step.from);
    return this.#putWithin(step, placement, bytes);
  }

  async #putMany(steps: readonly Step[], buffer: Uint8Array, start: number): Promise<void> {
    const bytes = (step: Step) => buffer.subarray(step.from - start, step.to - start);
    const from = steps[0].from;
    const to = steps.at(-1)!.to;
    if (to - from < ENGINE_WRITE_BYTES && steps.length <= MAX_WRITES) {
      await settle(steps.map((step) => this.#file.writeGuest(bytes(step), step.host, step.from)));
    } else await this.#putAll(steps, buffer.subarray(from - start, to - start));
    await this.fill(steps);
  }

  /** Writes only what belongs around the steps' own bytes. */
  async fill(steps: readonly Step[]): Promise<void> {
    for (const { placement } of steps) {
      if (!placement) continue;
      for (const range of await this.#contentOf(placement)) {
        await this.#writeOld(range, placement);
      }
    }
  }

  /** [from, to) reads as zeros. */
  async isZero(from: number, to: number): Promise<boolean> {
    const columns = new ExtentColumns(16);
    const end = Math.min(to, this.#disk.virtualSize);
    for (let at = from; at < end; ) {
      columns.clear();
      at = await this.#disk.map(columns, at, end);
      for (let row = 0; row < columns.count; row++) if (columns.kind[row] >= Kind.data) return false;
    }
    return true;
  }

  /** One write of new and old content together, where that is little. */
  async #putWithin(step: Step, placement: Placement, bytes: Uint8Array): Promise<void> {
    const fills = await this.#contentOf(placement);
    if (fills.length === 0) return this.#queue.write(bytes, step.host, step.from);
    const from = Math.min(step.from, fills[0].from);
    const to = Math.max(step.to, fills.at(-1)!.to);
    if (to - from > MERGE_BYTES) {
      await this.#file.writeGuest(bytes, step.host, step.from);
      for (const range of fills) await this.#writeOld(range, placement);
      return;
    }
    const whole = Buffer.alloc(to - from);
    for (const range of fills) await this.#readOld(whole.subarray(range.from - from, range.to - from), range);
    whole.set(bytes, step.from - from);
    await this.#queue.write(whole, placement.host + (from - placement.guest), from);
  }

  async #putAll(steps: readonly Step[], buffer: Uint8Array): Promise<void> {
    const offsets: number[] = [];
    const lengths: number[] = [];
    const guests: number[] = [];
    for (const step of steps) {
      for (let at = step.from; at < step.to; at += MAX_PIECE) {
        offsets.push(step.host + (at - step.from));
        guests.push(at);
        lengths.push(Math.min(MAX_PIECE, step.to - at));
      }
    }
    await this.#file.writeGuestPieces(
      buffer,
      Float64Array.from(offsets),
      Uint32Array.from(lengths),
      Float64Array.from(guests),
    );
  }

  /** The fills that must be written: zeros are in a fresh place already, but zeros that have to be decrypted are not. */
  async #contentOf({ fills, run }: Placement): Promise<Range[]> {
    if (!run?.fresh || this.#file.cipher) return fills;
    const needed: Range[] = [];
    for (const range of fills) if (!(await this.isZero(range.from, range.to))) needed.push(range);
    return needed;
  }

  async #writeOld(range: Range, placement: Placement): Promise<void> {
    const content = Buffer.alloc(range.to - range.from);
    await this.#readOld(content, range);
    const host = placement.host + (range.from - placement.guest);
    await writeWhole(this.#file, content, host, range.from);
  }

  /** Zeros past the disk's end. `into` is zeros. */
  async #readOld(into: Uint8Array, range: Range): Promise<void> {
    const held = Math.min(range.to, this.#disk.virtualSize) - range.from;
    if (held > 0) await readInto(this.#disk, into.subarray(0, held), range.from);
  }
}

/** Waits for all, also when one fails: a place must not be given up while something is still written to it. */
async function settle(writes: Promise<void>[]): Promise<void> {
  for (const one of await Promise.allSettled(writes)) if (one.status === 'rejected') throw one.reason;
}
