import { isZero, quote, u64be } from '../bytes.js';
import { eachEntry } from '../fold.js';
import type { Detector, Report, Section } from '../report.js';
import { fileEnd, foldBytes, headBytes, type Steps, tailBytes, tryBytes } from '../steps.js';

const COOKIE = 'conectix';
const FOOTER_BYTES = 512;
const DYNAMIC_HEADER_BYTES = 1024;
const SECTOR = 512;
const MAX_CYLINDERS = 65535;
const FIXED = 2;
const DYNAMIC = 3;
const DIFFERENCING = 4;
const UNALLOCATED = 0xffffffff;
/** 2040 GiB, the format's own limit: sector numbers of 32 bits. */
const MAX_BLOCKS = 2 ** 32 / 8;

function hasCookie(footer: Buffer): boolean {
  return footer.toString('latin1', 0, 8) === COOKIE;
}

/** One's complement of the sum of all bytes but the checksum's own four. */
function checksum(bytes: Buffer, field: number): number {
  let sum = 0;
  bytes.forEach((byte, index) => {
    if (index < field || index >= field + 4) sum += byte;
  });
  return ~sum >>> 0;
}

function judgeFooter(report: Report, footer: Buffer, at: number): void {
  const stored = footer.readUInt32BE(64);
  const computed = checksum(footer, 64);
  if (stored !== computed) {
    report.refuse('corrupt', `VHD footer checksum is ${stored}, its bytes give ${computed}`, at + 64);
  }
  const version = footer.readUInt32BE(12);
  if (version !== 0x00010000) {
    report.refuse(
      'unsupported-version',
      `VHD version ${version >>> 16}.${version & 0xffff} is not 1.0`,
      at + 12,
    );
  }
  // Some readers take the geometry for the size, others the size field: the larger one counts. The largest geometry
  // says only that the disk is too large for one.
  const bytes = footer.readBigUInt64BE(48);
  const cylinders = footer.readUInt16BE(56);
  const geometry = cylinders * footer[58] * footer[59] * SECTOR;
  const useful = cylinders < MAX_CYLINDERS && BigInt(geometry) > bytes;
  report.setVirtualSize(useful ? BigInt(geometry) : bytes, at + 48);
  const type = footer.readUInt32BE(60);
  if (type === DIFFERENCING)
    report.refuse('backing-file', 'the VHD is a child of another image (type 4)', at + 60);
  else if (type !== FIXED && type !== DYNAMIC) {
    report.refuse('invalid-header', `VHD type ${type} is neither 2 (fixed) nor 3 (dynamic)`, at + 60);
  }
}

function* blockTable(section: Section, offset: number, entries: number, blockBytes: number): Steps {
  let highest = -1;
  const fold = eachEntry(4, (buffer, at) => {
    const value = buffer.readUInt32BE(at);
    if (value !== UNALLOCATED && value > highest) highest = value;
  });
  const seen = yield* foldBytes(offset, entries * 4, fold);
  if (!seen) section.refuse('unseen', `the VHD block table at byte ${offset} has passed`, offset);
  const fileSize = yield* fileEnd();
  section.requireInFile('the VHD block table', offset, entries * 4, fileSize);
  if (highest < 0) return;
  const bitmap = Math.ceil(blockBytes / SECTOR / 8 / SECTOR) * SECTOR;
  section.requireInFile('the last VHD block', highest * SECTOR, bitmap + blockBytes, fileSize);
}

/** Child of a parent image: a name or any parent locator in the dynamic header. */
function judgeParent(report: Report, header: Buffer, at: number): void {
  const name = header.subarray(64, 576);
  if (isZero(name) && isZero(header.subarray(576, 768))) return;
  const text = Buffer.from(name).swap16().toString('utf16le').split('\0')[0];
  if (text !== '') report.backing = text;
  report.refuse('backing-file', `the VHD names a parent image: ${quote(text)}`, at + 64);
}

