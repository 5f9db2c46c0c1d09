import type { JobSettings } from './job.js';
import type { ImageSource } from './source.js';

export interface MapRequest extends ImageSource {
  /** First guest byte, default 0. */
  start?: number;
  /** Bytes, default to the end of the disk. */
  length?: number;
}

/** One line of `qemu-img map --output=json` (QAPI MapEntry). Bytes. */
export interface MapEntry {
  start: number;
  length: number;
  /** 0 = the image itself, 1 = its backing file, … */
  depth: number;
  /** Some layer of the chain holds this range. */
  present: boolean;
  /** Reads as zeros. */
  zero: boolean;
  /** Reads from stored bytes. */
  data: boolean;
  /** Stored compressed. */
  compressed: boolean;
  /** Host offset in `filename`, where the bytes lie plain in a file. */
  offset?: number;
  filename?: string;
}

/** The allocation map, merged as qemu-img merges it; cost follows allocated metadata. Closes the image when it ends. */
export declare function map(request: MapRequest, settings?: JobSettings): AsyncGenerator<MapEntry>;

/** The whole map at once. */
export declare function mapAll(request: MapRequest, settings?: JobSettings): Promise<MapEntry[]>;
