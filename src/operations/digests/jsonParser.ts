// The list that we print ourselves as JSON: an array of files, or one.
import { divideUp } from '../../disk/offsets.js';
import { digestBytes, type HashAlgorithm } from '../hashAlgorithms.js';
import { algorithmNamed, emptyDigest, isDigest } from './algorithms.js';
import { JsonError, type JsonEvent, JsonScanner, type JsonValue } from './jsonScanner.js';
import type { ListedDigest, ListHints, ListItem, ListParser } from './types.js';

interface FileRecord {
  name?: string;
  size?: number;
  guest?: boolean;
  format?: string;
  digests: [HashAlgorithm, string][];
  chunkAlgorithm?: HashAlgorithm;
  chunkSize?: number;
  chunks: number;
  blkhash: { algorithm?: HashAlgorithm; blockSize?: number; digest?: string };
}

const newRecord = (): FileRecord => ({ digests: [], chunks: 0, blkhash: {} });

export class JsonParser implements ListParser {
  readonly #scanner = new JsonScanner();
  readonly #hints: ListHints;
  #record = newRecord();
  /** How deep a file's members are: 1 in an array of files. */
  #depth: number | undefined;

  constructor(hints: ListHints = {}) {
    this.#hints = hints;
  }

  *push(text: string): Generator<ListItem> {
    for (const event of this.#scanner.push(text)) {
      if (event.type === 'close') yield* this.#closed(event);
      else if (event.type === 'open') this.#opened(event);
      else {
        const found = this.#value(event.path, event.value);
        if (found) yield found;
      }
    }
  }

  end(): ListItem[] {
    this.#scanner.end();
    return [];
  }

