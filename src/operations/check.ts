import type { CheckResult } from '../disk/format.js';
import type { JobSettings } from './job.js';
import type { CacheMode, ImageSource } from './source.js';

export interface CheckRequest extends Omit<ImageSource, 'snapshot'> {
  cache?: CacheMode;
}

export interface CheckOutcome extends CheckResult {
  filename: string;
  format: string;
}

/** @throws UNSUPPORTED_OPERATION for a format without a consistency check (exit code 63 of qemu-img). */
export declare function check(request: CheckRequest, settings?: JobSettings): Promise<CheckOutcome>;
