// Headers that change as a whole: names, extensions, version.
import type { HostFile } from '../../disk/hostFile.js';
import { alignUp } from '../../disk/offsets.js';
import { ExtensionType, HEADER_V2_BYTES } from './constants.js';
import { parseExtensions } from './extensions.js';
import type { HeaderFields } from './header.js';
import { serializeHeader } from './serializeHeader.js';

const SECTOR = 512;
const NAME_OFFSET = 8;
const NAME_LENGTH = 16;
const HEADER_LENGTH = 100;

/**
 * Lets the image have the header `fields`. What lies behind the first sector is put there first, where the old header
 * does not look; writing the first sector switches to it. Only where the old header leaves no such room are both written
 * at once. What the fields point to must be durable before.
 * @throws INVALID_HEADER when it does not fit the first cluster; nothing is written then.
 */
export async function switchHeader(file: HostFile, fields: HeaderFields): Promise<void> {
  const natural = serializeHeader(fields);
  const clusterSize = 2 ** fields.clusterBits;
  const stored = Buffer.alloc(clusterSize);
  await file.read(stored, 0);
  const used = usedBytes(stored);
  const nameBytes = fields.backingFile === undefined ? 0 : Buffer.byteLength(fields.backingFile);
  const candidates = [natural];
  const behind = alignUp(Math.max(used, natural.length - nameBytes), 8);
  if (nameBytes > 0 && behind + nameBytes <= clusterSize)
    candidates.push(withName(natural, nameBytes, behind, stored));
  const fitting = candidates.find((bytes) => {
    const end = Math.min(used, bytes.length);
    return end <= SECTOR || bytes.compare(stored, SECTOR, end, SECTOR, end) === 0;
  });
  const bytes = fitting ?? natural;
  const cut = fitting ? SECTOR : 0;
  if (cut > 0 && bytes.length > cut) {
    await file.write(bytes.subarray(cut), cut);
    await file.sync();
  }
  await file.write(cut > 0 ? bytes.subarray(0, cut) : bytes, 0);
  await file.sync();
}

/** The same header with its backing name at `offset`; what is stored between stays, for the old header still names it. */
function withName(natural: Buffer, length: number, offset: number, stored: Buffer): Buffer {
  const bytes = Buffer.from(stored.subarray(0, offset + length));
  natural.copy(bytes, 0, 0, natural.length - length);
  natural.copy(bytes, offset, natural.length - length);
  bytes.writeBigUInt64BE(BigInt(offset), NAME_OFFSET);
  return bytes;
}

/** Bytes of the first cluster that the stored header needs. */
function usedBytes(stored: Buffer): number {
  const length = stored.readUInt32BE(4) === 2 ? HEADER_V2_BYTES : stored.readUInt32BE(HEADER_LENGTH);
  const nameOffset = Number(stored.readBigUInt64BE(NAME_OFFSET));
  const nameEnd = nameOffset + stored.readUInt32BE(NAME_LENGTH);
  const { extensions } = parseExtensions(stored, length, nameOffset || stored.length);
  let end = length + 8;
  for (const { data } of extensions) end += 8 + alignUp(data.length, 8);
  return Math.min(stored.length, Math.max(end, nameEnd));
}

/** The fields with another backing file, or none; its format comes first among the extensions, as with QEMU. */
export function withBacking(
  fields: HeaderFields,
  backing: { name: string; format: string } | undefined,
): HeaderFields {
  const rest = fields.extensions.filter(({ type }) => type !== ExtensionType.backingFormat);
  const { backingFile: _, ...others } = fields;
  if (!backing) return { ...others, extensions: rest };
  const format = { type: ExtensionType.backingFormat, data: Buffer.from(backing.format) };
  return { ...others, backingFile: backing.name, extensions: [format, ...rest] };
}
