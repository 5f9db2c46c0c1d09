import type { DiskInfo } from '../disk/disk.js';
import type { ImageSource } from './source.js';

export type InfoRequest = Omit<ImageSource, 'snapshot'>;

/** What one image says of itself. Opens neither its backing nor its data file. */
export declare function info(request: InfoRequest): Promise<DiskInfo>;

/**
 * The image and its backing chain, top first; every backing file passes the gate.
 * @throws BACKING_CYCLE `Backing file 'X' creates an infinite loop.`; BACKING_TOO_DEEP.
 */
export declare function infoChain(request: InfoRequest): Promise<DiskInfo[]>;
