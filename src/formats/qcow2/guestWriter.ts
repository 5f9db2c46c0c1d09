// Changes of guest ranges, one request each: which parts go by entries, which by bytes, and in what order. The caller
// keeps requests that overlap apart.
import type { Disk, ZeroOptions } from '../../disk/disk.js';
import { type ExtentColumns, Kind } from '../../disk/extents.js';
import type { Mutex } from '../../disk/mutex.js';
import { alignDown } from '../../disk/offsets.js';
import { ClusterFiller } from './clusterFiller.js';
import { ClusterWriter, type Step } from './clusterWriter.js';
import { ClusterZeroer } from './clusterZeroer.js';
import type { ImageCore } from './imageCore.js';

/** Zeros written at a time where only bytes can express them; one cluster where that is larger. */
const ZERO_CHUNK = 2 ** 20;

export class GuestWriter {
  readonly #core: ImageCore;
  readonly #disk: Pick<Disk, 'map' | 'path' | 'virtualSize'>;
  readonly #metadata: Mutex;
  readonly #publishDue: () => Promise<void>;
  readonly #writer: ClusterWriter;
  readonly #zeroer: ClusterZeroer;
  readonly #filler: ClusterFiller;
  /** Nobody writes to it. */
  #zeros: Buffer | undefined;

  /**
   * @param disk what the guest reads now
   * @param metadata held while metadata changes
   * @param publishDue called with it held, after each change
   */
  constructor(
    core: ImageCore,
    disk: Pick<Disk, 'map' | 'path' | 'virtualSize'>,
    metadata: Mutex,
    publishDue: () => Promise<void>,
  ) {
    this.#core = core;
    this.#disk = disk;
    this.#metadata = metadata;
    this.#publishDue = publishDue;
    this.#writer = new ClusterWriter(core);
    this.#zeroer = new ClusterZeroer(core, this.#writer);
    this.#filler = new ClusterFiller(disk, core.guest);
  }

  /** Host byte from which on guest bytes [start, end) lie in one piece, where that is known at once. */
  placeOf(start: number, end: number): number | undefined {
    const steps = this.#inPlace(start, end);
    return steps?.length === 1 ? steps[0].host : undefined;
  }

  write(buffer: Uint8Array, start: number): Promise<void> {
    const end = start + buffer.length;
    const steps = this.#inPlace(start, end);
    return steps ? this.#filler.put(steps, buffer, start) : this.#writeGroups(buffer, start, end);
  }

  async zero(start: number, end: number, { unmap = true, control }: ZeroOptions): Promise<void> {
    const { header, dataFile, guest } = this.#core;
    // A raw data file must read as the guest does; one that is encrypted cannot.
    if (header.dataFileRaw && !guest.cipher) await dataFile.zero(start, end - start, control?.buffer);
    for (const [at, stop] of this.#groups(start, end, header.backingFile === undefined)) {
      const { flagged, written } = this.#zeroer.pieces(at, stop, this.#disk.virtualSize);
      if (flagged[1] > flagged[0]) {
        await this.#metadata.run(async () => {
          written.push(...(await this.#zeroer.flag(flagged[0], flagged[1], unmap)));
          await this.#publishDue();
        });
      }
      for (const [from, to] of written) await this.#writeZeros(from, to);
    }
  }

  /** Whole clusters but for the disk's end. `full`: what lies behind this layer shows afterwards. */
  async discard(start: number, end: number, full: boolean): Promise<void> {
    const { header, dataFile } = this.#core;
    for (const [at, stop] of this.#groups(start, end, full || header.backingFile === undefined)) {
      await this.#metadata.run(async () => {
        await this.#zeroer.discard(at, stop, full);
        await this.#publishDue();
      });
    }
    if (header.externalData) await dataFile.zero(start, end - start);
  }

  /** Places for [start, end) whose entries name them already; the bytes are the caller's to write. */
  async allocate(into: ExtentColumns, start: number, end: number): Promise<void> {
    const { allocator, guest } = this.#core;
    for (const [at, stop] of this.#groups(start, end)) {
      await this.#metadata.run(async () => {
        const steps = await this.#writer.plan(at, stop);
        await this.#settled(steps, () => this.#filler.fill(steps));
        await allocator.reach();
        for (const step of steps) {
          into.pushPlaced(Kind.data, step.from, step.to - step.from, 0, guest, step.host);
        }
      });
    }
  }

  /** Steps that overwrite [start, end) where it is, when one table in memory says so. */
  #inPlace(start: number, end: number): Step[] | undefined {
    const { tables } = this.#core;
    if (end > this.#groupEnd(start)) return undefined;
    const table = tables.peek(tables.group(start));
    return table && this.#writer.inPlace(table, start, end);
  }

  async #writeGroups(buffer: Uint8Array, start: number, end: number): Promise<void> {
    for (const [at, stop] of this.#groups(start, end)) {
      await this.#writeGroup(buffer.subarray(at - start, stop - start), at, stop);
    }
  }

  /** Guest bytes [start, end) of one L2 table, some of which may need new places. */
  async #writeGroup(buffer: Uint8Array, start: number, end: number): Promise<void> {
    const steps = await this.#metadata.run(() => this.#writer.plan(start, end));
    try {
      await this.#filler.put(steps, buffer, start);
    } catch (error) {
      await this.#metadata.run(() => this.#writer.cancel(steps));
      throw error;
    }
    if (!steps.some(({ placement }) => placement)) return;
    await this.#metadata.run(async () => {
      await this.#settled(steps, async () => {});
      await this.#publishDue();
    });
  }

  /** Links the steps when `work` has put their bytes there; gives their places back when anything fails. */
  async #settled(steps: readonly Step[], work: () => Promise<void>): Promise<void> {
    try {
      await work();
      await this.#writer.link(steps);
    } catch (error) {
      await this.#writer.cancel(steps);
      throw error;
    }
  }

  async #writeZeros(start: number, end: number): Promise<void> {
    const { clusterSize } = this.#core.header;
    const most = Math.max(ZERO_CHUNK, clusterSize);
    for (let at = start; at < end; ) {
      const stop = Math.min(end, alignDown(at, clusterSize) + most);
      if (!(await this.#filler.isZero(at, stop))) {
        this.#zeros ??= Buffer.alloc(most);
        await this.write(this.#zeros.subarray(0, stop - at), at);
      }
      at = stop;
    }
  }

  /** [start, end) by L2 tables; with `mapped` only where there are any. */
  *#groups(start: number, end: number, mapped = false): Generator<[number, number]> {
    for (let at = start; at < end; ) {
      const { l1, tables, header } = this.#core;
      const stop = Math.min(end, this.#groupEnd(at));
      const index = tables.group(at);
      if (mapped && l1.l2Offset(index) === 0) {
        const next = l1.nextUsed(index, l1.entries) * header.l2Coverage;
        at = Math.min(end, Math.max(stop, next));
        continue;
      }
      yield [at, stop];
      at = stop;
    }
  }

  #groupEnd(at: number): number {
    const { l2Coverage } = this.#core.header;
    return (Math.floor(at / l2Coverage) + 1) * l2Coverage;
  }
}
