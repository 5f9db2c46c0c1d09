import type { JobControl } from '../../../disk/control.js';
import type { Disk } from '../../../disk/disk.js';
import { DiskImageError } from '../../../disk/errors.js';
import type { CheckResult } from '../../../disk/format.js';
import { Qcow2Disk } from '../disk.js';
import { type L1Table, readL1 } from '../l1.js';
import { L2Cache } from '../l2Cache.js';
import { maxRefcount } from '../refcounts.js';
import type { Snapshot } from '../snapshots.js';
import { countBitmaps } from './bitmaps.js';
import { compareRefcounts, countBlocks } from './blocks.js';
import { checkCopied } from './copied.js';
import { References, WINDOW_CLUSTERS } from './references.js';
import { Report } from './report.js';
import { readTable } from './snapshots.js';
import { StoredRefcounts } from './storedRefcounts.js';
import { type Walk, walkL1 } from './walk.js';

/** QEMU refuses files of more clusters (INT_MAX). */
const MAX_CLUSTERS = 2 ** 31 - 1;

/**
 * Checks the metadata of a qcow2 image without changing it: counts every reference to every host cluster, compares
 * with the stored refcounts, and COPIED flags with both. Counts and sentences are those of `qemu-img check`.
 * Memory: 32 MiB for references at most (larger files are walked once per window of 2^25 clusters), an L1 table of
 * at most Limits.l1Bytes, 8 MiB of caches. Progress counts L1 bytes.
 * @throws INVALID_ARGUMENT for another format's disk; CANCELLED; IO
 */
export async function checkQcow2(
  disk: Disk,
  control: JobControl,
  windowClusters = WINDOW_CLUSTERS,
): Promise<CheckResult> {
  if (!(disk instanceof Qcow2Disk)) {
    throw new DiskImageError('INVALID_ARGUMENT', `'${disk.path}' is not a qcow2 disk`, { path: disk.path });
  }
  const step = (bytes = 0): void => {
    if (control.cancelled) {
      throw new DiskImageError('CANCELLED', 'check was cancelled', { path: disk.path, operation: 'check' });
    }
    control.advance(bytes);
  };
  const { header, file } = disk;
  const report = new Report();
  const table = await readTable(disk, report);
  await file.refresh();
  const clusters = Math.ceil(file.size / header.clusterSize);
  if (clusters > MAX_CLUSTERS) {
    report.checkError(`ERROR ${clusters} clusters exceed the limit of ${MAX_CLUSTERS}`);
    return report.result();
  }
  if (!table) return report.result();
  report.totalClusters = Math.ceil(header.diskSize / header.clusterSize);

  const snapshots = usableSnapshots(disk, table.snapshots, report);
  const stored = await StoredRefcounts.open(file, header);
  const l1 = await readL1(file, header.l1Offset, header.l1Entries, { zeroFill: true });
  const passes = Math.ceil((clusters + 1) / windowClusters);
  const snapshotEntries = snapshots.reduce((sum, { l1Entries }) => sum + l1Entries, 0);
  control.total = 8 * (passes * (l1.entries + snapshotEntries) + l1.entries);

  let highest = 0;
  const l2 = new L2Cache(file, header.clusterSize);
  for (let start = 0; start === 0 || start < clusters + 1; start += windowClusters) {
    const references = new References(
      header.clusterSize,
      file.size,
      start,
      maxRefcount(header.refcountOrder),
      report,
      windowClusters,
    );
    const walk: Walk = { header, l2, references, report: start === 0 ? report : undefined, step };
    await countAll(disk, walk, l1, snapshots, table.bytes);
    countBlocks(header, stored, references, report);
    highest = await compareRefcounts(stored, references, report, highest, () => step());
  }
  await checkCopied(header, l1, l2, stored, report, step);
  report.imageEndOffset = (highest + 1) * header.clusterSize;
  return report.result();
}

/** Everything that refers to clusters but the refcount blocks, in QEMU's order. */
async function countAll(
  disk: Qcow2Disk,
  walk: Walk,
  l1: L1Table,
  snapshots: readonly Snapshot[],
  snapshotTableBytes: number,
): Promise<void> {
  const { header, file } = disk;
  const { references } = walk;
  references.add(0, header.clusterSize);
  await walkL1(walk, l1, true);
  for (const { l1Offset, l1Entries } of snapshots) {
    await walkL1(walk, await readL1(file, l1Offset, l1Entries, { zeroFill: true }), false);
  }
  references.add(header.snapshotTableOffset, snapshotTableBytes);
  references.add(header.refcountTableOffset, header.refcountTableClusters * header.clusterSize);
  if (header.luksHeader) references.add(header.luksHeader.offset, header.luksHeader.length);
  await countBitmaps(disk, references, walk.report, () => walk.step(0));
}

function usableSnapshots(disk: Qcow2Disk, snapshots: readonly Snapshot[], report: Report): Snapshot[] {
  const { header } = disk;
  if (header.externalData && snapshots.length > 0) {
    report.corruption(`ERROR ${snapshots.length} snapshots in image with data file`);
  }
  return snapshots.filter(({ id, name, l1Offset, l1Entries }) => {
    if (l1Offset % header.clusterSize !== 0) {
      report.corruption(
        `ERROR snapshot ${id} (${name}) l1_offset=0x${l1Offset.toString(16)}: L1 table is not cluster aligned; snapshot table entry corrupted`,
      );
      return false;
    }
    if (l1Entries * 8 > disk.limits.l1Bytes) {
      report.corruption(
        `ERROR snapshot ${id} (${name}) l1_size=0x${l1Entries.toString(16)}: L1 table is too large; snapshot table entry corrupted`,
      );
      return false;
    }
    return true;
  });
}
