// Header and first tables of a new image.
import {
  Autoclear,
  Compatible,
  CryptMethod,
  ExtensionType,
  HEADER_V2_BYTES,
  HEADER_V3_BYTES,
  Incompatible,
} from './constants.js';
import { type HeaderExtension, textExtension } from './extensions.js';
import { serializeFeatureNames } from './featureNames.js';
import type { HeaderFields } from './header.js';
import type { Geometry, Layout } from './layout.js';
import { backingNameError, type Qcow2Options } from './options.js';
import { refcountSetter } from './refcounts.js';
import { serializeHeader } from './serializeHeader.js';

const ENTRY_BYTES = 8;

type TablePlaces = Pick<Layout, 'l1Offset' | 'l1Entries' | 'refcountTableOffset' | 'refcountTableClusters'>;

/** Smaller clusters go without the optional feature name table, as in QEMU: their room is for the backing name. */
const MIN_CLUSTER_FEATURE_NAMES = 8192;

/**
 * The first cluster's content, extensions in QEMU's order.
 * @throws INVALID_ARGUMENT when the names do not fit the first cluster.
 */
export function newImageHeader(
  options: Qcow2Options,
  shape: Geometry,
  places: TablePlaces,
  path: string,
): Buffer {
  const v3 = options.version === 3;
  const names: HeaderExtension[] = [];
  if (options.backingFormat !== undefined)
    names.push(textExtension(ExtensionType.backingFormat, options.backingFormat));
  if (options.dataFile !== undefined) names.push(textExtension(ExtensionType.dataFile, options.dataFile));
  const features = { type: ExtensionType.featureNames, data: serializeFeatureNames() };
  const fields: HeaderFields = {
    version: options.version,
    virtualSize: shape.virtualSize,
    clusterBits: options.clusterBits,
    cryptMethod: CryptMethod.none,
    l1Entries: places.l1Entries,
    l1Offset: places.l1Offset,
    refcountTableOffset: places.refcountTableOffset,
    refcountTableClusters: places.refcountTableClusters,
    snapshotCount: 0,
    snapshotTableOffset: 0,
    incompatible:
      (options.dataFile === undefined ? 0n : Incompatible.dataFile) |
      (options.compressionType === 'zlib' ? 0n : Incompatible.compressionType) |
      (options.extendedL2 ? Incompatible.extendedL2 : 0n),
    compatible: options.lazyRefcounts ? Compatible.lazyRefcounts : 0n,
    autoclear: options.dataFileRaw ? Autoclear.dataFileRaw : 0n,
    refcountOrder: options.refcountOrder,
    compressionType: options.compressionType,
    headerLength: v3 ? HEADER_V3_BYTES : HEADER_V2_BYTES,
    unknownFields: Buffer.alloc(0),
    extensions: v3 && shape.clusterSize >= MIN_CLUSTER_FEATURE_NAMES ? [...names, features] : names,
    backingFile: options.backingFile || undefined,
  };
  try {
    return serializeHeader(fields);
  } catch (error) {
    throw nameError(options, error, path);
  }
}

function nameError(options: Qcow2Options, cause: unknown, path: string): unknown {
  if (options.backingFile === undefined) return cause;
  return backingNameError(options.backingFile, options.backingFormat, 'No space left on device', path);
}

/** Entries `first` to `first + count` of a refcount table whose blocks are contiguous. */
export function refcountTableBytes(layout: Layout, clusterSize: number): Buffer {
  const table = Buffer.alloc(layout.refcountBlocks * ENTRY_BYTES);
  for (let i = 0; i < layout.refcountBlocks; i++) {
    table.writeBigUInt64BE(BigInt(layout.refcountBlockOffset + i * clusterSize), i * ENTRY_BYTES);
  }
  return table;
}

/** Refcount block `index` of an image whose first `clusters` clusters have refcount 1; cut after the last count. */
export function refcountBlockBytes(shape: Geometry, clusters: number, index: number): Buffer {
  const count = Math.min(shape.refcountsPerBlock, clusters - index * shape.refcountsPerBlock);
  const block = Buffer.alloc(Math.ceil((count * 2 ** shape.refcountOrder) / 8));
  const set = refcountSetter(shape.refcountOrder);
  for (let i = 0; i < count; i++) set(block, i, 1);
  return block;
}
