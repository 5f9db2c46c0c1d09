import { isZero, u64le } from '../bytes.js';
import { crc32c } from '../crc32c.js';
import { eachEntry } from '../fold.js';
import type { Detector, Report, Section } from '../report.js';
import { fileEnd, foldBytes, headBytes, type Steps, tryBytes } from '../steps.js';
import { guid } from './vhdxGuid.js';
import { judgeItems, type MetadataItem, parseMetadata } from './vhdxMetadata.js';

const KiB = 1024;
const HEADERS = [64 * KiB, 128 * KiB];
const HEADER_BYTES = 4 * KiB;
const REGION_TABLES = [192 * KiB, 256 * KiB];
const TABLE_BYTES = 64 * KiB;
const MAX_ENTRIES = 2047;
const FIRST_REGION = 1024 * KiB;
/** Longer block tables are only checked to be in the file. */
const MAX_FOLDED = 32 * 1024 * KiB;

const BAT_REGION = '2dc27766-f623-4200-9d64-115e9bfd4a08';
const METADATA_REGION = '8b7ca206-4790-4b9a-b8fe-575f050f886e';

interface Region {
  offset: number;
  length: number;
}

/** Checksum at 4, computed with that field zero ([MS-VHDX] 2.2.2 and 2.2.3). */
function checksumHolds(structure: Buffer): boolean {
  const copy = Buffer.from(structure);
  copy.writeUInt32LE(0, 4);
  return crc32c(copy) === structure.readUInt32LE(4);
}

function judgeHeaders(report: Report, headers: Buffer[]): void {
  const valid = headers
    .filter((header) => header.length === HEADER_BYTES && header.toString('latin1', 0, 4) === 'head')
    .filter(checksumHolds)
    .sort((a, b) => u64le(b, 8) - u64le(a, 8));
  if (valid.length === 0) {
    report.refuse('corrupt', 'neither VHDX header is valid', HEADERS[0]);
    return;
  }
  const active = valid[0];
  const version = active.readUInt16LE(66);
  if (version !== 1) report.refuse('unsupported-version', `VHDX version ${version} is not 1`);
  if (!isZero(active.subarray(48, 64))) {
    report.refuse('pending-log', 'the VHDX log is not empty: opening the image would rewrite its metadata');
  }
}

function parseRegions(report: Report, table: Buffer): Map<string, Region> {
  const regions = new Map<string, Region>();
  const at = REGION_TABLES[0];
  if (table.length < TABLE_BYTES || table.toString('latin1', 0, 4) !== 'regi') {
    report.refuse('invalid-header', `no VHDX region table at byte ${at}`, at);
    return regions;
  }
  if (!checksumHolds(table)) report.refuse('corrupt', 'the VHDX region table has a wrong checksum', at + 4);
  const count = table.readUInt32LE(8);
  if (count > MAX_ENTRIES) {
    report.refuse('table-size', `VHDX region count ${count} exceeds the limit of ${MAX_ENTRIES}`, at + 8);
    return regions;
  }
  for (let index = 0; index < count; index++) {
    const entry = 16 + index * 32;
    const id = guid(table, entry);
    const region = { offset: u64le(table, entry + 16), length: table.readUInt32LE(entry + 24) };
    const known = id === BAT_REGION || id === METADATA_REGION;
    if (regions.has(id)) report.refuse('invalid-header', `VHDX region ${id} is listed twice`, at + entry);
    if (!known && (table.readUInt32LE(entry + 28) & 1) === 1) {
      report.refuse('unknown-features', `VHDX region ${id} is required and unknown`, at + entry);
    }
    if (region.offset < FIRST_REGION || region.offset % FIRST_REGION !== 0) {
      report.refuse(
        'invalid-table',
        `VHDX region offset ${region.offset} is no multiple of 1 MiB`,
        at + entry + 16,
      );
    }
    regions.set(id, region);
  }
  return regions;
}

/** Item values, in the order of their offsets, so that a stream sees them all. */
function* readItems(report: Report, base: number, items: MetadataItem[]): Steps<Map<string, Buffer>> {
  const values = new Map<string, Buffer>();
  for (const item of [...items].sort((a, b) => a.offset - b.offset)) {
    const value = yield* tryBytes(base + item.offset, item.length);
    if (value === undefined || value.length < item.length) {
      report.refuse(
        'truncated',
        `VHDX metadata item ${item.id} is cut or overlaps another`,
        base + item.offset,
      );
    } else values.set(item.id, value);
  }
  return values;
}

/** Block table ([MS-VHDX] 2.5): state in the low 3 bits, 6 and 7 have data; the block's MiB from bit 20 on. */
function* blockTable(section: Section, { offset, length }: Region): Steps {
  let highest = 0;
  const fold = eachEntry(8, (buffer, at) => {
    if ((buffer[at] & 7) < 6) return;
    const block = u64le(buffer, at) - (buffer.readUInt32LE(at) % 2 ** 20);
    if (block > highest) highest = block;
  });
  const seen = length <= MAX_FOLDED && (yield* foldBytes(offset, length, fold));
  if (!seen)
    section.unchecked.push(`VHDX blocks are in the file (block table of ${length} bytes at ${offset})`);
  const fileSize = yield* fileEnd();
  if (section.requireInFile('the VHDX block table', offset, length, fileSize) && highest > 0) {
    section.requireInFile('the last VHDX block', highest, 1, fileSize);
  }
}

/** Microsoft VHDX ([MS-VHDX]): headers, region tables, then a metadata region that holds size and parent. */
export const vhdx: Detector = {
  names: ['vhdx'],
  *inspect(report): Steps {
    const identifier = yield* headBytes(0, 8);
    if (identifier.toString('latin1') !== 'vhdxfile') return;
    report.match = { name: 'vhdx', reason: "'vhdxfile' at byte 0" };
    const headers: Buffer[] = [];
    for (const offset of HEADERS) headers.push((yield* tryBytes(offset, HEADER_BYTES)) ?? Buffer.alloc(0));
    judgeHeaders(report, headers);
    const tables: Buffer[] = [];
    for (const offset of REGION_TABLES)
      tables.push((yield* tryBytes(offset, TABLE_BYTES)) ?? Buffer.alloc(0));
    const regions = parseRegions(report, tables[0]);
    if (!tables[0].equals(tables[1])) {
      report.refuse('invalid-header', 'the two VHDX region tables differ', REGION_TABLES[1]);
    }

    const bat = regions.get(BAT_REGION);
    if (bat === undefined)
      report.refuse('invalid-header', 'the VHDX has no block table region', REGION_TABLES[0]);
    else if (bat.offset >= FIRST_REGION) report.spawn((section) => blockTable(section, bat));
    const metadata = regions.get(METADATA_REGION);
    if (metadata === undefined)
      report.refuse('invalid-header', 'the VHDX has no metadata region', REGION_TABLES[0]);
    else if (metadata.offset >= FIRST_REGION) {
      const table = yield* tryBytes(metadata.offset, TABLE_BYTES);
      const items = parseMetadata(report, table, metadata);
      judgeItems(report, items, yield* readItems(report, metadata.offset, items), metadata.offset);
    }
  },
};
