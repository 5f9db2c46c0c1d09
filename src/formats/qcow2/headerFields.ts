// Header fields that need more than a comparison: names, compression, 64-bit sizes, tables' places.
import type { DiskImageErrorCode } from '../../disk/errors.js';
import { HEADER_V3_MIN_BYTES, Incompatible, MAX_BACKING_NAME } from './constants.js';
import type { CompressionType } from './header.js';
import { type Fail, utf8 } from './headerExtensions.js';

export function parseBackingName(
  bytes: Buffer,
  headerLength: number,
  clusterSize: number,
  fail: Fail,
  need: (length: number, what: string) => void,
): { name: string; offset: number } | undefined {
  const stored = bytes.readBigUInt64BE(8);
  const length = bytes.readUInt32BE(16);
  if (stored === 0n && length === 0) return undefined;
  const invalid = (why: string) => fail('INVALID_HEADER', `Invalid backing file name: ${why}`, 8);
  if (stored === 0n) return invalid(`backing_file_size is ${length}, but backing_file_offset is 0`);
  if (length === 0) return invalid(`backing_file_offset is ${stored}, but backing_file_size is 0`);
  if (length > MAX_BACKING_NAME) return invalid(`backing_file_size is ${length}, above ${MAX_BACKING_NAME}`);
  if (stored < BigInt(headerLength)) {
    return invalid(`backing_file_offset ${stored} lies inside the header of ${headerLength} bytes`);
  }
  if (stored + BigInt(length) > BigInt(clusterSize)) {
    return invalid(
      `backing_file_offset ${stored} and backing_file_size ${length} pass the end of the first cluster at ${clusterSize}`,
    );
  }
  const offset = Number(stored);
  need(offset + length, 'backing file name');
  const name = utf8(bytes.subarray(offset, offset + length));
  if (name === undefined) return invalid(`its ${length} bytes at ${offset} contain NUL or are not UTF-8`);
  return { name, offset };
}

export function parseCompression(
  bytes: Buffer,
  headerLength: number,
  incompatible: bigint,
  fail: Fail,
): CompressionType {
  const type = headerLength > HEADER_V3_MIN_BYTES ? bytes[104] : 0;
  const flagged = (incompatible & Incompatible.compressionType) !== 0n;
  if (type > 1)
    fail('UNSUPPORTED_FEATURE', `Compression type ${type} (header field compression_type) is unknown`, 104);
  if (flagged !== (type !== 0)) {
    fail(
      'UNSUPPORTED_FEATURE',
      `Compression type ${type} (header field compression_type) contradicts the incompatible feature bit 3 being ${flagged ? 'set' : 'clear'}`,
      104,
    );
  }
  return type === 1 ? 'zstd' : 'zlib';
}

/** A 64-bit field as a number within `limit` and 2^53 - 1. */
export function exact(
  value: bigint,
  field: string,
  at: number,
  code: DiskImageErrorCode,
  limit: number,
  fail: Fail,
): number {
  const most = Math.min(limit, Number.MAX_SAFE_INTEGER);
  if (value > BigInt(most)) fail(code, `Header field ${field} is ${value}, above the limit of ${most}`, at);
  return Number(value);
}

/** A table must start on a cluster after the header and lie within the file. An empty one may be anywhere. */
export function tableOffset(
  stored: bigint,
  length: number,
  what: string,
  at: number,
  { clusterSize, fileSize, fail }: { clusterSize: number; fileSize: number; fail: Fail },
): number {
  if (length === 0) return stored <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(stored) : 0;
  if (stored % BigInt(clusterSize) !== 0n) {
    fail(
      'CORRUPT_IMAGE',
      `The ${what}'s offset ${stored} is not a multiple of the cluster size ${clusterSize}`,
      at,
    );
  }
  if (stored === 0n) fail('CORRUPT_IMAGE', `The ${what}'s offset 0 overlaps the header`, at);
  if (stored + BigInt(length) > BigInt(fileSize)) {
    fail(
      'CORRUPT_IMAGE',
      `The ${what} at offset ${stored} needs ${length} bytes, but the file ends at ${fileSize}`,
      at,
    );
  }
  return Number(stored);
}
