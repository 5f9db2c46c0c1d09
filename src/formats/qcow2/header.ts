// The image header: parse once, check everything, keep what is not understood (specification, "Header").
import { DiskImageError, type DiskImageErrorCode } from '../../disk/errors.js';
import type { Limits } from '../../disk/limits.js';
import { alignDown } from '../../disk/offsets.js';
import {
  Autoclear,
  Compatible,
  CryptMethod,
  HEADER_V2_BYTES,
  HEADER_V3_BYTES,
  HEADER_V3_MIN_BYTES,
  Incompatible,
  KNOWN_INCOMPATIBLE,
  MAX_CLUSTER_BITS,
  MIN_CLUSTER_BITS,
  MIN_EXTENDED_CLUSTER,
  QCOW2_MAGIC,
} from './constants.js';
import { type BitmapsExtension, type HeaderExtension, parseExtensions } from './extensions.js';
import { describeFeatures, type FeatureName } from './featureNames.js';
import { parseKnownExtensions } from './headerExtensions.js';
import { exact, parseBackingName, parseCompression, tableOffset } from './headerFields.js';

export type CompressionType = 'zlib' | 'zstd';

/** What is stored: enough to write the header again without losing anything. Offsets and sizes in bytes. */
export interface HeaderFields {
  readonly version: 2 | 3;
  /** As stored; the disk that is presented has whole sectors (see Qcow2Header.diskSize). */
  readonly virtualSize: number;
  readonly clusterBits: number;
  /** 0 none, 1 AES, 2 LUKS. */
  readonly cryptMethod: number;
  /** Entries. */
  readonly l1Entries: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotTableOffset: number;
  readonly incompatible: bigint;
  readonly compatible: bigint;
  readonly autoclear: bigint;
  readonly refcountOrder: number;
  readonly compressionType: CompressionType;
  /** Bytes: 72 in version 2, 104 or more in version 3. */
  readonly headerLength: number;
  /** Bytes of the header after those that are understood (offset 112 up to headerLength). */
  readonly unknownFields: Buffer;
  /** In stored order, known and unknown; without the end marker. */
  readonly extensions: readonly HeaderExtension[];
  readonly backingFile?: string;
}

/** A parsed, checked header with what follows from it. Immutable. */
export interface Qcow2Header extends HeaderFields {
  readonly clusterSize: number;
  /** Bytes the guest sees: whole 512-byte sectors, as QEMU counts. */
  readonly diskSize: number;
  readonly refcountBits: number;
  /** Bytes of one L2 entry: 8, or 16 with extended entries. */
  readonly l2EntryBytes: number;
  readonly l2Entries: number;
  /** Guest bytes that one L2 table maps. */
  readonly l2Coverage: number;
  readonly dirty: boolean;
  readonly corrupt: boolean;
  readonly externalData: boolean;
  readonly dataFileRaw: boolean;
  readonly extendedL2: boolean;
  readonly lazyRefcounts: boolean;
  readonly backingFormat?: string;
  readonly dataFile?: string;
  /** Set when the extension is there, whatever the autoclear bit says. */
  readonly bitmaps?: BitmapsExtension;
  /** Bitmaps extension present and the autoclear bit vouches for it. */
  readonly bitmapsValid: boolean;
  readonly luksHeader?: { readonly offset: number; readonly length: number };
  readonly featureNames: readonly FeatureName[];
  readonly warnings: readonly string[];
}

/**
 * Parses and checks a header.
 * @param bytes the first min(cluster size, file size) bytes of the file, or at least the first 64 KiB or all of it
 * @param fileSize bytes; tables must lie within it
 * @param path for messages
 * @throws NOT_QCOW2, TRUNCATED, UNSUPPORTED_VERSION, UNSUPPORTED_FEATURE, INVALID_HEADER, CORRUPT_IMAGE (table places),
 * LIMIT_EXCEEDED
 */
