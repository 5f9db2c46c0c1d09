import { isZero } from '../bytes.js';
import type { Detector } from '../report.js';
import { fileEnd, headBytes, type Steps } from '../steps.js';

const MAGIC = 0xbeda107f;
const HEADER_BYTES = 512;
const VERSION = 0x00010001;
const SECTOR = 512;
const BLOCK_BYTES = 2 ** 20;
/** VirtualBox and QEMU: VDI_BLOCKS_IN_IMAGE_MAX. */
const MAX_BLOCKS = Math.floor(2 ** 32 / 4) - 1;
const TYPES: Readonly<Record<number, string>> = { 1: 'dynamic', 2: 'static', 3: 'undo', 4: 'differencing' };

/** VirtualBox VDI 1.1: one little-endian header sector, a block map, blocks of 1 MiB. */
export const vdi: Detector = {
  names: ['vdi'],
  *inspect(report): Steps {
    const head = yield* headBytes(0, HEADER_BYTES);
    if (head.length < 68 || head.readUInt32LE(64) !== MAGIC) return;
    report.match = { name: 'vdi', reason: 'VDI signature 0xbeda107f at byte 64' };
    if (head.length < HEADER_BYTES) {
      report.requireInFile('the VDI header', 0, HEADER_BYTES, head.length);
      return;
    }
    const version = head.readUInt32LE(68);
    if (version !== VERSION) {
      report.refuse(
        'unsupported-version',
        `VDI version ${version >>> 16}.${version & 0xffff} is not 1.1`,
        68,
      );
    }
    report.setVirtualSize(head.readBigUInt64LE(368), 368);

    const type = head.readUInt32LE(76);
    if (type === 3 || type === 4 || !isZero(head.subarray(424, 440)) || !isZero(head.subarray(440, 456))) {
      report.refuse('backing-file', `the VDI is a child of another image (type ${TYPES[type] ?? type})`, 76);
    } else if (TYPES[type] === undefined) {
      report.refuse('invalid-header', `VDI image type ${type} is neither 1 (dynamic) nor 2 (static)`, 76);
    }

    const mapOffset = head.readUInt32LE(340);
    const dataOffset = head.readUInt32LE(344);
    const sector = head.readUInt32LE(360);
    const blockBytes = head.readUInt32LE(376);
    const blocks = head.readUInt32LE(384);
    const allocated = head.readUInt32LE(388);
    if (mapOffset < HEADER_BYTES || mapOffset % SECTOR !== 0) {
      report.refuse(
        'invalid-header',
        `VDI block map offset ${mapOffset} is not a sector after the header`,
        340,
      );
    }
    if (dataOffset < mapOffset || dataOffset % SECTOR !== 0) {
      report.refuse(
        'invalid-header',
        `VDI data offset ${dataOffset} is not a sector after the block map`,
        344,
      );
    }
    if (sector !== SECTOR) report.refuse('invalid-header', `VDI sector size ${sector} is not 512`, 360);
    if (blockBytes !== BLOCK_BYTES) {
      report.refuse('invalid-header', `VDI block size ${blockBytes} is not ${BLOCK_BYTES}`, 376);
    }
    if (blocks > MAX_BLOCKS) {
      report.refuse(
        'table-size',
        `VDI block map of ${blocks} entries exceeds the limit of ${MAX_BLOCKS}`,
        384,
      );
    }
    if (report.virtualSize !== undefined && report.virtualSize > blocks * BLOCK_BYTES) {
      report.refuse('invalid-header', `${blocks} VDI blocks cannot hold ${report.virtualSize} bytes`, 384);
    }
    if (allocated > blocks) {
      report.refuse(
        'invalid-header',
        `${allocated} allocated VDI blocks exceed the ${blocks} in the image`,
        388,
      );
    }

    const fileSize = yield* fileEnd();
    report.requireInFile('the VDI block map', mapOffset, blocks * 4, fileSize);
    if (allocated > 0 && allocated <= blocks) {
      report.requireInFile('the VDI data', dataOffset, allocated * BLOCK_BYTES, fileSize);
    }
  },
};
