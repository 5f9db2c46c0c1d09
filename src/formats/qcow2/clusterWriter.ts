// Where guest bytes are to be written: in place where the cluster is the active layer's own, else to a new cluster that
// the entry names only after its bytes are there.
import { ExtentColumns } from '../../disk/extents.js';
import { alignDown } from '../../disk/offsets.js';
import type { HostRun } from './allocator.js';
import { compressedLength, compressedOffset } from './compressedDescriptor.js';
import { SUBCLUSTERS } from './constants.js';
import type { ImageCore } from './imageCore.js';
import { entryOffset, entryWords, ZERO_LO } from './l2Entry.js';
import { type L2Table, pushCompressedCluster } from './map.js';
import {
  ALL_SUBCLUSTERS,
  checkStandardEntry,
  isCompressed,
  ownsCluster,
  type Slot,
  slotAt,
  subclusterBits,
} from './writableEntry.js';

/** Guest bytes [from, to). */
export interface Range {
  from: number;
  to: number;
}

/** Clusters whose entries are to change once their bytes are written. */
export interface Placement {
  /** Guest offset of the first cluster. */
  guest: number;
  clusters: number;
  /** Host offset of the first cluster. */
  host: number;
  /** The clusters that were allocated for it; undefined when it keeps the place it has. */
  run?: HostRun;
  /** What the caller does not write, but what has to be there: old content, in guest order. */
  fills: Range[];
}

/** Guest bytes [from, to) go to host byte `host` and following. */
export interface Step extends Range {
  host: number;
  placement?: Placement;
}

export class ClusterWriter {
  readonly #core: ImageCore;

  constructor(core: ImageCore) {
    this.#core = core;
  }

  /** Steps for [start, end) of one table when all of it can be overwritten where it is. */
  inPlace(table: L2Table, start: number, end: number): Step[] | undefined {
    const { clusterSize } = this.#core.header;
    const steps: Step[] = [];
    for (let at = start; at < end; ) {
      const guest = alignDown(at, clusterSize);
      const to = Math.min(end, guest + clusterSize);
      const host = this.#inPlaceHost(slotAt(this.#core.header, table, guest), at, to);
      if (host === undefined) return undefined;
      pushInPlace(steps, at, to, host);
      at = to;
    }
    return steps;
  }

  /**
   * Steps for [start, end), which lie in one table; new clusters are counted already.
   * @throws what allocating throws; CORRUPT_IMAGE. Nothing has changed then.
   */
  async plan(start: number, end: number): Promise<Step[]> {
    const { header, tables } = this.#core;
    const table = await tables.read(tables.group(start));
    const steps: Step[] = [];
    try {
      for (let at = start; at < end; ) {
        const guest = alignDown(at, header.clusterSize);
        const to = Math.min(end, guest + header.clusterSize);
        const host = this.#inPlaceHost(slotAt(header, table, guest), at, to);
        if (host !== undefined) {
          pushInPlace(steps, at, to, host);
          at = to;
          continue;
        }
        const placement = await this.#place(table, at, end);
        const stop = Math.min(end, placement.guest + placement.clusters * header.clusterSize);
        steps.push({ from: at, to: stop, host: placement.host + (at - placement.guest), placement });
        at = stop;
      }
    } catch (error) {
      await this.cancel(steps);
      throw error;
    }
    return steps;
  }

  /** Lets the entries name the new places, whose bytes are written. What they named before is freed. */
  async link(steps: readonly Step[]): Promise<void> {
    const { tables, header } = this.#core;
    let table: L2Table | undefined;
    for (const { from, to, placement } of steps) {
      if (!placement) continue;
      table ??= await tables.own(tables.group(from));
      for (let i = 0; i < placement.clusters; i++) {
        const slot = slotAt(header, table, placement.guest + i * header.clusterSize);
        this.#setEntry(slot, placement.host + i * header.clusterSize, from, to, placement.run !== undefined);
        tables.touch(slot);
      }
    }
  }

  /** Gives new places back that no entry names. */
  async cancel(steps: readonly Step[]): Promise<void> {
    for (const { placement } of steps) {
      if (placement?.run) await this.#core.allocator.cancel(placement.run);
    }
  }

  /** Gives up what the entry refers to, at the next flush; the entry is the caller's to change. */
  release({ table, at }: Slot, punch = false): void {
    const { clusterBits, clusterSize } = this.#core.header;
    const hi = table.words[at];
    const lo = table.words[at + 1];
    const { allocator } = this.#core;
    if (isCompressed({ table, at, guest: 0 })) {
      allocator.free(compressedOffset(hi, lo, clusterBits), compressedLength(hi, lo, clusterBits), punch);
    } else allocator.free(entryOffset(hi, lo), clusterSize, punch);
  }

  /** Host byte for guest byte `from` when [from, to) of the cluster can be overwritten as it is. */
  #inPlaceHost(slot: Slot, from: number, to: number): number | undefined {
    if (!ownsCluster(slot)) return undefined;
    const offset = checkStandardEntry(this.#core.layer, slot);
    if (offset === undefined) return undefined;
    const { header } = this.#core;
    const { words } = slot.table;
    if (!header.extendedL2) {
      return words[slot.at + 1] & ZERO_LO ? undefined : offset + (from - slot.guest);
    }
    const touched = subclusterBits(header, slot, from, to);
    return (words[slot.at + 3] & touched) >>> 0 === touched ? offset + (from - slot.guest) : undefined;
  }

