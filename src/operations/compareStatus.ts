// The first part of compare's strict mode: do two images say the same about how every byte is stored?
import type { Disk } from '../disk/disk.js';
import { alignDown } from '../disk/offsets.js';
import type { Job } from './job.js';
import { continues, type MapEntry, statusEntries } from './map.js';
import { layers } from './segment.js';

/** First guest byte of [0, end) where the two images' status differs, as qemu-img compare -s finds it. */
export async function statusMismatch(
  first: Disk,
  second: Disk,
  end: number,
  job: Job,
): Promise<number | undefined> {
  const left = new StatusRuns(first, end);
  const right = new StatusRuns(second, end);
  try {
    for (let at = 0; at < end; ) {
      job.throwIfCancelled();
      const a = await left.at(at);
      const b = await right.at(at);
      if (!sameStatus(a, b)) return at;
      at = Math.min(a.end, b.end);
    }
    return undefined;
  } finally {
    await left.close();
    await right.close();
  }
}

/** QEMU: the flags of bdrv_block_status_above. */
interface Status {
  data: boolean;
  zero: boolean;
  allocated: boolean;
  inPlace: boolean;
  /** The run goes on to the end of the disk; QEMU counts that as status too. */
  last: boolean;
  end: number;
}

function sameStatus(a: Status, b: Status): boolean {
  return (
    a.data === b.data &&
    a.zero === b.zero &&
    a.allocated === b.allocated &&
    a.inPlace === b.inPlace &&
    a.last === b.last
  );
}

/** A disk's status by position, which only grows. */
class StatusRuns {
  readonly #entries: AsyncGenerator<MapEntry>;
  readonly #chain: readonly Disk[];
  readonly #end: number;
  #current: MapEntry | undefined;
  #next: MapEntry | undefined;

  constructor(disk: Disk, end: number) {
    this.#entries = statusEntries(disk, 0, end);
    this.#chain = layers(disk);
    this.#end = end;
  }

  async at(position: number): Promise<Status> {
    while (!this.#current || this.#current.start + this.#current.length <= position) await this.#advance();
    const { start, length, depth, data, zero, present, offset } = this.#current;
    let end = start + length;
    for (const { statusSpan } of this.#chain.slice(0, depth + 1)) {
      if (statusSpan) end = Math.min(end, alignDown(position, statusSpan) + statusSpan);
    }
    return {
      data,
      zero,
      // Past the end of its backing file a layer answers for itself.
      allocated: present || this.#chain[depth].backing !== undefined,
      inPlace: offset !== undefined,
      last: end === this.#end,
      end,
    };
  }

  async #advance(): Promise<void> {
    const current = this.#next ?? ((await this.#entries.next()).value as MapEntry);
    this.#next = undefined;
    for (;;) {
      const next = (await this.#entries.next()).value as MapEntry | undefined;
      if (!next || current.compressed || !continues(current, next)) {
        this.#current = current;
        this.#next = next;
        return;
      }
      current.length += next.length;
    }
  }

  async close(): Promise<void> {
    await this.#entries.return(undefined);
  }
}
