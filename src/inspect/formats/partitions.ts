import type { Detector, Report } from '../report.js';
import { fileEnd, headBytes, type Steps } from '../steps.js';

const SECTOR = 512;
const TABLE = 446;
const ENTRY_BYTES = 16;
const PROTECTIVE = 0xee;

interface Entry {
  index: number;
  boot: number;
  /** Cylinder, head, sector as stored. */
  startChs: readonly [number, number, number];
  type: number;
  startLba: number;
  sectors: number;
}

function parseEntries(sector: Buffer): Entry[] {
  return [0, 1, 2, 3].map((index) => {
    const at = TABLE + index * ENTRY_BYTES;
    return {
      index,
      boot: sector[at],
      startChs: [sector[at + 3] | ((sector[at + 2] & 0xc0) << 2), sector[at + 1], sector[at + 2] & 0x3f],
      type: sector[at + 4],
      startLba: sector.readUInt32LE(at + 8),
      sectors: sector.readUInt32LE(at + 12),
    };
  });
}

/** A FAT volume's boot sector carries the same mark, and code where a partition table would be. */
function isFat(sector: Buffer): boolean {
  return sector[16] === 2 && sector[21] === 0xf8;
}

function judgeEntries(report: Report, entries: Entry[]): void {
  const used = entries.filter(({ type }) => type !== 0);
  for (const { index, boot } of entries) {
    if (boot === 0 || boot === 0x80) continue;
    report.refuse(
      'partition-table',
      `partition ${index} has boot flag 0x${boot.toString(16)}, which is neither 0 nor 0x80`,
      TABLE + index * ENTRY_BYTES,
    );
  }
  if (used.length === 0) report.refuse('partition-table', 'the boot sector defines no partition', TABLE);
  for (const { index, type, startChs, startLba } of used) {
    if (type !== PROTECTIVE) continue;
    const at = TABLE + index * ENTRY_BYTES;
    if (index !== 0 || used.length > 1) {
      report.refuse(
        'partition-table',
        `protective partition ${index} is one of ${used.length}; it must be the first and the only one`,
        at,
      );
    }
    if (startChs.join() !== '0,0,2' || startLba !== 1) {
      report.refuse(
        'partition-table',
        `protective partition begins at cylinder/head/sector ${startChs.join('/')} and LBA ${startLba}, not at 0/0/2 and 1`,
        at,
      );
    }
  }
}

function gptHeaderOffset(sectors: Buffer): number | undefined {
  // UEFI 5.3.2: the header is in the second logical block, of 512 or 4096 bytes.
  return [512, 4096].find((offset) => sectors.toString('latin1', offset, offset + 8) === 'EFI PART');
}

/** MBR and GPT: a raw disk whose first sector ends in 55 AA and is not a FAT volume's. */
export const partitions: Detector = {
  names: ['gpt', 'mbr'],
  *inspect(report): Steps {
    const sector = yield* headBytes(0, SECTOR);
    if (sector.length < SECTOR || sector.readUInt16LE(510) !== 0xaa55 || isFat(sector)) return;
    const entries = parseEntries(sector);
    const protective = entries.some(({ type }) => type === PROTECTIVE);
    report.match = protective
      ? { name: 'gpt', reason: 'boot sector mark 55 AA at byte 510 and a protective partition' }
      : { name: 'mbr', reason: 'boot sector mark 55 AA at byte 510' };
    judgeEntries(report, entries);
    if (protective) {
      const header = gptHeaderOffset(yield* headBytes(0, 4096 + 8));
      if (header === undefined) report.warn('a protective partition, but no GPT header after it');
    }
    const fileSize = yield* fileEnd();
    for (const { index, type, startLba, sectors } of entries) {
      if (type === 0 || type === PROTECTIVE) continue;
      const end = (startLba + sectors) * SECTOR;
      if (end > fileSize) report.warn(`partition ${index} ends at byte ${end}, the file at ${fileSize}`);
    }
  },
};
