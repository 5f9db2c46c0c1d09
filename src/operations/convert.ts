import type { CreateOptions } from '../disk/format.js';
import type { Gate } from '../disk/gate.js';
import type { GateSpec } from '../disk/gates.js';
import type { Limits } from '../disk/limits.js';
import type { JobSettings } from './job.js';
import type { CacheMode, ImageSource } from './source.js';

export interface ConvertTargetSpec {
  path: string;
  /** Format name, such as `raw` or `qcow2`. */
  format: string;
  /** `-o` options by QEMU's names, values as text. */
  options?: CreateOptions;
  /** `-B`/`-F`: the new image is an overlay of this file, and only the source's own layer is copied. */
  backing?: { path: string; format?: string };
  /** Rules for the backing file; default `local`. */
  gate?: Gate | GateSpec;
  limits?: Partial<Limits>;
  /** QEMU's lock on an existing target; default true. */
  lock?: boolean;
}

export interface ConvertRequest {
  /** One or more; several are put one after another, each padded with zeros to a multiple of 512 bytes. */
  sources: readonly ImageSource[];
  target: ConvertTargetSpec;
  /** `-c`: compress every cluster. */
  compress?: boolean;
  /** 0 or undefined: the codec's default; deflate 1 to 9, zstd 1 to 19. */
  compressionLevel?: number;
  /** `-S`: bytes, multiple of 512, at most 16 MiB; runs of zeros this long become holes. 0 = allocate all. Default 4096. */
  sparseSize?: number;
  /** `-n`: write into the existing target image, which keeps its format and options. */
  noCreate?: boolean;
  /** With noCreate: the caller vouches that the target reads as zeros. */
  targetIsZero?: boolean;
  /** Unreadable places become zeros and are reported instead of failing the job. */
  salvage?: boolean;
  /** `-W`: accepted; the engine always works at several places and the result is the same. */
  outOfOrder?: boolean;
  /** `-C`: let the kernel copy (reflink, copy_file_range) where both sides are plain; not with sparseSize, compress, salvage. */
  copyOffload?: boolean;
  /** Default `writeback`. */
  sourceCache?: CacheMode;
  /** Default `writeback`: durable when the promise resolves. `unsafe` (qemu-img's own default) does not sync. */
  targetCache?: CacheMode;
}

export interface ConvertOutcome {
  /** Bytes of guest disk. */
  virtualSize: number;
  /** Bytes of data written to the target (holes, zeros and metadata not counted). */
  written: number;
  /** With salvage: guest ranges that read as zeros because they could not be read. */
  unreadable: { start: number; length: number }[];
}

/** Copies a guest disk into a new (or, with noCreate, an existing) image. Nothing is left of a failed or cancelled one. */
export declare function convert(request: ConvertRequest, settings?: JobSettings): Promise<ConvertOutcome>;

/** For callers that want to name it. */
export type ConvertGate = Gate | GateSpec;
