import { DiskImageError } from '../../disk/errors.js';
import {
  HEADER_V2_BYTES,
  HEADER_V3_BYTES,
  HEADER_V3_MIN_BYTES,
  MAX_BACKING_NAME,
  QCOW2_MAGIC,
} from './constants.js';
import { serializeExtensions } from './extensions.js';
import type { HeaderFields } from './header.js';

/**
 * Header, extensions and backing name as they lie in the first cluster (not padded to it).
 * @throws INVALID_HEADER when they do not fit the cluster or the name exceeds 1023 bytes.
 */
export function serializeHeader(fields: HeaderFields): Buffer {
  const clusterSize = 2 ** fields.clusterBits;
  const v3 = fields.version === 3;
  const header = Buffer.alloc(v3 ? fields.headerLength : HEADER_V2_BYTES);
  const extensions = serializeExtensions(fields.extensions);
  const name = Buffer.from(fields.backingFile ?? '', 'utf8');
  const nameOffset = header.length + extensions.length;
  if (name.length > MAX_BACKING_NAME) {
    throw new DiskImageError(
      'INVALID_HEADER',
      `Backing file name of ${name.length} bytes exceeds the limit of ${MAX_BACKING_NAME}`,
    );
  }
  if (nameOffset + name.length > clusterSize) {
    throw new DiskImageError(
      'INVALID_HEADER',
      `Header, extensions and backing file name of ${nameOffset + name.length} bytes exceed the cluster of ${clusterSize}`,
    );
  }
  header.writeUInt32BE(QCOW2_MAGIC, 0);
  header.writeUInt32BE(fields.version, 4);
  if (name.length > 0) {
    header.writeBigUInt64BE(BigInt(nameOffset), 8);
    header.writeUInt32BE(name.length, 16);
  }
  header.writeUInt32BE(fields.clusterBits, 20);
  header.writeBigUInt64BE(BigInt(fields.virtualSize), 24);
  header.writeUInt32BE(fields.cryptMethod, 32);
  header.writeUInt32BE(fields.l1Entries, 36);
  header.writeBigUInt64BE(BigInt(fields.l1Offset), 40);
  header.writeBigUInt64BE(BigInt(fields.refcountTableOffset), 48);
  header.writeUInt32BE(fields.refcountTableClusters, 56);
  header.writeUInt32BE(fields.snapshotCount, 60);
  header.writeBigUInt64BE(BigInt(fields.snapshotTableOffset), 64);
  if (v3) {
    header.writeBigUInt64BE(fields.incompatible, 72);
    header.writeBigUInt64BE(fields.compatible, 80);
    header.writeBigUInt64BE(fields.autoclear, 88);
    header.writeUInt32BE(fields.refcountOrder, 96);
    header.writeUInt32BE(fields.headerLength, 100);
    if (header.length > HEADER_V3_MIN_BYTES) header[104] = fields.compressionType === 'zstd' ? 1 : 0;
    fields.unknownFields.copy(header, HEADER_V3_BYTES);
  }
  return Buffer.concat([header, extensions, name]);
}
