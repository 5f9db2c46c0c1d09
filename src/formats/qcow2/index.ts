import type { ImageFormat } from '../../disk/format.js';
import { qcow2AmendOptions } from './amendOptions.js';
import { QCOW2_MAGIC } from './constants.js';
import { openQcow2 } from './open.js';
import { qcow2CreateOptions } from './options.js';
import type { WritableQcow2Disk } from './writable.js';

/**
 * QEMU's copy-on-write format, versions 2 and 3. What only some verbs need is loaded when it is called: a program that
 * asks for `info` starts in a fraction of the time.
 */
export const qcow2: ImageFormat = {
  name: 'qcow2',
  probe: (head) =>
    head.length >= 8 && head.readUInt32BE(0) === QCOW2_MAGIC && head.readUInt32BE(4) >= 2 ? 100 : 0,
  async open(file, options) {
    if (!options.write || options.check || !options.chain) return openQcow2(file, options);
    const { openWritableQcow2 } = await import('./writable.js');
    return openWritableQcow2(file, options);
  },
  async check(disk, control, repair) {
    const { checkQcow2 } = await import('./check/index.js');
    return checkQcow2(disk, control, { repair });
  },
  bitmaps: {
    async edit(disk) {
      const { editBitmaps } = await import('./bitmapEdit.js');
      return editBitmaps(disk);
    },
    async list(disk) {
      const { listBitmaps } = await import('./bitmapList.js');
      return listBitmaps(disk);
    },
  },
  createOptions: qcow2CreateOptions,
  async create(path, request) {
    const { createQcow2 } = await import('./create.js');
    return createQcow2(path, request);
  },
  async compose(path, request) {
    const { composeQcow2 } = await import('./create.js');
    return composeQcow2(path, request);
  },
  async createTarget(path, request) {
    const { createQcow2Target } = await import('./createTarget.js');
    return createQcow2Target(path, request);
  },
  async openTarget(disk, request) {
    const { openQcow2Target } = await import('./inPlaceTarget.js');
    return openQcow2Target(disk, request);
  },
  async makeEmpty(disk) {
    const { makeEmptyQcow2 } = await import('./makeEmpty.js');
    return makeEmptyQcow2(disk);
  },
  async changeBacking(disk, backing) {
    const { changeQcow2Backing } = await import('./changeBacking.js');
    return changeQcow2Backing(disk, backing);
  },
  amendOptions: qcow2AmendOptions,
  async amend(disk, options, control) {
    const { amendQcow2 } = await import('./amend.js');
    return amendQcow2(disk, options, control);
  },
  snapshots: {
    create: async (disk, snapshot) => (await snapshots()).create(disk, snapshot),
    apply: async (disk, which) => (await snapshots()).apply(disk, which),
    remove: async (disk, which) => (await snapshots()).remove(disk, which),
  },
  async resize(disk, size, preallocation, control) {
    const { resizeQcow2 } = await import('./resize.js');
    await resizeQcow2(disk as WritableQcow2Disk, size, preallocation, control);
  },
  async measure(request) {
    const { measureQcow2 } = await import('./measure.js');
    return measureQcow2(request);
  },
};

async function snapshots() {
  return (await import('./snapshotEdit.js')).qcow2Snapshots;
}
