// DFXML as md5deep and hashdeep -d write it: <fileobject> with <filename>, <filesize>, <byte_run file_offset= len=> and
// <hashdigest type=> inside either.
import { algorithmNamed, isDigest } from './algorithms.js';
import type { ListedDigest, ListHints, ListItem, ListParser } from './types.js';
import { XmlError, type XmlEvent, XmlScanner } from './xmlScanner.js';

const MAX_FIELD = 65_536;

interface FileObject {
  name?: string;
  size?: number;
}

export class DfxmlParser implements ListParser {
  readonly #scanner = new XmlScanner();
  readonly #hints: ListHints;
  #file: FileObject | undefined;
  #run: { start: number; length: number } | undefined;
  #type = '';
  /** Text of the field that is open; undefined outside of one. */
  #field: string | undefined;

  constructor(hints: ListHints = {}) {
    this.#hints = hints;
  }

  *push(text: string): Generator<ListItem> {
    for (const event of this.#scanner.push(text)) {
      const found = this.#take(event);
      if (found) yield found;
    }
  }

  end(): ListItem[] {
    this.#scanner.end();
    return [];
  }

  #take(event: XmlEvent): ListedDigest | undefined {
    if (event.type === 'text') {
      if (this.#field === undefined) return undefined;
      this.#field += event.text;
      if (this.#field.length > MAX_FIELD)
        throw new XmlError(`a field is longer than ${MAX_FIELD} characters`);
      return undefined;
    }
    return event.type === 'open' ? this.#opened(event.name, event.attributes) : this.#closed(event.name);
  }

  #opened(name: string, attributes: Readonly<Record<string, string>>): undefined {
    if (name === 'fileobject') this.#file = {};
    if (!this.#file) return;
    if (name === 'byte_run') this.#run = runOf(attributes);
    if (name === 'hashdigest') this.#type = attributes.type ?? '';
    if (name === 'filename' || name === 'filesize' || name === 'hashdigest') this.#field = '';
  }

  #closed(name: string): ListedDigest | undefined {
    const file = this.#file;
    const field = this.#field;
    if (name === 'fileobject') this.#file = undefined;
    if (name === 'byte_run') this.#run = undefined;
    if (!file || field === undefined) return undefined;
    if (name === 'filename') file.name = field;
    else if (name === 'filesize') file.size = bytes(field, 'filesize');
    else if (name !== 'hashdigest') return undefined;
    this.#field = undefined;
    return name === 'hashdigest' ? this.#digest(file, field.trim()) : undefined;
  }

  #digest(file: FileObject, digest: string): ListedDigest | undefined {
    const algorithm = algorithmNamed(this.#type);
    if (!algorithm || (this.#hints.algorithms && !this.#hints.algorithms.includes(algorithm)))
      return undefined;
    if (file.name === undefined) throw new XmlError('a <hashdigest> comes before its <filename>');
    if (!isDigest(digest, algorithm)) {
      throw new XmlError(`'${digest.slice(0, 40)}' is no ${algorithm} digest`);
    }
    const found = { name: file.name, algorithm, digest: digest.toLowerCase(), size: file.size };
    return this.#run ? { of: 'range', ...found, ...this.#run } : { of: 'whole', ...found };
  }
}

function runOf(attributes: Readonly<Record<string, string>>): { start: number; length: number } | undefined {
  // Other programs' byte runs tell where a file lies in an image; without a place in the file they are none of ours.
  if (attributes.file_offset === undefined) return undefined;
  const start = bytes(attributes.file_offset, 'file_offset');
  const length = bytes(attributes.len ?? '', 'len');
  if (!Number.isSafeInteger(start + length))
    throw new XmlError(`a byte run ends beyond 2^53: ${start}, ${length}`);
  return { start, length };
}

function bytes(text: string, what: string): number {
  const number = Number(text.trim());
  if (/^\d{1,16}$/.test(text.trim()) && Number.isSafeInteger(number)) return number;
  throw new XmlError(`${what} '${text.slice(0, 40)}' is no number of bytes`);
}
