import { u64le } from '../../bytes.js';
import { eachEntry } from '../../fold.js';
import type { Report, Section } from '../../report.js';
import { fileEnd, foldBytes, type Steps, tailBytes, tryBytes } from '../../steps.js';
import { judgeDescriptor, MAX_DESCRIPTOR } from './descriptor.js';

const SECTOR = 512;
const DESCRIPTOR_OFFSET = 512;
const FOOTER_BYTES = 1536;
const FOOTER_MARKER = 3;
const GD_AT_END = 0xffffffffffffffffn;
/** QEMU: at most 512 Mi grain directory entries' worth of disk; no real one has a directory of 32 MiB. */
const MAX_DIRECTORY = 32 * 2 ** 20;

/** Sparse extent header ("Virtual Disk Format 5.0"), little-endian, sectors unless said otherwise. */
function parse(head: Buffer) {
  return {
    version: head.readUInt32LE(4),
    capacity: head.readBigUInt64LE(12),
    grain: u64le(head, 20),
    descriptorOffset: u64le(head, 28),
    descriptorSectors: u64le(head, 36),
    entriesPerTable: head.readUInt32LE(44),
    redundantDirectory: u64le(head, 48),
    directory: u64le(head, 56),
    directoryAtEnd: head.readBigUInt64LE(56) === GD_AT_END,
    newlines: head.toString('latin1', 73, 77),
  };
}

type Header = ReturnType<typeof parse>;

function* grainDirectory(section: Section, what: string, offset: number, bytes: number): Steps {
  let highest = 0;
  const fold = eachEntry(4, (buffer, at) => {
    const sector = buffer.readUInt32LE(at);
    if (sector > highest) highest = sector;
  });
  const seen = yield* foldBytes(offset, bytes, fold);
  if (!seen) section.refuse('unseen', `the VMDK ${what} at byte ${offset} has passed`, offset);
  const fileSize = yield* fileEnd();
  section.requireInFile(`the VMDK ${what}`, offset, bytes, fileSize);
  if (highest > 0) section.requireInFile('the last VMDK grain table', highest * SECTOR, SECTOR, fileSize);
}

/** A stream-optimised image ends with marker, footer (the header again, with the directory's place) and end marker. */
function* footer(section: Section, head: Buffer, directoryBytes: number): Steps {
  const { bytes, fileSize } = yield* tailBytes(FOOTER_BYTES);
  if (bytes.length < FOOTER_BYTES) {
    section.refuse('truncated', `a VMDK footer of ${FOOTER_BYTES} bytes does not fit into ${fileSize}`);
    return;
  }
  const at = fileSize - FOOTER_BYTES;
  const copy = bytes.subarray(SECTOR, 2 * SECTOR);
  const marker = bytes.readUInt32LE(8) === 0 && bytes.readUInt32LE(12) === FOOTER_MARKER;
  if (!marker || !copy.subarray(0, 4).equals(head.subarray(0, 4))) {
    section.refuse('truncated', `no VMDK footer at byte ${at}`, at);
    return;
  }
  if (!bytes.subarray(2 * SECTOR, 2 * SECTOR + 16).equals(Buffer.alloc(16))) {
    section.refuse('invalid-header', 'no VMDK end-of-stream marker in the last sector', at + 2 * SECTOR);
  }
  const same = Buffer.from(copy);
  head.copy(same, 48, 48, 64);
  if (!same.equals(head))
    section.refuse('invalid-header', 'the VMDK footer differs from the header', at + SECTOR);
  const parsed = parse(copy);
  if (parsed.directoryAtEnd)
    section.refuse('invalid-header', 'the VMDK footer has no grain directory', at + SECTOR + 56);
  else section.requireInFile('the VMDK grain directory', parsed.directory * SECTOR, directoryBytes, fileSize);
}

function* descriptor(section: Section, report: Report, header: Header): Steps {
  const offset = header.descriptorOffset * SECTOR;
  if (offset !== DESCRIPTOR_OFFSET || header.descriptorSectors === 0) {
    section.refuse('descriptor', `VMDK descriptor is at byte ${offset}, not ${DESCRIPTOR_OFFSET}`, 28);
    return;
  }
  const length = header.descriptorSectors * SECTOR;
  if (length > MAX_DESCRIPTOR) {
    section.refuse(
      'table-size',
      `VMDK descriptor of ${length} bytes exceeds the limit of ${MAX_DESCRIPTOR}`,
      36,
    );
    return;
  }
  const bytes = yield* tryBytes(offset, length);
  if (bytes === undefined) section.refuse('unseen', 'the VMDK descriptor has passed', offset);
  else if (bytes.length < length)
    section.requireInFile('the VMDK descriptor', offset, length, yield* fileEnd());
  else judgeDescriptor(report, bytes, offset);
}

/** Judges a hosted sparse extent with an embedded descriptor. */
export function judgeSparse(report: Report, head: Buffer): void {
  const header = parse(head);
  if (![1, 2, 3].includes(header.version)) {
    report.refuse('unsupported-version', `VMDK version ${header.version} is not 1, 2 or 3`, 4);
  }
  if (header.newlines !== '\n \r\n') {
    report.refuse('corrupt', 'VMDK newline test bytes were changed by a text-mode transfer', 73);
  }
  if (header.capacity === 0n) {
    report.refuse('external-extent', 'VMDK capacity is 0: its descriptor would be read for other files', 12);
  }
  report.setVirtualSize(header.capacity * BigInt(SECTOR), 12);
  report.spawn((section) => descriptor(section, report, header));

  const { grain, entriesPerTable } = header;
  if (grain < 1 || grain > 128 * 1024 || (grain & (grain - 1)) !== 0) {
    report.refuse(
      'invalid-header',
      `VMDK grain size of ${grain} sectors is no power of two up to 131072`,
      20,
    );
    return;
  }
  if (entriesPerTable < 1 || entriesPerTable > 512) {
    report.refuse('invalid-header', `VMDK grain tables of ${entriesPerTable} entries; the limit is 512`, 44);
    return;
  }
  if (report.virtualSize === undefined) return;
  const directoryBytes = Math.ceil(report.virtualSize / SECTOR / (grain * entriesPerTable)) * 4;
  if (directoryBytes > MAX_DIRECTORY) {
    report.refuse(
      'table-size',
      `VMDK grain directory of ${directoryBytes} bytes exceeds the limit of ${MAX_DIRECTORY}`,
      12,
    );
    return;
  }
  if (header.directoryAtEnd) {
    report.spawn((section) => footer(section, head, directoryBytes));
    return;
  }
  if (header.directory === 0) report.refuse('invalid-table', 'VMDK grain directory at byte 0', 56);
  else
    report.spawn((section) =>
      grainDirectory(section, 'grain directory', header.directory * SECTOR, directoryBytes),
    );
  if (header.redundantDirectory > 0) {
    const offset = header.redundantDirectory * SECTOR;
    report.spawn((section) => grainDirectory(section, 'redundant grain directory', offset, directoryBytes));
  }
}
