import type { ByteRange } from '../hashRanges.js';
import type { JobSettings } from '../job.js';
import { type VerifyDigestsRequest, verifyDigests } from './verify.js';

export interface RepairPlan {
  path: string;
  /**
   * Bytes to fetch again, ascending, joined; nothing: the file is right. A last length of Infinity: up to the end, wherever
   * the right file ends.
   */
  ranges: ByteRange[];
  /** The ranges and sizes are those of the guest disk in an image, not of the file's own bytes. */
  guest: boolean;
  /** Bytes the file has, and has to have where the list tells: cut it when it is longer. */
  size?: number;
  listedSize?: number;
}

/**
 * Which bytes of `file` have to be fetched again for it to be what a list of digests says: a range for every digest of a
 * range that is wrong; everything when the list has digests of the whole only.
 * @throws as verifyDigests, and what kept the file from being read.
 */
export async function repairRanges(
  request: VerifyDigestsRequest & { file: string },
  settings: JobSettings = {},
): Promise<RepairPlan> {
  const plan: RepairPlan = { path: request.file, ranges: [], guest: false };
  let everything = false;
  for await (const item of verifyDigests(request, settings)) {
    if (item.of === 'malformed') continue;
    if (item.error) throw item.error;
    plan.size = item.size ?? plan.size;
    plan.listedSize = item.listedSize ?? plan.listedSize;
    plan.guest ||= item.guest && item.format !== 'raw';
    for (const range of item.differing) plan.ranges.push(range);
    everything ||= item.wholeDiffers && item.differing.length === 0;
  }
  if (everything && plan.ranges.length === 0) {
    const length = plan.guest ? undefined : plan.listedSize;
    plan.ranges.push({ start: 0, length: length ?? Number.POSITIVE_INFINITY });
  }
  plan.ranges = joinedRanges(plan.ranges);
  return plan;
}

function joinedRanges(ranges: readonly ByteRange[]): ByteRange[] {
  const joined: ByteRange[] = [];
  for (const { start, length } of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = joined.at(-1);
    if (last && start <= last.start + last.length) {
      last.length = Math.max(last.length, start + length - last.start);
    } else joined.push({ start, length });
  }
  return joined;
}

/** `START-END`, the end inclusive, as HTTP's Range and curl -r have it; `START-` up to the end. */
export function httpRange({ start, length }: ByteRange): string {
  return length === Number.POSITIVE_INFINITY ? `${start}-` : `${start}-${start + length - 1}`;
}
