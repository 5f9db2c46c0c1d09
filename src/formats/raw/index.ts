import type { ImageFormat } from '../../disk/format.js';
import { createRaw } from './create.js';
import { openRaw } from './disk.js';
import { measureRaw } from './measure.js';
import { rawCreateOptions } from './options.js';
import { resizeRaw } from './resize.js';
import { createRawTarget, openRawTarget } from './target.js';

/** A file that is the disk, byte for byte. */
export const raw: ImageFormat = {
  name: 'raw',
  // QEMU scores raw 1: anything can be raw, and any format that recognises itself is better.
  probe: () => 1,
  open: openRaw,
  createOptions: rawCreateOptions,
  create: createRaw,
  createTarget: createRawTarget,
  openTarget: openRawTarget,
  measure: measureRaw,
  resize: resizeRaw,
};
