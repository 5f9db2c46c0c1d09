// qcow2's create options: what QEMU 7.2 accepts, in its order and with its complaints (block/qcow2.c,
// qcow2_co_create). Encryption is refused by name.
import { DiskImageError } from '../../disk/errors.js';
import type { CreateOptionSpec, CreateOptions } from '../../disk/format.js';
import type { FileHints } from '../../disk/newFile.js';
import { invalid, OptionValues } from '../optionText.js';
import { fileHints, protocolOptions } from '../raw/options.js';
import { backingFormats } from './backingFormats.js';
import { MAX_BACKING_NAME } from './constants.js';

export type Preallocation = 'off' | 'metadata' | 'falloc' | 'full';

/** Checked options of a new image. */
export interface Qcow2Options {
  version: 2 | 3;
  /** 9 to 21. */
  clusterBits: number;
  /** Bytes. */
  clusterSize: number;
  /** Refcounts are 1 << refcountOrder bits wide, 0 to 6. */
  refcountOrder: number;
  lazyRefcounts: boolean;
  extendedL2: boolean;
  compressionType: 'zlib' | 'zstd';
  /** data_file_raw turns `off` into `metadata`. */
  preallocation: Preallocation;
  backingFile?: string;
  backingFormat?: string;
  dataFile?: string;
  dataFileRaw: boolean;
  hints?: FileHints;
}

/** In QEMU's definition order, which its `Formatting` line follows. */
const definitions: readonly CreateOptionSpec[] = [
  {
    name: 'encryption',
    type: 'bool',
    help: "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)",
  },
  { name: 'encrypt.format', type: 'str', help: "Encrypt the image, format choices: 'aes', 'luks'" },
  {
    name: 'encrypt.key-secret',
    type: 'str',
    help: 'ID of secret providing qcow AES key or LUKS passphrase',
  },
  { name: 'encrypt.cipher-alg', type: 'str', help: 'Name of encryption cipher algorithm' },
  { name: 'encrypt.cipher-mode', type: 'str', help: 'Name of encryption cipher mode' },
  { name: 'encrypt.ivgen-alg', type: 'str', help: 'Name of IV generator algorithm' },
  { name: 'encrypt.ivgen-hash-alg', type: 'str', help: 'Name of IV generator hash algorithm' },
  { name: 'encrypt.hash-alg', type: 'str', help: 'Name of encryption hash algorithm' },
  { name: 'encrypt.iter-time', type: 'num', help: 'Time to spend in PBKDF in milliseconds' },
  { name: 'cluster_size', type: 'size', help: 'qcow2 cluster size' },
  { name: 'extended_l2', type: 'bool', help: 'Extended L2 tables' },
  {
    name: 'preallocation',
    type: 'str',
    help: 'Preallocation mode (allowed values: off, metadata, falloc, full)',
  },
  { name: 'compression_type', type: 'str', help: 'Compression method used for image cluster compression' },
  { name: 'size', type: 'size', help: 'Virtual disk size' },
  { name: 'compat', type: 'str', help: 'Compatibility level (v2 [0.10] or v3 [1.1])' },
  { name: 'backing_file', type: 'str', help: 'File name of a base image' },
  { name: 'backing_fmt', type: 'str', help: 'Image format of the base image' },
  { name: 'data_file', type: 'str', help: 'File name of an external data file' },
  { name: 'data_file_raw', type: 'bool', help: 'The external data file must stay valid as a raw image' },
  { name: 'lazy_refcounts', type: 'bool', help: 'Postpone refcount updates' },
  { name: 'refcount_bits', type: 'num', help: 'Width of a reference count entry in bits' },
];

const ownNames = new Set(definitions.map((spec) => spec.name));
const all = [...definitions, ...protocolOptions.filter((spec) => !ownNames.has(spec.name))];
const order = all.map((spec) => spec.name);

/** As `-o help` lists them. */
export const qcow2CreateOptions: readonly CreateOptionSpec[] = [...all].sort((a, b) =>
  a.name < b.name ? -1 : 1,
);

const DEFAULTS: CreateOptions = {
  cluster_size: '65536',
  extended_l2: 'off',
  compression_type: 'zlib',
  lazy_refcounts: 'off',
  refcount_bits: '16',
};

const MIN_CLUSTER = 512n;
const MAX_CLUSTER = 2n ** 21n;
const MIN_CLUSTER_EXTENDED_L2 = 2n ** 14n;

/** The texts, parsed and typed but not yet checked against each other. */
export function parseQcow2Options(options: CreateOptions, path: string): OptionValues {
  return new OptionValues(all, { ...DEFAULTS, ...options }, path);
}

/** The `Formatting` line's pairs. */
export function effectiveQcow2Options(values: OptionValues, size: bigint): [string, string][] {
  values.show('size', size.toString());
  return values.effective(order);
}

/**
 * Checks values and their combinations.
 * @throws INVALID_ARGUMENT with QEMU's sentence; UNSUPPORTED_FEATURE for encryption.
 */