  #opened({ path }: JsonEvent): void {
    // The first bracket: [ or {. Which of both shows in the paths of what is inside.
    if (path.length === 1 && typeof path[0] === 'number') {
      this.#depth ??= 1;
      this.#record = newRecord();
    }
    if (path.at(-1) === 'chunks' || path.at(-2) === 'chunks') this.#record.chunks = 0;
  }

  #value(path: readonly (string | number)[], value: JsonValue): ListedDigest | undefined {
    if (path.length === 0 || (path.length === 1 && typeof path[0] === 'number')) {
      throw new JsonError(`it holds ${JSON.stringify(value).slice(0, 40)} where a file is described`);
    }
    this.#depth ??= typeof path[0] === 'number' ? 1 : 0;
    const [key, ...rest] = path.slice(this.#depth).filter((word, i) => i === 0 || typeof word === 'string');
    const record = this.#record;
    if (key === 'chunks') return this.#chunk(rest[0] as string, value);
    if (key === 'blkhash') this.#blkhash(rest[0] as string, value);
    else if (rest.length > 0) return undefined;
    else if (key === 'filename') record.name = text(value, key);
    else if (key === 'size') record.size = bytes(value, key);
    else if (key === 'guest') record.guest = value === true;
    else if (key === 'format') record.format = text(value, key);
    else if (Object.hasOwn(digestBytes, key)) {
      record.digests.push([key as HashAlgorithm, digest(value, key as HashAlgorithm)]);
    }
    return undefined;
  }

  #chunk(key: string, value: JsonValue): ListedDigest | undefined {
    const record = this.#record;
    if (key === 'algorithm') record.chunkAlgorithm = algorithm(value);
    else if (key === 'size') {
      record.chunkSize = bytes(value, 'chunks.size');
      if (record.chunkSize === 0) throw new JsonError('chunks.size is 0');
    }
    if (key !== 'digests') return undefined;
    const { chunkAlgorithm, chunkSize, size } = this.#chunked();
    const start = record.chunks++ * chunkSize;
    if (start >= size && !(size === 0 && start === 0)) {
      throw new JsonError(`it has more than ${record.chunks - 1} chunks of ${chunkSize} bytes in ${size}`);
    }
    const found = digest(value, chunkAlgorithm);
    if (!this.#wanted(chunkAlgorithm)) return undefined;
    const length = Math.min(chunkSize, size - start);
    return { of: 'range', ...this.#common(), algorithm: chunkAlgorithm, digest: found, start, length };
  }

  /** What has to be known of the chunks before their digests. */
  #chunked(): { chunkAlgorithm: HashAlgorithm; chunkSize: number; size: number } {
    const { chunkAlgorithm, chunkSize, size, name } = this.#record;
    if (chunkAlgorithm && chunkSize !== undefined && size !== undefined && name !== undefined) {
      return { chunkAlgorithm, chunkSize, size };
    }
    throw new JsonError('filename, size, chunks.algorithm and chunks.size must come before chunks.digests');
  }

  /** All chunks must have come: those that a list leaves out would pass for right. */
  #chunksClosed(): ListedDigest | undefined {
    const record = this.#record;
    const { chunkAlgorithm, chunkSize, size } = this.#chunked();
    const { chunks } = record;
    [record.chunks, record.chunkAlgorithm, record.chunkSize] = [0, undefined, undefined];
    if (chunks < divideUp(size, chunkSize)) {
      throw new JsonError(`it has ${chunks} chunks of ${chunkSize} bytes, too few for ${size}`);
    }
    if (size > 0 || chunks > 0 || !this.#wanted(chunkAlgorithm)) return undefined;
    const found = emptyDigest(chunkAlgorithm);
    return { of: 'range', ...this.#common(), algorithm: chunkAlgorithm, digest: found, start: 0, length: 0 };
  }

  #blkhash(key: string, value: JsonValue): void {
    const { blkhash } = this.#record;
    if (key === 'algorithm') blkhash.algorithm = algorithm(value);
    else if (key === 'blockSize') blkhash.blockSize = bytes(value, 'blkhash.blockSize');
    else if (key === 'digest') blkhash.digest = text(value, 'blkhash.digest');
  }

  *#closed({ path }: JsonEvent): Generator<ListItem> {
    if (path.length > (this.#depth ?? 0)) {
      const [key, ...rest] = path.slice(this.#depth);
      const ofChunks =
        key === 'chunks' && (rest.length === 0 || (rest.length === 1 && typeof rest[0] === 'number'));
      // An array of them has been looked at one by one.
      if (!ofChunks || (rest.length === 0 && this.#record.chunkAlgorithm === undefined)) return;
      const found = this.#chunksClosed();
      if (found) yield found;
      return;
    }
    if (path.length !== this.#depth) return;
    const { name, digests, blkhash } = this.#record;
    if (name === undefined) {
      if (digests.length > 0 || blkhash.digest !== undefined) throw new JsonError('a file has no filename');
      return;
    }
    for (const [of, found] of digests) {
      if (this.#wanted(of)) yield { of: 'whole', ...this.#common(), algorithm: of, digest: found };
    }
    if (blkhash.digest !== undefined) {
      const { algorithm: of, blockSize } = blkhash;
      if (!of || !blockSize) throw new JsonError('blkhash needs algorithm and blockSize');
      if (this.#wanted(of)) {
        const found = digest(blkhash.digest, of);
        yield { of: 'blkhash', ...this.#common(), algorithm: of, digest: found, blockSize };
      }
    }
    this.#record = newRecord();
  }

  #wanted(of: HashAlgorithm): boolean {
    return !this.#hints.algorithms || this.#hints.algorithms.includes(of);
  }

  #common() {
    const { name, size, guest, format } = this.#record;
    return { name, size, ...(guest && { guest, format }) };
  }
}

function text(value: JsonValue, what: string): string {
  if (typeof value === 'string') return value;
  throw new JsonError(`${what} is no string: ${JSON.stringify(value).slice(0, 40)}`);
}

function bytes(value: JsonValue, what: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new JsonError(`${what} is no number of bytes: ${JSON.stringify(value).slice(0, 40)}`);
}

function algorithm(value: JsonValue): HashAlgorithm {
  const found = typeof value === 'string' ? algorithmNamed(value) : undefined;
  if (found) return found;
  throw new JsonError(`the algorithm ${JSON.stringify(value).slice(0, 40)} is not known`);
}

function digest(value: JsonValue, of: HashAlgorithm): string {
  if (typeof value === 'string' && isDigest(value, of)) return value.toLowerCase();
  throw new JsonError(`${JSON.stringify(value).slice(0, 40)} is no ${of} digest`);
}
