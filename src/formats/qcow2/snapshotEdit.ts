// Snapshots made, applied and deleted. Everything that changes gets a new place: L1 table, L2 tables whose flags change,
// refcounts, the snapshot table. One write of the header's first sector switches to all of it.
import type { Disk, SnapshotInfo } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import type { NewSnapshot, SnapshotAbility, SnapshotSelector } from '../../disk/format.js';
import { alignUp, divideUp } from '../../disk/offsets.js';
import type { PatchableFields } from './headerUpdate.js';
import type { ImageCore } from './imageCore.js';
import { L1Table, readL1 } from './l1.js';
import { tableBytes } from './l2Entry.js';
import { ShadowRefcounts } from './shadowRefcounts.js';
import {
  checkSnapshotL1,
  findSnapshot,
  readSnapshots,
  type SnapshotTable,
  snapshotInfo,
} from './snapshots.js';
import { type StoredSnapshot, serializeSnapshots } from './snapshotTable.js';
import { countTree, settleFlags } from './tableTree.js';
import { WritableQcow2Disk } from './writable.js';

const ENTRY_BYTES = 8;
/** QEMU: sizeof(QEMUSnapshotInfo.name) less its NUL. */
const MAX_NAME = 255;

export const qcow2Snapshots: SnapshotAbility = {
  create: (disk, snapshot) => edit(disk, (core, table) => create(core, table, snapshot)),
  apply: (disk, which) => edit(disk, (core, table) => apply(core, table, which)),
  remove: (disk, which) => edit(disk, (core, table) => remove(core, table, which)),
};

async function edit(
  disk: Disk,
  work: (core: ImageCore, table: SnapshotTable) => Promise<SnapshotInfo>,
): Promise<SnapshotInfo> {
  if (!(disk instanceof WritableQcow2Disk)) throw new RangeError(`'${disk.path}' was not opened for writing`);
  return disk.exclusive(async (core) => {
    const { file, limits } = core;
    if (core.header.externalData) {
      throw refused(core, 'Snapshots of an image with an external data file are not possible', 'EOPNOTSUPP');
    }
    await core.publish(true);
    const table = await readSnapshots(file, core.header, limits);
    const outcome = work(core, table);
    // Whatever becomes of it: what is in memory then is nobody's plan any more.
    await outcome.catch(() => {});
    await core.reload();
    disk.snapshotTable = await readSnapshots(file, core.header, limits);
    return snapshotInfo(await outcome);
  });
}

/** The snapshot takes the active tables over as they are; the disk goes on with new ones. */
async function create(core: ImageCore, table: SnapshotTable, wanted: NewSnapshot): Promise<SnapshotInfo> {
  const { header, limits } = core;
  if (table.snapshots.length >= limits.snapshots) {
    throw refused(core, `${table.snapshots.length} snapshots are the most that are possible`, 'EFBIG');
  }
  const numbers = table.snapshots.map(({ id }) => Number(/^\d+/.exec(id)?.[0] ?? 0));
  const id = String(Math.max(0, ...numbers) + 1);
  const nameBytes = Buffer.from(wanted.name).subarray(0, MAX_NAME);
  const snapshot: StoredSnapshot = {
    idBytes: Buffer.from(id),
    nameBytes,
    dateSec: Math.floor(wanted.microseconds / 1e6),
    dateNsec: (wanted.microseconds % 1e6) * 1000,
    vmClockNsec: 0n,
    vmStateSize: 0,
    diskSize: header.diskSize,
    icount: 0n,
    l1Offset: header.l1Offset,
    l1Entries: header.l1Entries,
    extra: Buffer.alloc(0),
  };
  const shadow = new ShadowRefcounts(core);
  await countTree(core.layer, shadow, 1);
  const words = await settleFlags(core.layer, shadow);
  await publish(core, shadow, {
    ...(await placeL1(core, shadow, words)),
    ...(await placeSnapshots(core, shadow, [...table.snapshots, snapshot], table)),
  });
  return { ...snapshot, id, name: nameBytes.toString() };
}

