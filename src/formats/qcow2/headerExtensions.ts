// The header extensions that are understood, and what they must look like.
import type { DiskImageErrorCode } from '../../disk/errors.js';
import { ExtensionType, MAX_BACKING_FORMAT } from './constants.js';
import { BITMAPS_EXTENSION_BYTES, type BitmapsExtension, type HeaderExtension } from './extensions.js';
import { type FeatureName, parseFeatureNames } from './featureNames.js';

/** Throws a DiskImageError about the header being parsed. */
export type Fail = (code: DiskImageErrorCode, message: string, offset?: number) => never;

export interface KnownExtensions {
  backingFormat?: string;
  dataFile?: string;
  bitmaps?: BitmapsExtension;
  luksHeader?: { offset: number; length: number };
  featureNames: FeatureName[];
}

/** @throws INVALID_HEADER through `fail`. */
export function parseKnownExtensions(extensions: readonly HeaderExtension[], fail: Fail): KnownExtensions {
  const known: KnownExtensions = { featureNames: [] };
  const invalid = (why: string) => fail('INVALID_HEADER', `Invalid header extension: ${why}`);
  const single = new Map<number, Buffer>();
  for (const { type, data } of extensions) {
    const before = single.get(type);
    const isSingle =
      type !== ExtensionType.featureNames && Object.values(ExtensionType).some((one) => one === type);
    if (before && isSingle && !before.equals(data)) {
      invalid(`0x${type.toString(16)} occurs twice with different content`);
    }
    single.set(type, data);
    switch (type) {
      case ExtensionType.backingFormat: {
        if (data.length > MAX_BACKING_FORMAT) {
          invalid(`backing format of ${data.length} bytes, above ${MAX_BACKING_FORMAT}`);
        }
        const format = utf8(data);
        if (format === undefined) invalid('backing format contains NUL or is not UTF-8');
        else if (format !== '') known.backingFormat = format;
        break;
      }
      case ExtensionType.dataFile: {
        const name = utf8(data);
        if (!name) invalid(`data file name of ${data.length} bytes is empty, contains NUL or is not UTF-8`);
        else known.dataFile = name;
        break;
      }
      case ExtensionType.featureNames:
        known.featureNames = parseFeatureNames(data);
        break;
      case ExtensionType.luks:
        if (data.length !== 16) invalid(`LUKS header pointer of ${data.length} bytes, not 16`);
        known.luksHeader = {
          offset: Number(data.readBigUInt64BE(0)),
          length: Number(data.readBigUInt64BE(8)),
        };
        break;
      case ExtensionType.bitmaps:
        known.bitmaps = parseBitmapsExtension(data, invalid);
        break;
    }
  }
  return known;
}

function parseBitmapsExtension(data: Buffer, invalid: (why: string) => never): BitmapsExtension {
  if (data.length !== BITMAPS_EXTENSION_BYTES) {
    invalid(`bitmaps extension of ${data.length} bytes, not ${BITMAPS_EXTENSION_BYTES}`);
  }
  if (data.readUInt32BE(4) !== 0) invalid('bitmaps extension with a reserved field that is not zero');
  const count = data.readUInt32BE(0);
  if (count === 0) invalid('bitmaps extension with zero bitmaps');
  return {
    count,
    directorySize: Number(data.readBigUInt64BE(8)),
    directoryOffset: Number(data.readBigUInt64BE(16)),
  };
}

/** Text without NUL, or undefined. */
export function utf8(bytes: Buffer): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
