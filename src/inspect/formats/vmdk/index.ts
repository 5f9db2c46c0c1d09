import type { Detector } from '../../report.js';
import { headBytes, type Steps, tryBytes } from '../../steps.js';
import { judgeDescriptor, looksLikeDescriptor, MAX_DESCRIPTOR } from './descriptor.js';
import { judgeSparse } from './sparse.js';

const HEADER_BYTES = 512;
const TEXT_BYTES = 4096;

/** VMware VMDK: a sparse extent with its descriptor, or a bare descriptor whose data is always in other files. */
export const vmdk: Detector = {
  names: ['vmdk'],
  *inspect(report): Steps {
    const head = yield* headBytes(0, HEADER_BYTES);
    const magic = head.toString('latin1', 0, 4);
    if (magic === 'KDMV') {
      report.match = { name: 'vmdk', reason: "'KDMV' magic at byte 0" };
      if (head.length < HEADER_BYTES) report.requireInFile('the VMDK header', 0, HEADER_BYTES, head.length);
      else judgeSparse(report, head);
    } else if (magic === 'COWD') {
      report.match = { name: 'vmdk', reason: "'COWD' magic at byte 0" };
      report.refuse('unsupported-version', 'VMDK of the old ESX kind (COWD) is not accepted', 0);
    } else if (looksLikeDescriptor(yield* headBytes(0, TEXT_BYTES))) {
      report.match = { name: 'vmdk', reason: 'VMDK descriptor text at byte 0' };
      report.refuse('external-extent', 'a VMDK descriptor alone: its data is in other files', 0);
      const text = yield* tryBytes(0, MAX_DESCRIPTOR);
      if (text !== undefined) judgeDescriptor(report, text, 0);
    }
  },
};
