// Stored against counted refcounts (QEMU: compare_refcounts).
import type { References } from './references.js';
import type { Report } from './report.js';
import { NOT_LOADED, type StoredRefcounts } from './storedRefcounts.js';

/** What may be corrected. */
export interface Correction {
  /** Counts that are too high. */
  leaks: boolean;
  /** Counts that are too low. */
  errors: boolean;
}

/** What the comparison of all windows found. */
export class Tally {
  corruptions = 0;
  leaks = 0;
  corruptionsFixed = 0;
  leaksFixed = 0;
  /** A cluster in use is not counted at all: what was allocated since may lie anywhere. */
  rebuild = false;
  /** Highest cluster in use. */
  highest = 0;
  /** Runs of clusters that are free now: first, clusters, first, … */
  readonly freed: number[] = [];
}

const MAX_FREED = 2 ** 17;

/** Compares the window; what `correct` allows is corrected in the blocks. */
export async function compareRefcounts(
  stored: StoredRefcounts,
  references: References,
  report: Report,
  tally: Tally,
  correct: Correction | undefined,
  step: () => void,
): Promise<void> {
  for (let cluster = references.start; cluster < references.end; cluster++) {
    let refcount = stored.peek(cluster);
    if (refcount === NOT_LOADED) {
      step();
      refcount = await stored.read(cluster);
    }
    if (refcount < 0) {
      report.signal(stored.describe(cluster));
      report.checkError(`Can't get refcount for cluster ${cluster}: Input/output error`);
      continue;
    }
    const found = references.count(cluster);
    if (refcount > 0 || found > 0) tally.highest = cluster;
    if (refcount === found) continue;
    const numbers = `cluster ${cluster} refcount=${refcount} reference=${found}`;
    const leaked = refcount > found;
    if (refcount === 0) tally.rebuild = true;
    else if (correct && (leaked ? correct.leaks : correct.errors)) {
      report.say(`Repairing ${numbers}`);
      await stored.change(cluster, found);
      if (leaked) tally.leaksFixed++;
      else tally.corruptionsFixed++;
      if (found === 0) noteFreed(tally.freed, cluster);
      continue;
    }
    report.say(`${leaked ? 'Leaked' : 'ERROR'} ${numbers}`);
    if (leaked) tally.leaks++;
    else tally.corruptions++;
  }
}

/** Beyond the bound their storage just stays with the file. */
function noteFreed(freed: number[], cluster: number): void {
  const last = freed.length - 2;
  if (last >= 0 && freed[last] + freed[last + 1] === cluster) freed[last + 1]++;
  else if (freed.length < MAX_FREED) freed.push(cluster, 1);
}
