import { type ExtentColumns, Kind } from '../../disk/extents.js';
import { alignDown, alignUp } from '../../disk/offsets.js';

/**
 * Calls `visit` with every cluster that holds data and every whole cluster of zeros, in guest order; a cluster that
 * holds both is data. Clusters without any row but `unallocated` are not visited.
 */
export async function forEachCluster(
  columns: ExtentColumns,
  clusterSize: number,
  visit: (guest: number, zero: boolean) => Promise<void> | undefined,
): Promise<void> {
  /** Clusters before this were visited as data. */
  let done = 0;
  /** A cluster of zeros so far, whose rest is in the next rows; -1 = none. */
  let held = -1;
  const release = () => {
    const guest = held;
    held = -1;
    return guest < 0 ? undefined : visit(guest, true);
  };
  for (let row = 0; row < columns.count; row++) {
    const kind = columns.kind[row];
    if (kind === Kind.unallocated) continue;
    const start = columns.start[row];
    const end = start + columns.length[row];
    const zero = kind === Kind.zero;
    for (let guest = Math.max(done, alignDown(start, clusterSize)); guest < end; guest += clusterSize) {
      if (held >= 0 && held !== guest) {
        const pending = release();
        if (pending) await pending;
      }
      if (zero) {
        held = guest;
        continue;
      }
      held = -1;
      const pending = visit(guest, false);
      if (pending) await pending;
    }
    if (!zero) done = alignUp(end, clusterSize);
  }
  const pending = release();
  if (pending) await pending;
}
