import type { ImageFormat } from '../../disk/format.js';
import { openRaw } from './disk.js';
import { rawCreateOptions } from './options.js';

/** A file that is the disk, byte for byte. What only some verbs need is loaded when it is called. */
export const raw: ImageFormat = {
  name: 'raw',
  // QEMU scores raw 1: anything can be raw, and any format that recognises itself is better.
  probe: () => 1,
  open: openRaw,
  createOptions: rawCreateOptions,
  async create(path, request) {
    const { createRaw } = await import('./create.js');
    return createRaw(path, request);
  },
  async createTarget(path, request) {
    const { createRawTarget } = await import('./target.js');
    return createRawTarget(path, request);
  },
  async openTarget(disk, request) {
    const { openRawTarget } = await import('./target.js');
    return openRawTarget(disk, request);
  },
  async measure(request) {
    const { measureRaw } = await import('./measure.js');
    return measureRaw(request);
  },
  async resize(disk, size, preallocation, control) {
    const { resizeRaw } = await import('./resize.js');
    return resizeRaw(disk, size, preallocation, control);
  },
};
