import type { Detector } from '../report.js';
import { fileEnd, headBytes, type Steps } from '../steps.js';

const MAGIC = Buffer.from('LUKS\xba\xbe', 'latin1');
const HEADER_BYTES = 592;
const KEY_SLOTS = 8;
const SECTOR = 512;

/** LUKS (on-disk format specification 1.2.3): a big-endian header, key material, payload from a sector on. */
export const luks: Detector = {
  names: ['luks'],
  *inspect(report): Steps {
    const head = yield* headBytes(0, HEADER_BYTES);
    if (!head.subarray(0, 6).equals(MAGIC)) return;
    const version = head.length >= 8 ? head.readUInt16BE(6) : 0;
    report.match = { name: 'luks', reason: `LUKS magic at byte 0, version ${version}` };
    report.encryption = 'luks';
    if (head.length < HEADER_BYTES) {
      report.requireInFile('the LUKS header', 0, HEADER_BYTES, head.length);
      return;
    }
    if (version !== 1) {
      report.refuse('unsupported-version', `LUKS version ${version} is not 1`, 6);
      return;
    }
    const payload = head.readUInt32BE(104) * SECTOR;
    const keyBytes = head.readUInt32BE(108);
    const fileSize = yield* fileEnd();
    if (payload < HEADER_BYTES) {
      report.refuse('invalid-header', `LUKS payload offset ${payload} is inside the header`, 104);
    } else if (report.requireInFile('the LUKS payload', payload, 0, fileSize)) {
      report.setVirtualSize(BigInt(fileSize - payload));
    }
    for (let slot = 0; slot < KEY_SLOTS; slot++) {
      const at = 208 + slot * 48;
      const start = head.readUInt32BE(at + 40) * SECTOR;
      const stripes = head.readUInt32BE(at + 44);
      if (start === 0 && stripes === 0) continue;
      report.requireInFile(`LUKS key slot ${slot}`, start, keyBytes * stripes, fileSize);
    }
  },
};
