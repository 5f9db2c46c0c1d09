import { requireObject } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';
import type { CheckResult } from '../disk/format.js';
import { resolveGate } from '../disk/gates.js';
import { openDisk } from '../formats/open.js';
import { formatByName } from '../formats/registry.js';
import { type JobSettings, runJob } from './job.js';
import type { ImageSource } from './source.js';

export type CheckRequest = Omit<ImageSource, 'snapshot'>;

export interface CheckOutcome extends CheckResult {
  filename: string;
  format: string;
}

/**
 * Consistency of one image's metadata; nothing is changed. The chain is opened too, as qemu-img does.
 * @throws UNSUPPORTED_OPERATION for a format without a check (exit code 63 of qemu-img); what opening throws.
 */
export function check(request: CheckRequest, settings: JobSettings = {}): Promise<CheckOutcome> {
  return runJob('check', settings, async (job) => {
    requireObject(request, 'the request', 'check');
    const { path, format: name } = request;
    const format = formatByName(name);
    if (!format.check) {
      throw new DiskImageError('UNSUPPORTED_OPERATION', 'This image format does not support checks', {
        path,
        operation: 'check',
      });
    }
    const disk = await openDisk(path, {
      format: name,
      check: true,
      gate: resolveGate(request.gate),
      limits: request.limits,
      lock: request.lock,
    });
    try {
      return { filename: path, format: name, ...(await format.check(disk, job.control)) };
    } finally {
      await disk.close();
    }
  });
}
