// Changes to the header of an existing image.
import type { HostFile } from '../../disk/hostFile.js';
import type { HeaderFields } from './header.js';
import { serializeHeader } from './serializeHeader.js';

/** Fields that may change without anything else in the header moving. */
export type PatchableFields = Pick<
  HeaderFields,
  | 'virtualSize'
  | 'l1Entries'
  | 'l1Offset'
  | 'refcountTableOffset'
  | 'refcountTableClusters'
  | 'snapshotCount'
  | 'snapshotTableOffset'
  | 'incompatible'
  | 'compatible'
  | 'autoclear'
  | 'refcountOrder'
>;

/** Where each field lies, and its bytes. */
const PLACES: Record<keyof PatchableFields, readonly [offset: number, bytes: 4 | 8]> = {
  virtualSize: [24, 8],
  l1Entries: [36, 4],
  l1Offset: [40, 8],
  refcountTableOffset: [48, 8],
  refcountTableClusters: [56, 4],
  snapshotCount: [60, 4],
  snapshotTableOffset: [64, 8],
  incompatible: [72, 8],
  compatible: [80, 8],
  autoclear: [88, 8],
  refcountOrder: [96, 4],
};
const V2_BYTES = 72;
const V3_BYTES = 104;

/**
 * Writes some fields in place, all others as they are in the file: one write within the first sector, so that the
 * storage has all of them or none. The caller syncs before and after. Feature fields need version 3.
 */
export async function writeHeaderFields(
  file: HostFile,
  version: 2 | 3,
  change: Partial<PatchableFields>,
): Promise<void> {
  const bytes = await file.readExact(0, version === 3 ? V3_BYTES : V2_BYTES, 'qcow2 header');
  let first = bytes.length;
  let end = 0;
  for (const [name, value] of Object.entries(change)) {
    const [at, length] = PLACES[name as keyof PatchableFields];
    if (at + length > bytes.length) throw new RangeError(`a version ${version} header has no field ${name}`);
    if (length === 8) bytes.writeBigUInt64BE(BigInt(value), at);
    else bytes.writeUInt32BE(Number(value), at);
    first = Math.min(first, at);
    end = Math.max(end, at + length);
  }
  if (end > first) await file.write(bytes.subarray(first, end), first);
}

/**
 * Writes header, extensions and backing name anew, and zeros over the rest of the first cluster. Not one sector: for
 * changes after which either content is sound. The caller syncs before and after.
 * @throws INVALID_HEADER when they do not fit the cluster; nothing is written then.
 */
export async function rewriteHeader(file: HostFile, fields: HeaderFields): Promise<void> {
  const bytes = Buffer.alloc(2 ** fields.clusterBits);
  serializeHeader(fields).copy(bytes);
  await file.write(bytes, 0);
}
