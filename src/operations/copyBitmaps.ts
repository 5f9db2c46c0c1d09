// Persistent bitmaps that go along with a conversion.
import type { Disk } from '../disk/disk.js';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import type { BitmapInfo, ImageFormat } from '../disk/format.js';
import { openDisk } from '../formats/open.js';
import { formatByName } from '../formats/registry.js';
import type { ConvertTargetSpec } from './convert.js';
import { openingOf } from './source.js';

/** The bitmaps to copy, and those that are left out because they are inconsistent. */
export interface BitmapPlan {
  copied: BitmapInfo[];
  skipped: string[];
}

/**
 * What is to be copied, judged before anything is made.
 * @throws UNSUPPORTED_OPERATION when one side has no bitmaps; INVALID_ARGUMENT for several sources, and for an
 * inconsistent bitmap unless those are skipped.
 */
export async function planBitmaps(
  sources: readonly Disk[],
  target: ConvertTargetSpec,
  wish: true | 'skip-broken',
): Promise<BitmapPlan> {
  const [source] = sources;
  if (sources.length > 1) throw refused('Copying bitmaps only possible with single source');
  const from = formatByName(source.format).bitmaps;
  if (!from) throw refused('Source lacks bitmap support', 'UNSUPPORTED_OPERATION');
  if (!formatByName(target.format).bitmaps || /^(0\.10|v2)$/.test(target.options?.compat ?? '')) {
    throw refused(`Format driver '${target.format}' does not support bitmaps`, 'UNSUPPORTED_OPERATION');
  }
  const bitmaps = await from.list(source);
  const broken = bitmaps.filter(({ inconsistent }) => inconsistent);
  if (broken.length > 0 && wish !== 'skip-broken') {
    throw refused(
      `Cannot copy inconsistent bitmap '${broken[0].name}'\n` +
        "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to delete it",
    );
  }
  return {
    copied: bitmaps.filter(({ inconsistent }) => !inconsistent),
    skipped: broken.map(({ name }) => name),
  };
}

/** Puts copies into the finished target; all of them appear at once. @throws as the target's BitmapEditor does. */
export async function copyBitmaps(source: Disk, target: ConvertTargetSpec, plan: BitmapPlan): Promise<void> {
  if (plan.copied.length === 0) return;
  const { path, format } = target;
  const ability = (formatByName(format) as ImageFormat & Required<Pick<ImageFormat, 'bitmaps'>>).bitmaps;
  const disk = await openDisk(path, { ...openingOf(target), writable: true, chain: false });
  try {
    const editor = await ability.edit(disk);
    try {
      // QEMU's order: the newest first.
      for (const { name, granularity, enabled } of [...plan.copied].reverse()) {
        await named(`Failed to create bitmap ${name}`, () => editor.add(name, granularity, enabled));
        try {
          await named(`Failed to populate bitmap ${name}`, () => editor.merge(name, source, name));
        } catch (error) {
          editor.remove(name);
          throw error;
        }
      }
    } finally {
      await editor.finish();
    }
  } finally {
    await disk.close();
  }
}

async function named(what: string, work: () => Promise<void> | void): Promise<void> {
  try {
    await work();
  } catch (error) {
    const cause = toDiskImageError(error, { operation: 'bitmap' });
    throw new DiskImageError(cause.code, `${what}: ${cause.message}`, {
      path: cause.path,
      operation: 'bitmap',
      cause,
    });
  }
}

function refused(
  message: string,
  code: 'INVALID_ARGUMENT' | 'UNSUPPORTED_OPERATION' = 'INVALID_ARGUMENT',
): DiskImageError {
  return new DiskImageError(code, message, { operation: 'bitmap' });
}
