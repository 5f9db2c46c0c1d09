// bmap 2.0 (bmap-tools): which blocks of an image hold data, and a digest of every range of them.
import { createHash, type Hash } from 'node:crypto';
import type { HashAlgorithm } from '../hashAlgorithms.js';
import { algorithmNamed, isDigest } from './algorithms.js';
import type { ListItem, ListParser } from './types.js';
import { XmlError, type XmlEvent, XmlScanner } from './xmlScanner.js';

/** Everything before the block map. */
const MAX_HEAD = 2 ** 20;
const MAX_RANGES = 2 ** 21;
const FIELDS = ['ImageSize', 'BlockSize', 'BlocksCount', 'ChecksumType', 'BmapFileChecksum', 'Range'];

export class BmapParser implements ListParser {
  readonly #scanner = new XmlScanner();
  readonly #fields = new Map<string, string>();
  #field: string | undefined;
  #rangeDigest = '';
  /** The file so far, until it is known which digest its own checksum is. */
  #head: string | undefined = '';
  #hash: Hash | undefined;
  #algorithm: HashAlgorithm | undefined;
  readonly #ranges: { first: number[]; last: number[]; digests: string[] } = {
    first: [],
    last: [],
    digests: [],
  };

  /** Nothing is given out before the file's own checksum is known to be right. */
  push(text: string): ListItem[] {
    if (this.#head !== undefined) {
      this.#head += text;
      if (this.#head.length > MAX_HEAD)
        throw new XmlError('BmapFileChecksum does not come before the block map');
    } else this.#hash!.update(text);
    for (const event of this.#scanner.push(text)) this.#take(event);
    if (this.#head !== undefined && this.#fields.has('BmapFileChecksum')) this.#startHash(this.#head);
    return [];
  }

  *end(): Generator<ListItem> {
    this.#scanner.end();
    const listed = this.#fields.get('BmapFileChecksum');
    if (listed === undefined || !this.#hash) throw new XmlError('it has no BmapFileChecksum');
    if (this.#hash.digest('hex') !== listed.toLowerCase()) {
      throw new XmlError(`its BmapFileChecksum ${listed} is wrong: the bmap itself has changed`);
    }
    const size = this.#number('ImageSize');
    const blockSize = this.#number('BlockSize');
    const blocks = this.#number('BlocksCount');
    if (blockSize < 1 || Math.ceil(size / blockSize) !== blocks) {
      throw new XmlError(`ImageSize ${size}, BlockSize ${blockSize} and BlocksCount ${blocks} do not agree`);
    }
    const { first, last, digests } = this.#ranges;
    for (let i = 0; i < first.length; i++) {
      if (last[i] >= blocks)
        throw new XmlError(`the range ${first[i]}-${last[i]} ends beyond block ${blocks - 1}`);
      const start = first[i] * blockSize;
      const length = Math.min((last[i] + 1) * blockSize, size) - start;
      yield { of: 'range', algorithm: this.#algorithm!, digest: digests[i], start, length, size };
    }
  }

  #take(event: XmlEvent): void {
    if (event.type === 'text') {
      if (this.#field === undefined) return;
      this.#field += event.text;
      if (this.#field.length > 1024) throw new XmlError('a field is longer than 1024 characters');
      return;
    }
    const { name } = event;
    if (event.type === 'open') {
      if (name === 'bmap') checkVersion(event.attributes.version ?? '');
      if (name === 'Range') this.#rangeDigest = event.attributes.chksum ?? '';
      if (FIELDS.includes(name)) this.#field = '';
      return;
    }
    if (this.#field === undefined || !FIELDS.includes(name)) return;
    const text = this.#field.trim();
    this.#field = undefined;
    if (name === 'Range') this.#range(text);
    else if (this.#fields.has(name)) throw new XmlError(`${name} is there twice`);
    else {
      this.#fields.set(name, text);
      if (name === 'ChecksumType') this.#algorithm = known(text);
    }
  }

  #range(text: string): void {
    const match = /^(\d{1,15})(?:\s*-\s*(\d{1,15}))?$/.exec(text);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    const { first: firsts, last: lasts, digests } = this.#ranges;
    if (!match || last < first || (lasts.length > 0 && first <= lasts.at(-1)!)) {
      throw new XmlError(`'${text.slice(0, 40)}' is no range, or out of order`);
    }
    if (!this.#algorithm || !this.#fields.has('BmapFileChecksum')) {
      throw new XmlError('BmapFileChecksum does not come before the block map');
    }
    if (!isDigest(this.#rangeDigest, this.#algorithm)) {
      throw new XmlError(
        this.#rangeDigest === ''
          ? `the range ${text} has no chksum`
          : `'${this.#rangeDigest.slice(0, 40)}' is no ${this.#algorithm} digest`,
      );
    }
    if (firsts.length === MAX_RANGES) throw new XmlError(`it has more than ${MAX_RANGES} ranges`);
    firsts.push(first);
    lasts.push(last);
    digests.push(this.#rangeDigest.toLowerCase());
  }

  /** The checksum is over the whole file with itself as zeros. */
  #startHash(head: string): void {
    const algorithm = this.#algorithm;
    if (!algorithm) throw new XmlError('ChecksumType does not come before BmapFileChecksum');
    const listed = this.#fields.get('BmapFileChecksum')!;
    const at = head.indexOf(listed, head.indexOf('<BmapFileChecksum'));
    if (!isDigest(listed, algorithm) || at < 0) {
      throw new XmlError(`BmapFileChecksum '${listed.slice(0, 40)}' is no ${algorithm} digest`);
    }
    this.#hash = createHash(algorithm);
    this.#hash.update(head.slice(0, at) + '0'.repeat(listed.length) + head.slice(at + listed.length));
    this.#head = undefined;
  }

  #number(name: string): number {
    const text = this.#fields.get(name) ?? '';
    const number = Number(text);
    if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(number)) return number;
    throw new XmlError(text === '' ? `it has no ${name}` : `${name} '${text.slice(0, 40)}' is no number`);
  }
}

function known(type: string): HashAlgorithm {
  const algorithm = algorithmNamed(type);
  if (!algorithm) throw new XmlError(`its ChecksumType '${type.slice(0, 40)}' is not known`);
  return algorithm;
}

function checkVersion(version: string): void {
  if (/^2\.\d+$/.test(version)) return;
  throw new XmlError(`it is a bmap of version '${version.slice(0, 20)}'; 2.0 is read`);
}
