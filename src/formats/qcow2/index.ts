import type { ImageFormat } from '../../disk/format.js';
import { checkQcow2 } from './check/index.js';
import { QCOW2_MAGIC } from './constants.js';
import { composeQcow2, createQcow2 } from './create.js';
import { createQcow2Target } from './createTarget.js';
import { openQcow2Target } from './inPlaceTarget.js';
import { measureQcow2 } from './measure.js';
import { openQcow2 } from './open.js';
import { qcow2CreateOptions } from './options.js';
import { openWritableQcow2 } from './writable.js';

/** QEMU's copy-on-write format, versions 2 and 3. */
export const qcow2: ImageFormat = {
  name: 'qcow2',
  probe: (head) =>
    head.length >= 8 && head.readUInt32BE(0) === QCOW2_MAGIC && head.readUInt32BE(4) >= 2 ? 100 : 0,
  open: (file, options) =>
    options.write && !options.check ? openWritableQcow2(file, options) : openQcow2(file, options),
  check: (disk, control) => checkQcow2(disk, control),
  createOptions: qcow2CreateOptions,
  create: createQcow2,
  compose: composeQcow2,
  createTarget: createQcow2Target,
  openTarget: openQcow2Target,
  measure: measureQcow2,
};
