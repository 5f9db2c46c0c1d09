import { isZero } from '../bytes.js';
import type { Report } from '../report.js';
import { guid } from './vhdxGuid.js';

const TABLE_BYTES = 64 * 1024;
const MAX_ITEMS = 2047;
/** Values that are read: larger ones are none of those needed here. */
const VALUE_BYTES = 16;

const FILE_PARAMETERS = 'caa16737-fa36-4d43-b3b6-33f0aa44e76b';
const VIRTUAL_DISK_SIZE = '2fa54224-cd1b-4876-b211-5dbed83bf4b8';
const LOGICAL_SECTOR = '8141bf1d-a96f-4709-ba47-f233a8faab5f';
const PHYSICAL_SECTOR = 'cda348c7-445d-4471-9cc9-e9885251c556';
const DISK_ID = 'beca12ab-b2e6-4523-93ef-c309e000c746';
const PARENT_LOCATOR = 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c';
const known = [FILE_PARAMETERS, VIRTUAL_DISK_SIZE, LOGICAL_SECTOR, PHYSICAL_SECTOR, DISK_ID, PARENT_LOCATOR];

export interface MetadataItem {
  id: string;
  /** Bytes, from the start of the metadata region. */
  offset: number;
  length: number;
}

/** The items whose values are wanted ([MS-VHDX] 2.6.1); everything odd about the table is refused. */
export function parseMetadata(
  report: Report,
  table: Buffer | undefined,
  region: { offset: number; length: number },
): MetadataItem[] {
  if (table === undefined || table.length < TABLE_BYTES || table.toString('latin1', 0, 8) !== 'metadata') {
    report.refuse('invalid-table', `no whole VHDX metadata table at byte ${region.offset}`, region.offset);
    return [];
  }
  const count = table.readUInt16LE(10);
  if (count > MAX_ITEMS) {
    report.refuse(
      'table-size',
      `VHDX metadata item count ${count} exceeds the limit of ${MAX_ITEMS}`,
      region.offset,
    );
    return [];
  }
  const items: MetadataItem[] = [];
  const seen = new Set<string>();
  for (let index = 0; index < count; index++) {
    const entry = 32 + index * 32;
    const at = region.offset + entry;
    const id = guid(table, entry);
    const offset = table.readUInt32LE(entry + 16);
    const length = table.readUInt32LE(entry + 20);
    const required = (table.readUInt32LE(entry + 24) & 4) !== 0;
    if (seen.has(id)) report.refuse('invalid-table', `VHDX metadata item ${id} is listed twice`, at);
    seen.add(id);
    if (id === PARENT_LOCATOR) report.refuse('backing-file', 'the VHDX has a parent locator', at);
    if (!known.includes(id)) {
      if (required) report.refuse('unknown-features', `VHDX metadata item ${id} is required and unknown`, at);
      continue;
    }
    if (id === PARENT_LOCATOR || isZero(table.subarray(entry, entry + 16))) continue;
    if (length > VALUE_BYTES || offset < TABLE_BYTES || offset + length > region.length) {
      report.refuse('invalid-table', `VHDX metadata item ${id} has ${length} bytes at ${offset}`, at);
      continue;
    }
    items.push({ id, offset, length });
  }
  return items;
}

export function judgeItems(
  report: Report,
  items: MetadataItem[],
  values: Map<string, Buffer>,
  base: number,
): void {
  const place = (id: string) => base + (items.find((item) => item.id === id)?.offset ?? 0);
  const size = values.get(VIRTUAL_DISK_SIZE);
  if (size?.length === 8) report.setVirtualSize(size.readBigUInt64LE(0), place(VIRTUAL_DISK_SIZE));
  else report.refuse('invalid-table', 'the VHDX does not tell its virtual size', base);

  const parameters = values.get(FILE_PARAMETERS);
  if (parameters?.length !== 8) {
    report.refuse('invalid-table', 'the VHDX has no file parameters', base);
    return;
  }
  const block = parameters.readUInt32LE(0);
  if (block < 2 ** 20 || block > 2 ** 28 || (block & (block - 1)) !== 0) {
    report.refuse(
      'invalid-table',
      `VHDX block size ${block} is no power of two from 1 to 256 MiB`,
      place(FILE_PARAMETERS),
    );
  }
  if ((parameters.readUInt32LE(4) & 2) !== 0) {
    report.refuse('backing-file', 'the VHDX is a child of another image', place(FILE_PARAMETERS) + 4);
  }
  const sector = values.get(LOGICAL_SECTOR);
  if (sector?.length === 4 && ![512, 4096].includes(sector.readUInt32LE(0))) {
    report.refuse(
      'invalid-table',
      `VHDX sector size ${sector.readUInt32LE(0)} is neither 512 nor 4096`,
      place(LOGICAL_SECTOR),
    );
  }
}
