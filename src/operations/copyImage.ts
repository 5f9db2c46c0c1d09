import type { CopyFileResult } from '../native.js';
import type { JobSettings } from './job.js';
import type { CacheMode } from './source.js';

export interface CopyImageRequest {
  source: string;
  target: string;
  /** Bytes the copy has in the end, at least the source's size; default the source's size. The rest is a hole. */
  size?: number;
  /** `auto` (default): share blocks where the filesystem can, else copy. */
  reflink?: 'auto' | 'always' | 'never';
  /** Bytes, multiple of 512; runs of zeros this long inside data become holes. Default 0: only the source's holes. */
  sparseSize?: number;
  /** Replace an existing file; default true. */
  replace?: boolean;
  /** Permission bits; default 0o644. */
  mode?: number;
  /** QEMU's locks on source and target; default true. */
  lock?: boolean;
  /** Default durable; `unsafe` does not sync. */
  targetCache?: CacheMode;
}

export interface CopyImageOutcome extends CopyFileResult {
  /** Bytes of the copy. */
  size: number;
}

/** Sparse copy of a file, byte for byte: reflink, else copy_file_range, else read and write. */
export declare function copyImage(
  request: CopyImageRequest,
  settings?: JobSettings,
): Promise<CopyImageOutcome>;
