import type { Detector } from '../report.js';
import { fileEnd, headBytes, type Steps } from '../steps.js';

const SECTOR = 512;
const streams: readonly [kind: string, magic: Buffer, offset: number][] = [
  ['gzip', Buffer.from([0x1f, 0x8b, 0x08]), 0],
  ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), 0],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), 0],
  ['bzip2', Buffer.from('BZh'), 0],
  ['lz4', Buffer.from([0x04, 0x22, 0x4d, 0x18]), 0],
  ['zip', Buffer.from('PK\x03\x04'), 0],
  ['7z', Buffer.from([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]), 0],
  ['tar', Buffer.from('ustar'), 257],
];

/** Raw bytes that were probably meant to be unpacked first, or cut: worth a word, no violation. */
export const hints: Detector = {
  names: [],
  *inspect(report): Steps {
    const head = yield* headBytes(0, SECTOR);
    for (const [kind, magic, offset] of streams) {
      if (!head.subarray(offset, offset + magic.length).equals(magic)) continue;
      report.warn(`the bytes look like ${kind}: a guest would see them packed`);
    }
    const fileSize = yield* fileEnd();
    if (fileSize % SECTOR !== 0) {
      report.warn(
        `${fileSize} bytes are no whole number of ${SECTOR}-byte sectors: the guest sees zeros after them`,
      );
    }
  },
};
