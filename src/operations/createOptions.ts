import type { CreateOptionSpec, CreateOptions } from '../disk/format.js';
import { formatByName } from '../formats/registry.js';

/** Create options with types, for library users; each stands for the `-o` option of QEMU that its comment names. */
export interface TypedCreateOptions {
  /** Bytes, power of two, 512 to 2 MiB; `cluster_size`. */
  clusterSize?: number;
  /** `compat`: qcow2 version 2 (0.10) or 3 (1.1, the default). */
  compat?: '0.10' | '1.1' | 'v2' | 'v3';
  /** `preallocation`; `metadata` is qcow2's. */
  preallocation?: 'off' | 'metadata' | 'falloc' | 'full';
  /** `lazy_refcounts`. */
  lazyRefcounts?: boolean;
  /** 1, 2, 4, 8, 16, 32 or 64; `refcount_bits`. */
  refcountBits?: number;
  /** `compression_type`. */
  compressionType?: 'zlib' | 'zstd';
  /** `extended_l2`: 32 subclusters per cluster, clusters of at least 16 KiB. */
  extendedL2?: boolean;
  /** `data_file`: guest data goes to this file; stored as it is written here. */
  dataFile?: string;
  /** `data_file_raw`: the data file stays valid as a raw image. */
  dataFileRaw?: boolean;
  /** Further `-o` options as text; they win over the typed ones. */
  options?: CreateOptions;
}

/**
 * The `-o` options of a format, as `-o help` lists them; none for a format that can't be created.
 * @throws UNKNOWN_FORMAT
 */
export function createOptionSpecs(format: string): readonly CreateOptionSpec[] {
  return formatByName(format).createOptions ?? [];
}

/** The text options that QEMU would be given. */
export function textOptions(typed: TypedCreateOptions): CreateOptions {
  const text: Record<string, string> = {};
  const put = (name: string, value: string | number | boolean | undefined) => {
    if (value !== undefined) text[name] = typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
  };
  put('cluster_size', typed.clusterSize);
  put('compat', typed.compat);
  put('preallocation', typed.preallocation);
  put('lazy_refcounts', typed.lazyRefcounts);
  put('refcount_bits', typed.refcountBits);
  put('compression_type', typed.compressionType);
  put('extended_l2', typed.extendedL2);
  put('data_file', typed.dataFile);
  put('data_file_raw', typed.dataFileRaw);
  return { ...text, ...typed.options };
}