  /** Places for as many clusters from the one at `from` on as come in one run. */
  async #place(table: L2Table, from: number, end: number): Promise<Placement> {
    const { header, layer, allocator } = this.#core;
    const { clusterSize } = header;
    const guest = alignDown(from, clusterSize);
    const first = slotAt(header, table, guest);
    const wanted = Math.ceil((end - guest) / clusterSize);
    // A place of its own that only lacks content: zeros with a place, subclusters not written yet.
    const own = ownsCluster(first) ? checkStandardEntry(layer, first) : undefined;
    if (header.externalData || own !== undefined) {
      const fills = this.#fills(first, from, Math.min(end, guest + clusterSize), false);
      return { guest, clusters: 1, host: own ?? guest, fills };
    }
    this.#checkLeft(first);
    let most = 1;
    for (; most < wanted; most++) {
      const slot = slotAt(header, table, guest + most * clusterSize);
      if (ownsCluster(slot)) break;
      this.#checkLeft(slot);
    }
    const run = await allocator.allocate(most);
    const { offset: host, clusters } = run;
    try {
      const stop = guest + clusters * clusterSize;
      const fills = this.#fills(first, from, Math.min(end, guest + clusterSize), true);
      if (clusters > 1 && end < stop) {
        const last = slotAt(header, table, stop - clusterSize);
        fills.push(...this.#fills(last, last.guest, end, true));
      }
      return { guest, clusters, host, run, fills };
    } catch (error) {
      await allocator.cancel(run);
      throw error;
    }
  }

  /** What the entry names will be given up: it must make sense before anything changes. @throws CORRUPT_IMAGE. */
  #checkLeft(slot: Slot): void {
    if (!isCompressed(slot)) {
      checkStandardEntry(this.#core.layer, slot);
      return;
    }
    const { table, at, guest } = slot;
    const index = at / (this.#core.header.l2EntryBytes / 4);
    const columns = new ExtentColumns(1);
    pushCompressedCluster(this.#core.layer, columns, table, index, guest, guest, guest + 1);
  }

  /** What of the cluster must be written besides [from, to). `moves`: to another place than it has, if it has one. */
  #fills(slot: Slot, from: number, to: number, moves: boolean): Range[] {
    const { header, layer } = this.#core;
    const { clusterSize, extendedL2 } = header;
    // An external data file need not reach past the disk's end; raw, it must not.
    const end = header.externalData
      ? Math.max(to, Math.min(slot.guest + clusterSize, header.diskSize))
      : slot.guest + clusterSize;
    if (from === slot.guest && to === end) return [];
    if (!extendedL2 || isCompressed(slot)) {
      return [
        { from: slot.guest, to: from },
        { from: to, to: end },
      ].filter((range) => range.to > range.from);
    }
    const placed = checkStandardEntry(layer, slot) !== undefined;
    const filled = placed ? slot.table.words[slot.at + 3] : 0;
    const copies = placed && moves ? filled : 0;
    const unit = clusterSize / SUBCLUSTERS;
    const fills: Range[] = [];
    const add = (low: number, high: number) => {
      if (high <= low) return;
      const last = fills.at(-1);
      if (last?.to === low) last.to = high;
      else fills.push({ from: low, to: high });
    };
    for (let i = 0; i < SUBCLUSTERS; i++) {
      const low = slot.guest + i * unit;
      const high = Math.min(end, low + unit);
      const bit = (1 << i) >>> 0;
      const touched = low < to && from < high;
      // The rest of a subcluster that has its content already, in this very place, stays as it is.
      const needed = touched ? moves || (filled & bit) === 0 : (copies & bit) !== 0;
      if (!needed) continue;
      add(low, Math.min(high, Math.max(low, from)));
      add(Math.max(low, Math.min(high, to)), high);
    }
    return fills;
  }

  /** Lets the entry point to `host`, where [from, to) and what #fills named has been written. */
  #setEntry(slot: Slot, host: number, from: number, to: number, moves: boolean): void {
    const { header, layer } = this.#core;
    const { table, at, guest } = slot;
    const { words } = table;
    const compressed = isCompressed(slot);
    const placed = !compressed && checkStandardEntry(layer, slot) !== undefined;
    let allocated = ALL_SUBCLUSTERS;
    let zeros = 0;
    if (header.extendedL2 && !compressed) {
      const touched = subclusterBits(
        header,
        slot,
        Math.max(from, guest),
        Math.min(to, guest + header.clusterSize),
      );
      allocated = ((placed ? words[at + 3] : 0) | touched) >>> 0;
      zeros = (words[at + 2] & ~touched) >>> 0;
    }
    if (moves && (compressed || placed)) this.release(slot);
    const [hi, lo] = entryWords(host, true);
    words[at] = hi;
    words[at + 1] = lo;
    if (header.extendedL2) {
      words[at + 2] = zeros;
      words[at + 3] = allocated;
    }
  }
}

/** Neighbours in guest and host become one step. */
function pushInPlace(steps: Step[], from: number, to: number, host: number): void {
  const last = steps.at(-1);
  if (last && !last.placement && last.to === from && last.host + (last.to - last.from) === host) last.to = to;
  else steps.push({ from, to, host });
}
