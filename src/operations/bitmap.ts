import { requireObject, requireOneOf, requireString } from '../disk/arguments.js';
import type { Disk } from '../disk/disk.js';
import { DiskImageError } from '../disk/errors.js';
import type { BitmapEditor } from '../disk/format.js';
import { openDisk } from '../formats/open.js';
import { formatByName } from '../formats/registry.js';
import { type JobSettings, runJob } from './job.js';
import { type ImageSource, type NamedImage, openingOf, openSource } from './source.js';

export type BitmapAction =
  /** `granularity`: guest bytes per bit, a power of 2 from 512 to 2 GiB; default: the cluster size, 4 to 64 KiB. */
  | { action: 'add'; granularity?: number }
  | { action: 'remove' | 'clear' | 'enable' | 'disable' }
  /** Adds what another bitmap has, of the same image or of `mergeFrom`. */
  | { action: 'merge'; source: string };

export interface BitmapRequest extends NamedImage {
  /** Name of the bitmap. */
  bitmap: string;
  /** Done in order. When one fails, those before it stay done, as with qemu-img. */
  actions: readonly BitmapAction[];
  /** The image that sources of `merge` are in; default: the same. */
  mergeFrom?: Omit<ImageSource, 'snapshot'>;
}

const ACTIONS = ['add', 'remove', 'clear', 'enable', 'disable', 'merge'] as const;

/**
 * Changes a persistent bitmap of an image; everything that was done becomes durable at once.
 * @throws INVALID_ARGUMENT with QEMU's sentence and `failedAction`; what opening throws.
 */
export function editBitmap(request: BitmapRequest, settings: JobSettings = {}): Promise<void> {
  return runJob('bitmap', settings, async () => {
    requireObject(request, 'the request', 'bitmap');
    const { path, format, bitmap, actions, mergeFrom } = request;
    requireString(bitmap, 'bitmap', 'bitmap');
    for (const one of actions) requireOneOf(one?.action, ACTIONS, 'action', 'bitmap');
    const disk = await openDisk(path, { ...openingOf(request), writable: true, chain: false });
    let other: Disk | undefined;
    try {
      if (mergeFrom) other = await openSource(mergeFrom);
      const ability = formatByName(format).bitmaps;
      const editor = ability ? await ability.edit(disk) : absent;
      try {
        for (const one of actions) await act(editor, bitmap, one, other);
      } finally {
        await editor.finish();
      }
    } finally {
      await other?.close();
      await disk.close();
    }
  });
}

async function act(
  editor: BitmapEditor,
  bitmap: string,
  one: BitmapAction,
  other: Disk | undefined,
): Promise<void> {
  try {
    if (one.action === 'add') editor.add(bitmap, one.granularity);
    else if (one.action === 'merge') await editor.merge(bitmap, other, one.source);
    else if (one.action === 'disable') editor.enable(bitmap, false);
    else editor[one.action](bitmap);
  } catch (error) {
    if (error instanceof DiskImageError) throw Object.assign(error, { failedAction: one.action });
    throw error;
  }
}

/** An image whose format has no bitmaps. */
const absent: BitmapEditor = {
  names: [],
  add: () => {
    throw refusal("Can't store persistent bitmaps to #block0: Operation not supported");
  },
  remove: missing,
  clear: missing,
  enable: missing,
  merge: async (name) => missing(name),
  finish: async () => {},
};

function missing(name: string): never {
  throw refusal(`Dirty bitmap '${name}' not found`);
}

function refusal(message: string): DiskImageError {
  return new DiskImageError('INVALID_ARGUMENT', message, { operation: 'bitmap' });
}
