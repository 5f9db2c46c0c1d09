import { MAX_STORED_NAME, quote, u64be, untilNul } from '../../bytes.js';
import type { Report, Section } from '../../report.js';
import { fileEnd, HEAD_BYTES, headBytes, type Steps } from '../../steps.js';
import { type Header, KNOWN_FEATURES } from './header.js';

const END = 0;
const BACKING_FORMAT = 0xe2792aca;
const FEATURE_NAMES = 0x6803f857;
const BITMAPS = 0x23852875;
const DATA_FILE_NAME = 0x44415441;
const MAX_BITMAPS = 65535;
const FEATURE_NAME_BYTES = 48;

interface Extension {
  type: number;
  /** Host byte offset of its data. */
  at: number;
  data: Buffer;
}

/** Cuts the extension area; `start` is its place in the file, `limit` where it must end. */
function cut(section: Section, area: Buffer, start: number, limit: number): Extension[] {
  const extensions: Extension[] = [];
  let at = 0;
  while (at + 8 <= area.length) {
    const type = area.readUInt32BE(at);
    const length = area.readUInt32BE(at + 4);
    if (type === END) return extensions;
    if (start + at + 8 + length > limit || at + 8 + length > area.length) {
      section.refuse(
        'invalid-header',
        `header extension 0x${type.toString(16)} of ${length} bytes at byte ${start + at} passes the area's end at ${Math.min(limit, start + area.length)}`,
        start + at,
      );
      return extensions;
    }
    extensions.push({ type, at: start + at + 8, data: area.subarray(at + 8, at + 8 + length) });
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return extensions;
}

function featureNames(extensions: Extension[]): Map<number, string> {
  const names = new Map<number, string>();
  const table = extensions.find(({ type }) => type === FEATURE_NAMES)?.data ?? Buffer.alloc(0);
  for (let at = 0; at + FEATURE_NAME_BYTES <= table.length; at += FEATURE_NAME_BYTES) {
    if (table[at] !== 0) continue;
    names.set(table[at + 1], untilNul(table.subarray(at + 2, at + FEATURE_NAME_BYTES)).toString('latin1'));
  }
  return names;
}

function judgeUnknown(section: Section, incompatible: bigint, extensions: Extension[]): void {
  const unknown = incompatible & ~KNOWN_FEATURES;
  if (unknown === 0n) return;
  const names = featureNames(extensions);
  for (let bit = 0; bit < 64; bit++) {
    if (((unknown >> BigInt(bit)) & 1n) === 0n) continue;
    const name = names.get(bit);
    const called = name === undefined ? '' : `, which calls itself ${quote(name)}`;
    section.refuse('unknown-features', `incompatible feature bit ${bit} is unknown${called}`, 72);
  }
}

/** One extension twice: readers may take the first or the last. */
function judgeRepeats(section: Section, extensions: Extension[]): void {
  for (const type of [BACKING_FORMAT, DATA_FILE_NAME, BITMAPS]) {
    const found = extensions.filter((extension) => extension.type === type);
    if (found.length < 2) continue;
    section.refuse(
      'invalid-header',
      `header extension 0x${type.toString(16)} is there ${found.length} times`,
      found[1].at,
    );
  }
}

/** Reads the header extensions: names of features and files, bitmap directory. */
export function* judgeExtensions(section: Section, report: Report, header: Header): Steps {
  const clusterBytes = 2 ** header.clusterBits;
  const start = header.headerLength;
  const inCluster = header.backingOffset > start && header.backingOffset < clusterBytes;
  const limit = inCluster ? header.backingOffset : clusterBytes;
  const area =
    start < HEAD_BYTES ? yield* headBytes(start, Math.min(limit, HEAD_BYTES) - start) : Buffer.alloc(0);
  const extensions = cut(section, area, start, limit);
  judgeUnknown(section, header.incompatible, extensions);
  judgeRepeats(section, extensions);

  const dataFile = extensions.find(({ type }) => type === DATA_FILE_NAME);
  if (dataFile) {
    report.dataFile = untilNul(dataFile.data).toString().slice(0, MAX_STORED_NAME);
    section.refuse(
      'data-file',
      `the image names an external data file: ${quote(report.dataFile)}`,
      dataFile.at,
    );
  }
  const bitmaps = extensions.find(({ type }) => type === BITMAPS);
  if (bitmaps && bitmaps.data.length >= 24) {
    const count = bitmaps.data.readUInt32BE(0);
    const bytes = u64be(bitmaps.data, 8);
    const offset = u64be(bitmaps.data, 16);
    if (count === 0 || count > MAX_BITMAPS) {
      section.refuse('table-size', `${count} bitmaps are not between 1 and ${MAX_BITMAPS}`, bitmaps.at);
    }
    section.requireInFile('the bitmap directory', offset, bytes, yield* fileEnd());
  }
}
