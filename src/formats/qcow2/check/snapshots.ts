import { DiskImageError } from '../../../disk/errors.js';
import type { HostFile } from '../../../disk/hostFile.js';
import type { Limits } from '../../../disk/limits.js';
import { alignUp } from '../../../disk/offsets.js';
import type { Qcow2Disk } from '../disk.js';
import type { Qcow2Header } from '../header.js';
import { ImageCore } from '../imageCore.js';
import { readL1 } from '../l1.js';
import { readSnapshots, type SnapshotTable } from '../snapshots.js';
import { serializeSnapshots } from '../snapshotTable.js';
import { WritableL2Cache } from '../writableL2Cache.js';
import type { Report } from './report.js';

/**
 * Reads the snapshot table and judges its entries (QEMU: qcow2_check_read_snapshot_table). Undefined when it cannot
 * be read: the check ends there, as references would be missing.
 */
export async function readTable(
  disk: Qcow2Disk,
  report: Report,
  repair: boolean,
): Promise<SnapshotTable | undefined> {
  const { header, file, limits } = disk;
  let table: SnapshotTable;
  try {
    table = await readSnapshots(file, header, limits, { zeroFill: true });
  } catch (error) {
    if (!(error instanceof DiskImageError) || error.code === 'IO') throw error;
    report.checkError(`ERROR failed to read the snapshot table: ${error.message}`);
    report.failure = 'EINVAL';
    return undefined;
  }
  if (header.version >= 3) {
    table.snapshots.forEach((snapshot, i) => {
      if (snapshot.extra.length >= 16) return;
      report.corruption(`${repair ? 'Repairing' : 'ERROR'} snapshot table entry ${i} is incomplete`);
    });
  }
  return table;
}

/** Writes the table anew, with everything that version 3 asks for, and lets the header name it. Refcounts are right. */
export async function rewriteTable(
  { file, header, limits }: { file: HostFile; header: Qcow2Header; limits: Readonly<Limits> },
  table: SnapshotTable,
): Promise<Qcow2Header> {
  await file.refresh();
  const core = await ImageCore.open({
    file,
    dataFile: file,
    guest: file,
    header,
    limits,
    l1: await readL1(file, header.l1Offset, header.l1Entries),
    l2: new WritableL2Cache(file, header.clusterSize),
  });
  const bytes = serializeSnapshots(table.snapshots);
  const padded = Buffer.alloc(alignUp(bytes.length, header.clusterSize));
  bytes.copy(padded);
  const clusters = padded.length / header.clusterSize;
  const run =
    clusters === 1 ? await core.allocator.allocate(1) : await core.allocator.allocateContiguous(clusters);
  await file.write(padded, run.offset);
  await core.publish(true);
  await core.updateHeader({ snapshotCount: table.snapshots.length, snapshotTableOffset: run.offset });
  if (table.bytes > 0) core.allocator.free(header.snapshotTableOffset, table.bytes);
  await core.publish(true);
  await file.sync();
  return core.header;
}
