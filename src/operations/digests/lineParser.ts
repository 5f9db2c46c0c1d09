// Lists of lines: md5sum's kinds, and hashdeep's after its header.
import type { HashAlgorithm } from '../hashAlgorithms.js';
import { algorithmNamed, isDigest } from './algorithms.js';
import { parseSumLine, pieceOf } from './sumLines.js';
import type { ListedDigest, ListHints, ListItem, ListParser } from './types.js';

/** Characters: a path of 4096 bytes with every one escaped, and the longest digests of hashdeep, fit many times. */
const MAX_LINE = 65_536;

interface Column {
  /** Undefined for an algorithm that is not known here. */
  algorithm?: HashAlgorithm;
}

export class LineParser implements ListParser {
  readonly #hints: ListHints;
  #rest = '';
  /** The line is too long: what comes up to its end is thrown away. */
  #overlong = false;
  #line = 0;
  /** hashdeep's digest columns, once its header said what they are. */
  #columns: Column[] | undefined;

  constructor(hints: ListHints = {}) {
    this.#hints = hints;
  }

  *push(text: string): Generator<ListItem> {
    let at = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
      const line = this.#rest + text.slice(at, end);
      this.#rest = '';
      at = end + 1;
      if (this.#overlong) {
        this.#overlong = false;
        continue;
      }
      yield* this.#take(line);
    }
    if (this.#overlong) return;
    this.#rest += text.slice(at);
    if (this.#rest.length <= MAX_LINE) return;
    this.#rest = '';
    this.#overlong = true;
    yield { of: 'malformed', line: ++this.#line };
  }

  *end(): Generator<ListItem> {
    if (this.#rest !== '') yield* this.#take(this.#rest);
    this.#rest = '';
  }

  *#take(line: string): Generator<ListItem> {
    this.#line++;
    if (line === '' || line.startsWith('#')) return;
    if (line.startsWith('%%%%')) {
      if (this.#header(line)) return;
    } else if (line.length <= MAX_LINE && !line.includes('\0')) {
      const found = this.#columns ? this.#row(line, this.#columns) : parseSumLine(line, this.#hints);
      if (Array.isArray(found) ? found.length > 0 : found) {
        if (Array.isArray(found)) yield* found;
        else yield found!;
        return;
      }
    }
    yield { of: 'malformed', line: this.#line };
  }

  /** `%%%% HASHDEEP-1.0`, then `%%%% size,md5,sha256,filename`. */
  #header(line: string): boolean {
    const words = line.slice(4).trim();
    if (words === 'HASHDEEP-1.0') {
      this.#columns = [];
      return true;
    }
    const columns = words.split(',');
    if (columns.length < 3 || columns[0] !== 'size' || columns.at(-1) !== 'filename') return false;
    this.#columns = columns.slice(1, -1).map((name) => ({ algorithm: algorithmNamed(name) }));
    return true;
  }

  /** `SIZE,HEX…,NAME`: the name is what is left, commas and all. Columns of unknown algorithms are passed over. */
  #row(line: string, columns: readonly Column[]): ListedDigest[] {
    const fields: string[] = [];
    const text = line.replace(/\r$/, '');
    let at = 0;
    for (let i = 0; i <= columns.length; i++) {
      const comma = text.indexOf(',', at);
      if (comma < 0) return [];
      fields.push(text.slice(at, comma));
      at = comma + 1;
    }
    const name = text.slice(at);
    const [sizeText, ...digests] = fields;
    const bytes = Number(sizeText);
    if (name === '' || !/^\d{1,16}$/.test(sizeText) || !Number.isSafeInteger(bytes)) return [];
    const found: ListedDigest[] = [];
    for (const [i, { algorithm }] of columns.entries()) {
      if (!algorithm || (this.#hints.algorithms && !this.#hints.algorithms.includes(algorithm))) continue;
      if (!isDigest(digests[i], algorithm)) return [];
      found.push(hashdeepDigest(algorithm, digests[i].toLowerCase(), name, bytes));
    }
    return found;
  }
}

/** The first column is the file's size, or in a list of pieces that of the piece. */
function hashdeepDigest(algorithm: HashAlgorithm, digest: string, name: string, bytes: number): ListedDigest {
  const piece = pieceOf({ of: 'whole', algorithm, digest, name });
  if (piece.of === 'range' && (piece.length === bytes || (bytes === 0 && piece.start === 0))) {
    return { ...piece, length: bytes };
  }
  return { of: 'whole', algorithm, digest, name, size: bytes };
}
