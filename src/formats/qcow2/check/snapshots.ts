import { DiskImageError } from '../../../disk/errors.js';
import type { Qcow2Disk } from '../disk.js';
import { readSnapshots, type SnapshotTable } from '../snapshots.js';
import type { Report } from './report.js';

/**
 * Reads the snapshot table and judges its entries (QEMU: qcow2_check_read_snapshot_table). Undefined when it cannot
 * be read: the check ends there, as references would be missing.
 */
export async function readTable(disk: Qcow2Disk, report: Report): Promise<SnapshotTable | undefined> {
  const { header, file, limits } = disk;
  let table: SnapshotTable;
  try {
    table = await readSnapshots(file, header, limits, { zeroFill: true });
  } catch (error) {
    if (!(error instanceof DiskImageError) || error.code === 'IO') throw error;
    report.checkError(`ERROR failed to read the snapshot table: ${error.message}`);
    return undefined;
  }
  if (header.version >= 3) {
    table.snapshots.forEach((snapshot, i) => {
      if (snapshot.extra.length < 16) report.corruption(`ERROR snapshot table entry ${i} is incomplete`);
    });
  }
  return table;
}
