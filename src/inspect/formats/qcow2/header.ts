import { u64be } from '../../bytes.js';

export const V2_HEADER_BYTES = 72;
export const V3_HEADER_BYTES = 104;

/** Incompatible feature bits (qcow2 specification, "Header"). */
export const DIRTY = 1n;
export const CORRUPT = 2n;
export const DATA_FILE = 4n;
export const COMPRESSION = 8n;
export const EXTENDED_L2 = 16n;
export const KNOWN_FEATURES = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2;

/** Header fields as stored, nothing checked; big-endian, bytes unless said otherwise. */
export interface Header {
  version: number;
  backingOffset: number;
  backingLength: number;
  clusterBits: number;
  virtualSize: bigint;
  cryptMethod: number;
  l1Entries: number;
  l1Offset: number;
  refcountTableOffset: number;
  refcountTableClusters: number;
  snapshots: number;
  snapshotsOffset: number;
  incompatible: bigint;
  refcountOrder: number;
  headerLength: number;
  compressionType: number;
}

/** `head` holds at least the bytes of its version's header. */
export function readHeader(head: Buffer): Header {
  const version = head.readUInt32BE(4);
  const v3 = version >= 3;
  const headerLength = v3 ? head.readUInt32BE(100) : V2_HEADER_BYTES;
  return {
    version,
    backingOffset: u64be(head, 8),
    backingLength: head.readUInt32BE(16),
    clusterBits: head.readUInt32BE(20),
    virtualSize: head.readBigUInt64BE(24),
    cryptMethod: head.readUInt32BE(32),
    l1Entries: head.readUInt32BE(36),
    l1Offset: u64be(head, 40),
    refcountTableOffset: u64be(head, 48),
    refcountTableClusters: head.readUInt32BE(56),
    snapshots: head.readUInt32BE(60),
    snapshotsOffset: u64be(head, 64),
    incompatible: v3 ? head.readBigUInt64BE(72) : 0n,
    refcountOrder: v3 ? head.readUInt32BE(96) : 4,
    headerLength,
    compressionType:
      headerLength > V3_HEADER_BYTES && head.length > V3_HEADER_BYTES ? head[V3_HEADER_BYTES] : 0,
  };
}