export function parseHeader(
  bytes: Buffer,
  fileSize: number,
  limits: Readonly<Limits>,
  path: string,
  options: { check?: boolean } = {},
): Qcow2Header {
  const fail = (code: DiskImageErrorCode, message: string, offset?: number): never => {
    throw new DiskImageError(code, `${message} ('${path}')`, { path, offset, operation: 'open' });
  };
  const need = (length: number, what: string) => {
    if (bytes.length < length) {
      fail(
        'TRUNCATED',
        `The ${what} needs ${length} bytes, but the file has ${Math.min(bytes.length, fileSize)}`,
        0,
      );
    }
  };

  if (bytes.length < 4 || bytes.readUInt32BE(0) !== QCOW2_MAGIC) {
    const found = bytes.length < 4 ? `only ${bytes.length} bytes` : `0x${bytes.toString('hex', 0, 4)}`;
    fail('NOT_QCOW2', `Image is not in qcow2 format: magic 0x514649fb expected, ${found} found`, 0);
  }
  need(8, 'qcow2 version');
  const version = bytes.readUInt32BE(4);
  if (version !== 2 && version !== 3)
    fail('UNSUPPORTED_VERSION', `qcow2 version ${version} is not 2 or 3`, 4);
  need(HEADER_V2_BYTES, 'qcow2 header');
  const v3 = version === 3;
  if (v3) need(HEADER_V3_MIN_BYTES, 'version 3 header');

  const clusterBits = bytes.readUInt32BE(20);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
    fail(
      'INVALID_HEADER',
      `Header field cluster_bits is ${clusterBits}, not ${MIN_CLUSTER_BITS} to ${MAX_CLUSTER_BITS}`,
      20,
    );
  }
  const clusterSize = 2 ** clusterBits;

  const headerLength = v3 ? bytes.readUInt32BE(100) : HEADER_V2_BYTES;
  if (v3) {
    if (headerLength < HEADER_V3_MIN_BYTES || headerLength > clusterSize || headerLength % 8 !== 0) {
      fail(
        'INVALID_HEADER',
        `Header field header_length is ${headerLength}, not a multiple of 8 from ${HEADER_V3_MIN_BYTES} to the cluster size ${clusterSize}`,
        100,
      );
    }
    need(headerLength, 'header_length');
  }

  const backing = parseBackingName(bytes, headerLength, clusterSize, fail, need);
  const areaEnd = Math.min(backing?.offset ?? clusterSize, bytes.length);
  const area = parseExtensions(bytes, headerLength, areaEnd);
  const warnings: string[] = [];
  if (area.problem) {
    // Bytes after a version 2 header are not extensions in every writer's images.
    if (v3) fail('INVALID_HEADER', `Invalid header extension: ${area.problem}`, headerLength);
    warnings.push(`${area.problem}; ignored`);
  }
  const { extensions } = area;
  const known = parseKnownExtensions(extensions, fail);

  const incompatible = v3 ? bytes.readBigUInt64BE(72) : 0n;
  const compatible = v3 ? bytes.readBigUInt64BE(80) : 0n;
  const autoclear = v3 ? bytes.readBigUInt64BE(88) : 0n;
  const unknown = incompatible & ~KNOWN_INCOMPATIBLE;
  if (unknown !== 0n) {
    const names = describeFeatures(unknown, 'incompatible', known.featureNames).join(', ');
    fail('UNSUPPORTED_FEATURE', `Unsupported qcow2 feature(s): ${names}`, 72);
  }
  const has = (mask: bigint, bit: bigint) => (mask & bit) !== 0n;
  const extendedL2 = has(incompatible, Incompatible.extendedL2);
  if (extendedL2 && clusterSize < MIN_EXTENDED_CLUSTER) {
    fail(
      'INVALID_HEADER',
      `Header field cluster_bits is ${clusterBits}, but extended L2 entries need clusters of at least ${MIN_EXTENDED_CLUSTER} bytes`,
      20,
    );
  }
  const compressionType = parseCompression(bytes, headerLength, incompatible, fail);

  const cryptMethod = bytes.readUInt32BE(32);
  if (cryptMethod > CryptMethod.luks) {
    fail(
      'UNSUPPORTED_FEATURE',
      `Encryption method ${cryptMethod} (header field crypt_method) is unknown`,
      32,
    );
  }
  if (cryptMethod === CryptMethod.luks && !known.luksHeader) {
    fail('INVALID_HEADER', 'LUKS encryption (crypt_method 2) without its header extension', 32);
  }
  if (cryptMethod !== CryptMethod.luks && known.luksHeader) {
    fail('INVALID_HEADER', `LUKS header extension with crypt_method ${cryptMethod}`, 32);
  }

  const refcountOrder = v3 ? bytes.readUInt32BE(96) : 4;
  if (refcountOrder > 6)
    fail('INVALID_HEADER', `Header field refcount_order is ${refcountOrder}, above 6`, 96);

  const virtualSize = exact(
    bytes.readBigUInt64BE(24),
    'size',
    24,
    'LIMIT_EXCEEDED',
    limits.virtualSize,
    fail,
  );
  const l2EntryBytes = extendedL2 ? 16 : 8;
  const l2Entries = clusterSize / l2EntryBytes;
  const l2Coverage = l2Entries * clusterSize;

  const l1Entries = bytes.readUInt32BE(36);
  if (l1Entries * 8 > limits.l1Bytes) {
    fail('LIMIT_EXCEEDED', `L1 table of ${l1Entries} entries exceeds the limit of ${limits.l1Bytes / 8}`, 36);
  }
  const neededEntries = Math.ceil(virtualSize / l2Coverage);
  if (l1Entries < neededEntries) {
    fail(
      'INVALID_HEADER',
      `Header field l1_size is ${l1Entries}, but a disk of ${virtualSize} bytes needs ${neededEntries} entries`,
      36,
    );
  }
  // A check reports tables past the end of the file itself, cluster by cluster.
  const place = { clusterSize, fileSize: options.check ? Number.MAX_SAFE_INTEGER : fileSize, fail };
  const l1Offset = tableOffset(bytes.readBigUInt64BE(40), l1Entries * 8, 'L1 table', 40, place);

  const refcountTableClusters = bytes.readUInt32BE(56);
  if (refcountTableClusters * clusterSize > limits.refcountTableBytes) {
    fail(
      'LIMIT_EXCEEDED',
      `Refcount table of ${refcountTableClusters} clusters exceeds the limit of ${Math.floor(limits.refcountTableBytes / clusterSize)}`,
      56,
    );
  }
  if (refcountTableClusters === 0 && !options.check) {
    fail('CORRUPT_IMAGE', 'Image has no refcount table: header field refcount_table_clusters is 0', 56);
  }
  const refcountTableOffset = tableOffset(
    bytes.readBigUInt64BE(48),
    refcountTableClusters * clusterSize,
    'refcount table',
    48,
    place,
  );

  const snapshotCount = bytes.readUInt32BE(60);
  if (snapshotCount > limits.snapshots) {
    fail('LIMIT_EXCEEDED', `${snapshotCount} internal snapshots exceed the limit of ${limits.snapshots}`, 60);
  }
  const snapshotTableOffset =
    snapshotCount === 0
      ? Number(bytes.readBigUInt64BE(64) & 0x1fffffffffffffn)
      : tableOffset(bytes.readBigUInt64BE(64), snapshotCount * 40, 'snapshot table', 64, place);

  const externalData = has(incompatible, Incompatible.dataFile);
  const bitmapsValid = known.bitmaps !== undefined && has(autoclear, Autoclear.bitmaps);
  if (known.bitmaps && !bitmapsValid) {
    warnings.push(
      'A program without bitmap support changed the image: all persistent bitmaps are to be treated as stale',
    );
  }
  return Object.freeze({
    version,
    virtualSize,
    clusterBits,
    cryptMethod,
    l1Entries,
    l1Offset,
    refcountTableOffset,
    refcountTableClusters,
    snapshotCount,
    snapshotTableOffset,
    incompatible,
    compatible,
    autoclear,
    refcountOrder,
    compressionType,
    headerLength,
    unknownFields: Buffer.from(bytes.subarray(HEADER_V3_BYTES, Math.max(HEADER_V3_BYTES, headerLength))),
    extensions: Object.freeze(extensions),
    ...(backing && { backingFile: backing.name }),
    clusterSize,
    diskSize: alignDown(virtualSize, 512),
    refcountBits: 1 << refcountOrder,
    l2EntryBytes,
    l2Entries,
    l2Coverage,
    dirty: has(incompatible, Incompatible.dirty),
    corrupt: has(incompatible, Incompatible.corrupt),
    externalData,
    dataFileRaw: externalData && has(autoclear, Autoclear.dataFileRaw),
    extendedL2,
    lazyRefcounts: has(compatible, Compatible.lazyRefcounts),
    ...known,
    bitmapsValid,
    warnings,
  } as Qcow2Header);
}
