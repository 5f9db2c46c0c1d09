/** Formats the inspector knows. `gpt` and `mbr` are raw disks whose partition table is recognised. */
export type FormatName =
  | 'raw'
  | 'qcow2'
  | 'qcow'
  | 'qed'
  | 'vmdk'
  | 'vhd'
  | 'vhdx'
  | 'vdi'
  | 'iso'
  | 'luks'
  | 'parallels'
  | 'bochs'
  | 'cloop'
  | 'dmg'
  | 'gpt'
  | 'mbr';

/** Stable names of the reasons why an image is unsafe. */
export type ViolationCode =
  | 'empty' // a file of 0 bytes
  | 'format-mismatch' // the content is not of the claimed format
  | 'several-formats' // the content is valid as two formats: readers would disagree
  | 'banned-format' // recognised, never accepted from outside
  | 'truncated' // a structure lies past the end of the file
  | 'unsupported-version'
  | 'invalid-header'
  | 'invalid-table' // a table is where it cannot be, or its entries are
  | 'table-size' // a table is claimed to be larger than any reader accepts
  | 'virtual-size' // larger than the caller's limit, or than can be addressed
  | 'backing-file' // names or needs a parent image
  | 'data-file' // keeps its data in another file
  | 'external-extent' // VMDK extents outside this file
  | 'descriptor' // VMDK descriptor text that is not understood
  | 'unknown-features'
  | 'strict-feature' // legal and supported, refused in strict mode only
  | 'corrupt' // flagged corrupt, or a checksum is wrong
  | 'encrypted' // the content cannot be judged
  | 'pending-log' // a log that rewrites metadata when the image is opened
  | 'partition-table'
  | 'unseen'; // a structure lies where a stream could not look any more

export interface Violation {
  code: ViolationCode;
  /** One sentence that names the value and the limit. Untrusted text in it is quoted and bounded. */
  message: string;
  /** Host byte offset of the offending field, where there is one. */
  offset?: number;
}

/** A recognised format and what gave it away. */
export interface DetectedFormat {
  name: FormatName;
  reason: string;
}

/** Verdict on an untrusted image. */
export interface Inspection {
  /** What the caller said the image is, by its canonical name. */
  claimed?: FormatName;
  /** What it is; null when it is empty or valid as several formats. */
  detected: FormatName | null;
  /** Why `detected` is what it is. */
  reason: string;
  /** Every format the content is valid as; empty for plain raw bytes. */
  formats: DetectedFormat[];
  /** Bytes in the file; not set before the end of a stream. */
  fileSize?: number;
  /** Bytes the guest would see, where the image tells. */
  virtualSize?: number;
  /** Parent image's name exactly as stored (untrusted text). */
  backing?: string;
  /** External data file's name exactly as stored (untrusted text). */
  dataFile?: string;
  /** How the content is encrypted. */
  encryption?: 'aes' | 'luks' | 'unknown';
  violations: Violation[];
  warnings: string[];
  /** Checks that a stream had to leave out because the bytes had passed; `inspectFile` makes them. */
  unchecked: string[];
  /** False for the early verdict of a stream that has not ended. */
  complete: boolean;
  /** Complete and without any violation. */
  safe: boolean;
}

export interface InspectOptions {
  /** What the image is said to be: a format name or one of its aliases (`vpc`, `ploop`, …). */
  claimed?: string;
  /** Largest virtual size accepted, bytes. Default: 2^53 - 1. */
  maxVirtualSize?: number;
  /** Also refuse what OpenStack's inspector refuses and basecow supports (extended L2 entries). */
  strict?: boolean;
}
