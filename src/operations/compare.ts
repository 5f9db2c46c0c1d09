import type { JobSettings } from './job.js';
import type { CacheMode, ImageSource } from './source.js';

export interface CompareRequest {
  first: ImageSource;
  second: ImageSource;
  /** `-s`: sizes and allocation status must agree too. */
  strict?: boolean;
  cache?: CacheMode;
}

/** How the comparison came out. Offsets are bytes of the guest disk. */
export type CompareOutcome =
  | {
      identical: true /** The images have different sizes; the rest of the larger is zero. */;
      sizeMismatch: boolean;
    }
  | {
      identical: false;
      reason: 'content' /** Start of the first differing 512-byte sector. */;
      offset: number;
      sizeMismatch: boolean;
    }
  | { identical: false; reason: 'status' /** strict only */; offset: number; sizeMismatch: false }
  | { identical: false; reason: 'size' /** strict only */; sizeMismatch: true };

/** Which image an error of compare is about is in the error's `path`. */
export declare function compare(request: CompareRequest, settings?: JobSettings): Promise<CompareOutcome>;