async function apply(core: ImageCore, table: SnapshotTable, which: SnapshotSelector): Promise<SnapshotInfo> {
  const { file, header, limits } = core;
  const snapshot = findSnapshot(table.snapshots, which, file.path);
  if (header.bitmapsValid) throw refused(core, 'Device has active dirty bitmaps', 'EBUSY');
  checkSnapshotL1(snapshot, header, file, limits);
  if (header.version < 3 && snapshot.diskSize !== header.diskSize) {
    throw refused(core, `Snapshot '${snapshot.name}' of a version 2 image has another disk size`, 'ENOTSUP');
  }
  const stored = await readL1(file, snapshot.l1Offset, snapshot.l1Entries);
  const entries = Math.max(stored.entries, divideUp(snapshot.diskSize, header.l2Coverage));
  if (entries * ENTRY_BYTES > limits.l1Bytes) {
    throw refused(core, `An L1 table of ${entries} entries exceeds the limit`, 'EFBIG');
  }
  const words = new Uint32Array(2 * entries);
  words.set(stored.words);
  const layer = { ...core.layer, l1: new L1Table(snapshot.l1Offset, words) };
  const shadow = new ShadowRefcounts(core);
  await countTree(layer, shadow, 1);
  await countTree(core.layer, shadow, -1);
  const settled = await settleFlags(layer, shadow);
  const placed = await placeL1(core, shadow, settled);
  if (header.l1Entries > 0) shadow.release(header.l1Offset, header.l1Entries * ENTRY_BYTES);
  const size = snapshot.diskSize === header.diskSize ? {} : { virtualSize: snapshot.diskSize };
  await publish(core, shadow, { ...placed, ...size });
  return snapshot;
}

async function remove(core: ImageCore, table: SnapshotTable, which: SnapshotSelector): Promise<SnapshotInfo> {
  const { file, header, limits } = core;
  const snapshot = findSnapshot(table.snapshots, which, file.path);
  checkSnapshotL1(snapshot, header, file, limits);
  const { l1Offset, l1Entries } = snapshot;
  const layer = { ...core.layer, l1: await readL1(file, l1Offset, l1Entries) };
  const shadow = new ShadowRefcounts(core);
  await countTree(layer, shadow, -1);
  const words = await settleFlags(core.layer, shadow);
  const placed = await placeL1(core, shadow, words);
  if (header.l1Entries > 0) shadow.release(header.l1Offset, header.l1Entries * ENTRY_BYTES);
  if (l1Entries > 0) shadow.release(l1Offset, l1Entries * ENTRY_BYTES);
  const rest = table.snapshots.filter((one) => one !== snapshot);
  await publish(core, shadow, { ...placed, ...(await placeSnapshots(core, shadow, rest, table)) });
  return snapshot;
}

/** A new L1 table. Returns the header's fields for it. */
export async function placeL1(
  core: ImageCore,
  shadow: ShadowRefcounts,
  words: Uint32Array,
): Promise<Partial<PatchableFields>> {
  if (words.length === 0) return { l1Offset: 0, l1Entries: 0 };
  const { clusterSize } = core.header;
  const clusters = divideUp(words.byteLength, clusterSize);
  const { offset } = await shadow.allocate(clusters, true);
  const bytes = Buffer.alloc(clusters * clusterSize);
  tableBytes(words).copy(bytes);
  await core.file.write(bytes, offset);
  return { l1Offset: offset, l1Entries: words.length / 2 };
}

/** A new snapshot table; the old one is released. Returns the header's fields for it. */
export async function placeSnapshots(
  core: ImageCore,
  shadow: ShadowRefcounts,
  snapshots: readonly StoredSnapshot[],
  old: SnapshotTable,
): Promise<Partial<PatchableFields>> {
  const { header, limits } = core;
  if (old.bytes > 0) shadow.release(header.snapshotTableOffset, old.bytes);
  if (snapshots.length === 0) return { snapshotCount: 0, snapshotTableOffset: 0 };
  const bytes = serializeSnapshots(snapshots);
  if (bytes.length > limits.snapshotTableBytes) {
    throw refused(core, `A snapshot table of ${bytes.length} bytes exceeds the limit`, 'EFBIG');
  }
  const padded = Buffer.alloc(alignUp(bytes.length, header.clusterSize));
  bytes.copy(padded);
  const { offset } = await shadow.allocate(padded.length / header.clusterSize, true);
  await core.file.write(padded, offset);
  return { snapshotCount: snapshots.length, snapshotTableOffset: offset };
}

/** Everything is written: syncs, switches, and gives storage back. */
export async function publish(
  core: ImageCore,
  shadow: ShadowRefcounts,
  change: Partial<PatchableFields>,
): Promise<void> {
  const counts = await shadow.finish();
  await core.file.sync();
  await core.updateHeader({ ...change, ...counts });
  await shadow.punch();
}

function refused({ file }: ImageCore, message: string, errno: string): DiskImageError {
  const code = errno === 'EFBIG' ? 'LIMIT_EXCEEDED' : 'UNSUPPORTED_OPERATION';
  return new DiskImageError(code, message, { path: file.path, operation: 'snapshot', errno });
}