function* dynamicHeader(report: Report, footer: Buffer): Steps {
  const at = u64be(footer, 16);
  if (at < FOOTER_BYTES || at % SECTOR !== 0) {
    report.refuse(
      'invalid-header',
      `VHD dynamic header offset ${at} is not a sector after the footer's copy`,
      16,
    );
    return;
  }
  const header = yield* tryBytes(at, DYNAMIC_HEADER_BYTES);
  if (header === undefined) {
    report.refuse('unseen', `the VHD dynamic header at byte ${at} has passed`, at);
    return;
  }
  if (header.length < DYNAMIC_HEADER_BYTES) {
    report.requireInFile('the VHD dynamic header', at, DYNAMIC_HEADER_BYTES, yield* fileEnd());
    return;
  }
  if (header.toString('latin1', 0, 8) !== 'cxsparse') {
    report.refuse('invalid-header', `no 'cxsparse' cookie at byte ${at}`, at);
    return;
  }
  const stored = header.readUInt32BE(36);
  const computed = checksum(header, 36);
  if (stored !== computed) {
    report.refuse('corrupt', `VHD dynamic header checksum is ${stored}, its bytes give ${computed}`, at + 36);
  }
  judgeParent(report, header, at);
  const table = u64be(header, 16);
  const entries = header.readUInt32BE(28);
  const blockBytes = header.readUInt32BE(32);
  if (blockBytes < SECTOR || (blockBytes & (blockBytes - 1)) !== 0) {
    report.refuse(
      'invalid-header',
      `VHD block size ${blockBytes} is no power of two of at least 512`,
      at + 32,
    );
    return;
  }
  if (entries > MAX_BLOCKS) {
    report.refuse(
      'table-size',
      `VHD block table of ${entries} entries exceeds the limit of ${MAX_BLOCKS}`,
      at + 28,
    );
    return;
  }
  const diskBytes = u64be(footer, 48);
  if (diskBytes > entries * blockBytes) {
    report.refuse('invalid-header', `${entries} VHD blocks cannot hold ${diskBytes} bytes`, at + 28);
  }
  if (table < at + DYNAMIC_HEADER_BYTES) {
    report.refuse(
      'invalid-header',
      `VHD block table offset ${table} is not after the dynamic header`,
      at + 16,
    );
    return;
  }
  report.spawn((section) => blockTable(section, table, entries, blockBytes));
}

/** Microsoft VHD 1.0, which QEMU calls vpc: a big-endian footer, whose copy begins dynamic images. */
export const vhd: Detector = {
  names: ['vhd'],
  *inspect(report): Steps {
    const head = yield* headBytes(0, FOOTER_BYTES);
    if (!hasCookie(head)) {
      const { bytes: tail, fileSize } = yield* tailBytes(FOOTER_BYTES);
      if (!hasCookie(tail)) return;
      const at = fileSize - tail.length;
      report.match = { name: 'vhd', reason: `'${COOKIE}' footer at byte ${at}` };
      report.wrapsRaw = true;
      if (tail.length < FOOTER_BYTES) {
        report.requireInFile('the VHD footer', 0, FOOTER_BYTES, fileSize);
        return;
      }
      judgeFooter(report, tail, at);
      if (tail.readUInt32BE(60) === DYNAMIC) {
        report.refuse('invalid-header', 'a dynamic VHD without the footer copy that it begins with', 0);
      } else if (report.virtualSize !== undefined) {
        // The geometry may exceed the data; the size field may not.
        report.requireInFile('the fixed VHD data', 0, u64be(tail, 48), at);
      }
      return;
    }
    report.match = { name: 'vhd', reason: `'${COOKIE}' footer copy at byte 0` };
    if (head.length < FOOTER_BYTES) {
      report.requireInFile('the VHD footer', 0, FOOTER_BYTES, head.length);
      return;
    }
    judgeFooter(report, head, 0);
    if (head.readUInt32BE(60) === FIXED) {
      report.refuse('invalid-header', 'a fixed VHD with its footer at the start', 60);
    } else {
      yield* dynamicHeader(report, head);
    }
    const { bytes: tail, fileSize } = yield* tailBytes(FOOTER_BYTES);
    if (!hasCookie(tail)) {
      report.refuse('truncated', `the VHD's closing footer is not in the last 512 of ${fileSize} bytes`);
    } else if (!tail.equals(head)) {
      report.refuse(
        'invalid-header',
        "the VHD's footer differs from its copy at byte 0",
        fileSize - FOOTER_BYTES,
      );
    }
  },
};
