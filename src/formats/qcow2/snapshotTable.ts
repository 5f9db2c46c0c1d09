import { alignUp } from '../../disk/offsets.js';
import type { Snapshot } from './snapshots.js';

const FIXED_BYTES = 40;
/** VM state size, disk size, instruction count. */
const KNOWN_EXTRA = 24;

/** What is stored of one snapshot. */
export type StoredSnapshot = Omit<Snapshot, 'id' | 'name'>;

/** The table as it is stored, extra data as version 3 wants it; unknown extra data stays. */
export function serializeSnapshots(snapshots: readonly StoredSnapshot[]): Buffer {
  return Buffer.concat(snapshots.map(serializeSnapshot));
}

function serializeSnapshot(snapshot: StoredSnapshot): Buffer {
  const { idBytes, nameBytes } = snapshot;
  const unknown = snapshot.extra.subarray(KNOWN_EXTRA);
  const extraBytes = KNOWN_EXTRA + unknown.length;
  const bytes = Buffer.alloc(alignUp(FIXED_BYTES + extraBytes + idBytes.length + nameBytes.length, 8));
  bytes.writeBigUInt64BE(BigInt(snapshot.l1Offset), 0);
  bytes.writeUInt32BE(snapshot.l1Entries, 8);
  bytes.writeUInt16BE(idBytes.length, 12);
  bytes.writeUInt16BE(nameBytes.length, 14);
  bytes.writeUInt32BE(snapshot.dateSec, 16);
  bytes.writeUInt32BE(snapshot.dateNsec, 20);
  bytes.writeBigUInt64BE(snapshot.vmClockNsec, 24);
  bytes.writeUInt32BE(snapshot.vmStateSize % 2 ** 32, 32);
  bytes.writeUInt32BE(extraBytes, 36);
  bytes.writeBigUInt64BE(BigInt(snapshot.vmStateSize), FIXED_BYTES);
  bytes.writeBigUInt64BE(BigInt(snapshot.diskSize), FIXED_BYTES + 8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, snapshot.icount ?? -1n), FIXED_BYTES + 16);
  unknown.copy(bytes, FIXED_BYTES + KNOWN_EXTRA);
  idBytes.copy(bytes, FIXED_BYTES + extraBytes);
  nameBytes.copy(bytes, FIXED_BYTES + extraBytes + idBytes.length);
  return bytes;
}
