import type { Detector } from '../report.js';
import { fileEnd, headBytes, type Steps } from '../steps.js';

const FIRST_DESCRIPTOR = 32768;
const DESCRIPTOR_BYTES = 2048;
/** ECMA-119 and ECMA-167 part 2: standard identifiers of volume structure descriptors. */
const IDENTIFIERS = ['CD001', 'BEA01', 'NSR02', 'NSR03'];

/** ISO 9660 and UDF: the first volume descriptor at byte 32768 names the standard. */
export const iso: Detector = {
  names: ['iso'],
  *inspect(report): Steps {
    const descriptor = yield* headBytes(FIRST_DESCRIPTOR, DESCRIPTOR_BYTES);
    const identifier = descriptor.toString('latin1', 1, 6);
    if (!IDENTIFIERS.includes(identifier)) return;
    report.match = { name: 'iso', reason: `identifier '${identifier}' at byte ${FIRST_DESCRIPTOR + 1}` };
    const fileSize = yield* fileEnd();
    if (!report.requireInFile('the volume descriptor', FIRST_DESCRIPTOR, DESCRIPTOR_BYTES, fileSize)) return;
    if (identifier !== 'CD001' || descriptor[0] !== 1) return;
    const blocks = descriptor.readUInt32LE(80);
    const blockBytes = descriptor.readUInt16LE(128);
    report.requireInFile(
      `the volume of ${blocks} blocks of ${blockBytes} bytes`,
      0,
      blocks * blockBytes,
      fileSize,
    );
  },
};
