import type { Effort } from '../operations/job.js';
import type { Digests, SourceAlgorithm } from './digests.js';
import type { ProvisionListener, StepTime } from './events.js';
import type { HttpLimits } from './http/download.js';

export interface ImageCacheOptions {
  /** Folder of the instances; the cache is its folder `_base`. Made when something is provisioned. */
  instances: string;
  /** Engine threads per operation, 1 to 16. */
  threads?: number;
  /** Milliseconds to wait for another process that works on the same image. Default: without limit. */
  lockTimeout?: number;
  /** Digest every base when it is made, so that verify() can judge it. Default true. */
  digestBases?: boolean;
  http?: HttpLimits;
}

export interface BaseRequest {
  /** Any text; its SHA-1 names the base. An image never changes under its id. */
  imageId: string;
  /** Path or http(s) URL; needed only when the cache has no base of the image. */
  source?: string;
  /** For an http(s) source; not sent on to other origins. */
  headers?: Record<string, string>;
  /** Format the source is said to have; content of another format is refused. Default: decided by content. */
  sourceFormat?: string;
  /** Expected digests of the source, hexadecimal; all that are given are verified. */
  digests?: Digests;
  /** Bytes; an image of a larger virtual size is refused before it is fetched. 0 or undefined: no limit. */
  size?: number;
}

export interface ProvisionRequest extends BaseRequest {
  /** Name of the instance's folder. */
  instance: string;
  /** `qcow2` (default): an overlay of the base. `raw`: a copy. */
  imageType?: 'qcow2' | 'raw';
  /** What gets `size`: only the instance's disk (`overlay`, default), or a copy of the base in the cache (`base`). */
  resize?: 'base' | 'overlay';
}

/** The rate is that of each step: a download, the conversion, the digest of the base. */
export interface RunOptions extends Effort {
  signal?: AbortSignal;
  onEvent?: ProvisionListener;
}

export interface BaseOutcome {
  imageId: string;
  /** Path of the base. */
  base: string;
  /** Bytes. */
  virtualSize: number;
  /** It was there already. */
  cached: boolean;
  /** Given digests that the source was found to have, now or when the base was made. */
  verified: SourceAlgorithm[];
  /** Given digests that nobody has compared, because the base is older than the wish. */
  unverified: SourceAlgorithm[];
}

export interface ProvisionOutcome extends BaseOutcome {
  instance: string;
  /** Path of the instance's disk. */
  disk: string;
  format: 'qcow2' | 'raw';
  /** Bytes of the instance's disk. */
  diskSize: number;
  /** File the disk is an overlay or a copy of: the base, or a resized base. Undefined for a copy that existed. */
  backing?: string;
  /** The disk was there already, and was left as it is. */
  existed: boolean;
  steps: StepTime[];
}
