import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DataDigest } from './dataDigest.js';
import type { Digests } from './digests.js';
import { readTextFile, replaceTextFile } from './smallFile.js';

/** 4096 regions of some 90 bytes, and room. */
const MAX_RECORD_BYTES = 2 ** 21;

/** What is known of a base image, written when it was made. */
export interface BaseRecord {
  version: 1;
  imageId: string;
  /** Path, or address without user, password and query. */
  source: string;
  /** Format the source was found to have, such as `qcow2` or `gpt`. */
  format: string;
  /** Bytes of the base. */
  virtualSize: number;
  /** Bytes of the source. */
  sourceSize: number;
  /** Digests of the source as it was read. */
  sourceDigests: Digests;
  /** Digest of the base; absent when it was not asked for. */
  data?: DataDigest;
  /** ISO 8601. */
  created: string;
}

/** The record of a base; undefined when there is none, or none that makes sense. */
export async function readRecord(path: string): Promise<BaseRecord | undefined> {
  const text = await readTextFile(path, MAX_RECORD_BYTES);
  if (text === undefined) return undefined;
  try {
    const record = JSON.parse(text) as BaseRecord;
    return isRecord(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

export async function writeRecord(path: string, record: BaseRecord): Promise<void> {
  await fs.mkdir(dirname(path), { recursive: true });
  await replaceTextFile(path, `${JSON.stringify(record)}\n`);
}

function isRecord(value: Partial<BaseRecord> | null): value is BaseRecord {
  return (
    typeof value === 'object' &&
    value !== null &&
    value.version === 1 &&
    typeof value.imageId === 'string' &&
    typeof value.source === 'string' &&
    typeof value.format === 'string' &&
    typeof value.created === 'string' &&
    Number.isSafeInteger(value.virtualSize) &&
    Number.isSafeInteger(value.sourceSize) &&
    typeof value.sourceDigests === 'object' &&
    value.sourceDigests !== null &&
    (value.data === undefined || isDataDigest(value.data))
  );
}

function isDataDigest({ regionSize, regions }: DataDigest): boolean {
  return (
    Number.isSafeInteger(regionSize) &&
    regionSize >= 2 ** 26 &&
    Math.log2(regionSize) % 1 === 0 &&
    Array.isArray(regions) &&
    regions.every(
      ({ index, chunks, sha256 }) =>
        Number.isSafeInteger(index) &&
        index >= 0 &&
        /^[0-9a-f]{1,16}$/.test(chunks) &&
        /^[0-9a-f]{64}$/.test(sha256),
    )
  );
}