export function checkQcow2Options(values: OptionValues, path: string): Qcow2Options {
  refuseEncryption(values, path);
  const fail = (message: string) => invalid(message, path);

  const version = oneOf(
    values,
    'compat',
    'version',
    { v2: 2, v3: 3, '0.10': 2, '1.1': 3 } as const,
    'v3',
    path,
  );
  const backingFormat = values.text('backing_fmt');
  if (backingFormat !== undefined && !backingFormats.has(backingFormat)) {
    throw invalid(`Parameter 'backing-fmt' does not accept value '${backingFormat}'`, path);
  }
  const preallocation = oneOf(
    values,
    'preallocation',
    'preallocation',
    { off: 'off', metadata: 'metadata', falloc: 'falloc', full: 'full' } as const,
    'off',
    path,
  );
  const compressionType = oneOf(
    values,
    'compression_type',
    'compression-type',
    { zlib: 'zlib', zstd: 'zstd' } as const,
    'zlib',
    path,
  );
  const extendedL2 = values.flag('extended_l2');
  const lazyRefcounts = values.flag('lazy_refcounts');
  const backingFile = values.text('backing_file');
  const dataFile = values.text('data_file');
  const dataFileRaw = values.flag('data_file_raw');
  const needsV3 = (what: string, verb: string) => {
    if (version < 3) {
      throw fail(
        `${what} ${verb} compatibility level 1.1 ${verb === 'require' ? 'or' : 'and'} above (use version=v3 or greater)`,
      );
    }
  };

  if (extendedL2) needsV3('Extended L2 entries', 'are only supported with');
  const clusterBits = checkClusterSize(values.amount('cluster_size') ?? 65536n, extendedL2, path);
  const allocates = preallocation !== 'off' || dataFileRaw;
  if (backingFile !== undefined && allocates && !dataFileRaw && !extendedL2) {
    throw fail('Backing file and preallocation can only be used at the same time if extended_l2 is on');
  }
  if (backingFormat !== undefined && backingFile === undefined) {
    throw fail('Backing format cannot be used without backing file');
  }
  if (lazyRefcounts) needsV3('Lazy refcounts', 'only supported with');
  const refcountBits = values.amount('refcount_bits') ?? 16n;
  if (refcountBits < 1n || refcountBits > 64n || (refcountBits & (refcountBits - 1n)) !== 0n) {
    throw fail('Refcount width must be a power of two and may not exceed 64 bits');
  }
  if (refcountBits !== 16n) needsV3('Different refcount widths than 16 bits', 'require');
  if (dataFileRaw && dataFile === undefined) throw fail('data-file-raw requires data-file');
  if (dataFileRaw && backingFile !== undefined) {
    throw fail('Backing file and data-file-raw cannot be used at the same time');
  }
  if (dataFile !== undefined) needsV3('External data files', 'are only supported with');
  if (compressionType !== 'zlib') needsV3('Non-zlib compression type', 'is only supported with');
  if (backingFile !== undefined) checkBackingName(backingFile, backingFormat, path);

  return {
    version,
    clusterBits,
    clusterSize: 2 ** clusterBits,
    refcountOrder: Math.log2(Number(refcountBits)),
    lazyRefcounts,
    extendedL2,
    compressionType,
    preallocation: dataFileRaw && preallocation === 'off' ? 'metadata' : preallocation,
    backingFile,
    backingFormat,
    dataFile,
    dataFileRaw,
    hints: fileHints(values, path),
  };
}

function checkClusterSize(size: bigint, extendedL2: boolean, path: string): number {
  if (size < MIN_CLUSTER || size > MAX_CLUSTER || (size & (size - 1n)) !== 0n) {
    throw invalid('Cluster size must be a power of two between 512 and 2048k', path);
  }
  if (extendedL2 && size < MIN_CLUSTER_EXTENDED_L2) {
    throw invalid(
      `Extended L2 entries are only supported with cluster sizes of at least ${MIN_CLUSTER_EXTENDED_L2} bytes`,
      path,
    );
  }
  return Math.log2(Number(size));
}

function checkBackingName(name: string, format: string | undefined, path: string): void {
  if (Buffer.byteLength(name) > MAX_BACKING_NAME)
    throw backingNameError(name, format, 'Invalid argument', path);
}

/** QEMU's sentence for a name that its header cannot hold. */
export function backingNameError(
  name: string,
  format: string | undefined,
  why: string,
  path: string,
): DiskImageError {
  return invalid(`Could not assign backing file '${name}' with format '${format ?? ''}': ${why}`, path);
}

function oneOf<T>(
  values: OptionValues,
  name: string,
  reported: string,
  choices: Readonly<Record<string, T>>,
  fallback: string,
  path: string,
): T {
  const text = values.text(name) ?? fallback;
  if (Object.hasOwn(choices, text)) return choices[text];
  throw invalid(`Parameter '${reported}' does not accept value '${text}'`, path);
}

function refuseEncryption(values: OptionValues, path: string): void {
  const asked = definitions.find(
    ({ name }) =>
      (name === 'encryption' && values.flag(name)) || (name.startsWith('encrypt.') && values.has(name)),
  );
  if (!asked) return;
  throw new DiskImageError(
    'UNSUPPORTED_FEATURE',
    `Encryption is not supported (option '${asked.name}' of '${path}')`,
    { path, operation: 'create' },
  );
}
