import { u64be } from '../../bytes.js';
import type { Detector, Report } from '../../report.js';
import { headBytes, type Steps, tryBytes } from '../../steps.js';
import { ban } from '../banned.js';
import { judgeExtensions } from './extensions.js';
import { judgeFields } from './fields.js';
import { readHeader, V2_HEADER_BYTES, V3_HEADER_BYTES } from './header.js';
import { judgeTables } from './tables.js';

const MAGIC = Buffer.from('QFI\xfb', 'latin1');
const HEAD_BYTES = 512;
const MAX_BACKING_NAME = 1023;

/** The first version, a format of its own: same magic, same place of backing file name and size. */
function judgeVersion1(report: Report, head: Buffer): void {
  ban(report, 'qcow', 'QFI magic at byte 0, version 1');
  if (head.length < 48) return;
  report.setVirtualSize(head.readBigUInt64BE(24), 24);
  if (u64be(head, 8) !== 0) report.refuse('backing-file', 'the image has a backing file', 8);
}

function* backingName(report: Report, offset: number, length: number): Steps {
  const name = yield* tryBytes(offset, Math.min(length, MAX_BACKING_NAME));
  if (name !== undefined && name.length > 0) report.backing = name.toString();
}

/** qcow2, versions 2 and 3 (QEMU docs/interop/qcow2), and what came before it. */
export const qcow2: Detector = {
  names: ['qcow2', 'qcow'],
  *inspect(report): Steps {
    const head = yield* headBytes(0, HEAD_BYTES);
    if (!head.subarray(0, 4).equals(MAGIC)) return;
    const version = head.length >= 8 ? head.readUInt32BE(4) : 0;
    if (version === 1) {
      judgeVersion1(report, head);
      return;
    }
    report.match = { name: 'qcow2', reason: `QFI magic at byte 0, version ${version}` };
    const needed = version === 2 ? V2_HEADER_BYTES : V3_HEADER_BYTES;
    if (!report.requireInFile('the qcow2 header', 0, needed, head.length)) return;
    const header = readHeader(head);
    judgeFields(report, header, head);
    const { clusterBits, headerLength, backingOffset, backingLength } = header;
    if (backingOffset > 0) report.spawn(() => backingName(report, backingOffset, backingLength));
    if (clusterBits < 9 || clusterBits > 21) return;
    if (headerLength <= 2 ** clusterBits) report.spawn((section) => judgeExtensions(section, report, header));
    judgeTables(report, header);
  },
};
