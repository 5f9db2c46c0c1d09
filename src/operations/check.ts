import { requireObject, requireOneOf } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';
import type { CheckResult, RepairMode } from '../disk/format.js';
import { openDisk } from '../formats/open.js';
import { formatByName } from '../formats/registry.js';
import { type JobSettings, runJob } from './job.js';
import { type NamedImage, openingOf } from './source.js';

export interface CheckRequest extends NamedImage {
  /** Repairs what is wrong: `leaks`: counts that are too high, which harm nobody; `all`: everything that can be repaired. */
  repair?: RepairMode;
}

export interface CheckOutcome extends CheckResult {
  filename: string;
  format: string;
}

/**
 * Consistency of one image's metadata; the chain is opened too, as qemu-img does. Without `repair` nothing is changed.
 * When something was repaired the image is checked again: the counts are those of the second check, but for
 * `corruptionsFixed` and `leaksFixed`; the messages are those of both.
 * @throws UNSUPPORTED_OPERATION for a format without a check (exit code 63 of qemu-img); what opening throws.
 */
export function check(request: CheckRequest, settings: JobSettings = {}): Promise<CheckOutcome> {
  return runJob('check', settings, async (job) => {
    requireObject(request, 'the request', 'check');
    const { path, format: name, repair } = request;
    requireOneOf(repair, ['leaks', 'all'], 'repair', 'check');
    const format = formatByName(name);
    if (!format.check) {
      throw new DiskImageError('UNSUPPORTED_OPERATION', 'This image format does not support checks', {
        path,
        operation: 'check',
      });
    }
    const examine = async (mode: RepairMode | undefined): Promise<CheckResult> => {
      const disk = await openDisk(path, {
        ...openingOf(request),
        check: true,
        writable: mode !== undefined,
      });
      try {
        return await format.check!(disk, job.control, mode);
      } finally {
        await disk.close();
      }
    };
    const first = await examine(repair);
    const { corruptionsFixed, leaksFixed } = first;
    if (corruptionsFixed === 0 && leaksFixed === 0) return { filename: path, format: name, ...first };
    const second = await examine(undefined);
    const messages = [...first.messages, ...second.messages];
    return { filename: path, format: name, ...second, corruptionsFixed, leaksFixed, messages };
  });
}
