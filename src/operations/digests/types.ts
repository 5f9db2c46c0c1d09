import type { HashAlgorithm } from '../hashAlgorithms.js';

/** One digest that a list names. */
export interface ListedDigest {
  /**
   * `whole`: of all bytes. `range`: of [start, start + length). `etag`: S3's digest of part digests. `blkhash`: the
   * block hash of a guest disk.
   */
  of: 'whole' | 'range' | 'etag' | 'blkhash';
  /** The file, as the list spells it; undefined where the format names none (bmap). */
  name?: string;
  algorithm: HashAlgorithm;
  /** Lower-case hexadecimal, without an ETag's `-N`. */
  digest: string;
  /** range: first byte and bytes. */
  start?: number;
  length?: number;
  /** Bytes of the whole file, where the list tells. */
  size?: number;
  /** etag: how many parts; undefined when the upload was not in parts. */
  parts?: number;
  /** blkhash: bytes per block. */
  blockSize?: number;
  /** The bytes are a guest's, and the image's format, where the list tells. */
  guest?: boolean;
  format?: string;
  /** A line that md5sum understands too: it is answered by itself. Other digests of one file are answered together. */
  line?: boolean;
}

/** A line that is no digest. */
export interface MalformedLine {
  of: 'malformed';
  /** From 1. */
  line: number;
}

export type ListItem = ListedDigest | MalformedLine;

/** How digests in lines are to be understood. */
export interface ListHints {
  /** Lines of these algorithms only; also decides between algorithms of the same digest length. */
  algorithms?: readonly HashAlgorithm[];
  /** Lines `HEX  NAME` are block hashes, as blksum prints them, of blocks of this many bytes. */
  blkhashBlock?: number;
}

/** Takes a list piece by piece; what it gives out is complete. */
export interface ListParser {
  push(text: string): Iterable<ListItem>;
  end(): Iterable<ListItem>;
}
