import { DiskImageError } from '../../disk/errors.js';

/** 0x-prefixed, for host offsets and entries in messages. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** An L1 or L2 entry as one 64-bit hexadecimal number. */
export function entryHex(hi: number, lo: number): string {
  return hex((BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0));
}

export function corruptImage(path: string, message: string, offset?: number): DiskImageError {
  return new DiskImageError('CORRUPT_IMAGE', `${message} ('${path}')`, { path, offset, operation: 'map' });
}
