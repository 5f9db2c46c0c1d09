import { defaultLimits } from '../../../disk/limits.js';
import { eachEntry, LastNonZero } from '../../fold.js';
import type { Report, Section } from '../../report.js';
import { fileEnd, foldBytes, type Steps } from '../../steps.js';
import { EXTENDED_L2, type Header } from './header.js';

const SNAPSHOT_ENTRY_BYTES = 40;

/** Bits 9 to 55 of a table entry: a host offset. */
function hostOffset(buffer: Buffer, at: number): number {
  return (
    (buffer.readUInt32BE(at) & 0x00ffffff) * 2 ** 32 + ((buffer.readUInt32BE(at + 4) & 0xfffffe00) >>> 0)
  );
}

/** Follows a table of 8-byte host offsets and remembers what matters of it. */
class OffsetTable {
  highest = 0;
  unaligned = 0;
  /** Index and value of the last entry that is not zero. */
  lastIndex = -1;
  lastOffset = 0;

  constructor(readonly clusterBytes: number) {}

  readonly fold = eachEntry(8, (buffer, at, index) => {
    const low = buffer.readUInt32BE(at + 4);
    if (low === 0 && buffer.readUInt32BE(at) === 0) return;
    const offset = hostOffset(buffer, at);
    if (offset === 0) return;
    this.lastIndex = index;
    this.lastOffset = offset;
    if (offset > this.highest) this.highest = offset;
    if (offset % this.clusterBytes !== 0) this.unaligned++;
  });
}

function placed(
  section: Section,
  what: string,
  offset: number,
  clusterBytes: number,
  field: number,
): boolean {
  if (offset > 0 && offset % clusterBytes === 0) return true;
  section.refuse(
    'invalid-table',
    `${what} at byte ${offset} is not at a cluster of ${clusterBytes} bytes`,
    field,
  );
  return false;
}

function judgeEntries(
  section: Section,
  what: string,
  table: OffsetTable,
  at: number,
  fileSize: number,
): void {
  if (table.unaligned > 0) {
    section.refuse(
      'invalid-table',
      `${table.unaligned} ${what} are not at a cluster of ${table.clusterBytes} bytes`,
      at,
    );
  }
  if (table.highest >= fileSize && table.highest > 0) {
    section.requireInFile(`the last of the ${what}`, table.highest, table.clusterBytes, fileSize);
  }
}

function* l1Table(section: Section, offset: number, bytes: number, clusterBytes: number): Steps {
  const table = new OffsetTable(clusterBytes);
  const seen = yield* foldBytes(offset, bytes, table.fold);
  if (!seen) section.refuse('unseen', `the L1 table at byte ${offset} has passed`, offset);
  const fileSize = yield* fileEnd();
  if (!section.requireInFile('the L1 table', offset, bytes, fileSize)) return;
  judgeEntries(section, 'L2 tables', table, offset, fileSize);
}

/** Index of the last used cluster that a refcount block speaks of; widths under 8 bits fill bytes from their low end. */
function lastUsed({ index, value }: LastNonZero, refcountBits: number): number {
  if (refcountBits >= 8) return Math.floor((index * 8) / refcountBits);
  return index * (8 / refcountBits) + Math.floor((31 - Math.clz32(value)) / refcountBits);
}

/** The refcounts tell where the file should end: the last cluster in use must begin within it. */
function* refcounts(
  section: Section,
  offset: number,
  bytes: number,
  clusterBytes: number,
  order: number,
): Steps {
  const table = new OffsetTable(clusterBytes);
  const seen = yield* foldBytes(offset, bytes, table.fold);
  if (!seen) section.refuse('unseen', `the refcount table at byte ${offset} has passed`, offset);
  const block = new LastNonZero();
  let known = false;
  if (table.lastOffset > 0 && table.lastOffset % clusterBytes === 0) {
    known = yield* foldBytes(table.lastOffset, clusterBytes, block.fold);
    if (!known)
      section.unchecked.push('the last cluster in use is in the file (its refcount block had passed)');
  }
  const fileSize = yield* fileEnd();
  if (!section.requireInFile('the refcount table', offset, bytes, fileSize)) return;
  judgeEntries(section, 'refcount blocks', table, offset, fileSize);
  if (!known || block.index < 0) return;
  const perBlock = (clusterBytes * 8) / 2 ** order;
  const cluster = table.lastIndex * perBlock + lastUsed(block, 2 ** order);
  if (cluster * clusterBytes < fileSize) return;
  section.refuse(
    'truncated',
    `the refcounts say that the cluster at byte ${cluster * clusterBytes} is in use, but the file ends at ${fileSize}`,
    table.lastOffset,
  );
}

function* snapshotTable(section: Section, offset: number, count: number): Steps {
  const bytes = count * SNAPSHOT_ENTRY_BYTES;
  section.requireInFile(`the table of ${count} snapshots`, offset, bytes, yield* fileEnd());
}

function judgeL1(report: Report, header: Header, clusterBytes: number): void {
  const { l1Entries, l1Offset } = header;
  const perTable = clusterBytes / ((header.incompatible & EXTENDED_L2) !== 0n ? 16 : 8);
  if (report.virtualSize !== undefined) {
    const needed = Math.ceil(report.virtualSize / (perTable * clusterBytes));
    if (l1Entries < needed) {
      report.refuse(
        'invalid-header',
        `L1 table of ${l1Entries} entries; ${report.virtualSize} bytes need ${needed}`,
        36,
      );
    }
  }
  const limit = defaultLimits.l1Bytes / 8;
  if (l1Entries > limit) {
    report.refuse('table-size', `L1 table of ${l1Entries} entries exceeds the limit of ${limit}`, 36);
  } else if (l1Entries > 0 && placed(report, 'the L1 table', l1Offset, clusterBytes, 40)) {
    report.spawn((section) => l1Table(section, l1Offset, l1Entries * 8, clusterBytes));
  }
}

function judgeRefcounts(report: Report, header: Header, clusterBytes: number): void {
  const { refcountTableOffset: offset, refcountTableClusters, refcountOrder } = header;
  const bytes = refcountTableClusters * clusterBytes;
  const limit = defaultLimits.refcountTableBytes;
  if (refcountTableClusters === 0) report.refuse('invalid-header', 'refcount table of 0 clusters', 56);
  else if (bytes > limit) {
    report.refuse('table-size', `refcount table of ${bytes} bytes exceeds the limit of ${limit}`, 56);
  } else if (placed(report, 'the refcount table', offset, clusterBytes, 48) && refcountOrder <= 6) {
    report.spawn((section) => refcounts(section, offset, bytes, clusterBytes, refcountOrder));
  }
}

function judgeSnapshots(report: Report, { snapshots, snapshotsOffset }: Header, clusterBytes: number): void {
  if (snapshots === 0) return;
  if (snapshots > defaultLimits.snapshots) {
    report.refuse('table-size', `${snapshots} snapshots exceed the limit of ${defaultLimits.snapshots}`, 60);
  } else if (placed(report, 'the snapshot table', snapshotsOffset, clusterBytes, 64)) {
    report.spawn((section) => snapshotTable(section, snapshotsOffset, snapshots));
  }
}

/** Judges the claims that the header makes of its tables, and the tables against the file. */
export function judgeTables(report: Report, header: Header): void {
  const clusterBytes = 2 ** header.clusterBits;
  judgeL1(report, header, clusterBytes);
  judgeRefcounts(report, header, clusterBytes);
  judgeSnapshots(report, header, clusterBytes);
}
