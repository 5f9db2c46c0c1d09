import { createReadStream } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { DiskImageError, toDiskImageError } from '../../disk/errors.js';
import { JsonParser } from './jsonParser.js';
import { JsonError } from './jsonScanner.js';
import { LineParser } from './lineParser.js';
import type { ListHints, ListItem, ListParser } from './types.js';
import { XmlParser } from './xmlParser.js';
import { XmlError } from './xmlScanner.js';

/** A list of digests: a file's path, its bytes, or a stream of them. */
export type DigestListSource = string | Uint8Array | AsyncIterable<Uint8Array | string>;

export interface ParseDigestsRequest extends ListHints {
  list: DigestListSource;
  /** For messages, when `list` is no path. */
  name?: string;
}

const PIECE = 65_536;

/**
 * Reads a list of digests in whatever form it is: md5sum's and BSD's lines, md5deep -p's, S3 ETags, hashdeep, DFXML,
 * bmap 2.0, our own JSON. In pieces, whatever its length: memory stays bounded, except that a bmap is held (up to
 * 2^21 ranges) until its own checksum is known to be right. Lines that are no digests come as `malformed`.
 * @throws INVALID_ARGUMENT for XML or JSON that is not well-formed or is no such list; IO.
 */
export async function* parseDigests(request: ParseDigestsRequest): AsyncGenerator<ListItem> {
  for await (const items of parseBatches(request)) yield* items;
}

/** The same, as many at a time as a piece of the list holds. */
export async function* parseBatches(request: ParseDigestsRequest): AsyncGenerator<ListItem[]> {
  const name = request.name ?? (typeof request.list === 'string' ? request.list : 'the list');
  const decoder = new StringDecoder('utf8');
  let parser: ListParser | undefined;
  let blank = '';
  try {
    for await (const piece of pieces(request.list)) {
      let text = typeof piece === 'string' ? piece : decoder.write(piece as Buffer);
      if (!parser) {
        blank += text;
        parser = parserFor(blank, request);
        if (!parser) {
          // Lines, all of them empty so far.
          if (blank.length > PIECE) parser = new LineParser(request);
          else continue;
        }
        text = blank.replace(/^\ufeff/, '');
        blank = '';
      }
      yield* slices(parser.push(text));
    }
    const rest = decoder.end();
    if (!parser) {
      parser = new LineParser(request);
      yield* slices(parser.push(blank));
    }
    if (rest !== '') yield* slices(parser.push(rest));
    yield* slices(parser.end());
  } catch (error) {
    if (error instanceof XmlError || error instanceof JsonError) {
      throw new DiskImageError('INVALID_ARGUMENT', `'${name}' is no list of digests: ${error.message}`, {
        path: name,
        operation: 'hash',
        cause: error,
      });
    }
    throw toDiskImageError(error, { path: name, operation: 'hash' });
  }
}

/** By the first character that is not blank; undefined while there is none. */
function parserFor(text: string, hints: ListHints): ListParser | undefined {
  const first = text.replace(/^\ufeff/, '').trimStart()[0];
  if (first === undefined) return undefined;
  if (first === '<') return new XmlParser(hints);
  if (first === '[' || first === '{') return new JsonParser(hints);
  return new LineParser(hints);
}

function pieces(list: DigestListSource): AsyncIterable<Uint8Array | string> {
  if (typeof list === 'string') return createReadStream(list, { highWaterMark: PIECE });
  if (!(list instanceof Uint8Array)) {
    if (typeof list?.[Symbol.asyncIterator] === 'function') return list;
    throw new DiskImageError(
      'INVALID_ARGUMENT',
      `list must be a path, bytes or a stream, not ${typeof list === 'object' ? '[object]' : String(list)}`,
      { operation: 'hash' },
    );
  }
  return (async function* () {
    for (let at = 0; at < list.length; at += PIECE) yield list.subarray(at, at + PIECE);
  })();
}

const SLICE = 4096;

/** What the parser throws is thrown here, not where the items are used. */
function* slices(items: Iterable<ListItem>): Generator<ListItem[]> {
  let slice: ListItem[] = [];
  for (const item of items) {
    if (slice.push(item) < SLICE) continue;
    yield slice;
    slice = [];
  }
  if (slice.length > 0) yield slice;
}
