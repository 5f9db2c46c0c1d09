/** A file that an image names and that is about to be opened on the image's word. */
export interface ImplicitOpen {
  kind: 'backing' | 'data-file';
  /** The name as the image stores it. */
  storedName: string;
  /** The name resolved against the directory of the image that names it. Not set for protocol names (`json:`, `nbd:` …). */
  resolvedPath?: string;
  /** Format recorded in the image, if any. */
  format?: string;
  /** Image that holds the name. */
  imagePath: string;
  /** 1 = named by the image that was opened by the caller, 2 = by its backing file, … */
  depth: number;
}

/** `open` with the format to use, or a refusal with its reason. */
export type GateVerdict =
  | { allow: true; path: string; format: string /** format was probed, not told */; probe?: boolean }
  | { allow: false; code: 'BACKING_DENIED' | 'BACKING_FORMAT_MISSING'; reason: string };

/** Every file opened on an image's word passes through the gate its opener supplied. */
export type Gate = (request: ImplicitOpen) => GateVerdict | Promise<GateVerdict>;
