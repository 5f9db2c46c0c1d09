// Whether two replies carry the same bytes (RFC 9110, 8.8 and 14.4), and what is kept of that beside a download.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import { readTextFile, replaceTextFile } from '../smallFile.js';
import type { Origin } from './location.js';

/** What a partial download needs to be continued. */
export interface PartState {
  /** SHA-256 of the address, which may hold secrets. */
  address: string;
  /** Value for If-Range: a strong entity tag, or a modification date that can serve as one. */
  validator: string;
  /** Bytes of the whole file. */
  length: number;
  /** Boot of the host that wrote the part: bytes that the page cache held then are lost after a crash. */
  boot: string;
}

/** The strong validator of a reply, if it has one. */
export function strongValidator(headers: Headers): string | undefined {
  const tag = headers.get('etag');
  if (tag && /^"[^"]*"$/.test(tag)) return tag;
  const modified = headers.get('last-modified');
  const date = headers.get('date');
  // A date is strong when the reply was made at least a second after it (RFC 9110, 8.8.2.2).
  if (modified && date && Date.parse(date) - Date.parse(modified) >= 1000) return modified;
  return undefined;
}

export interface ContentRange {
  start: number;
  end: number;
  /** Bytes of the whole file; undefined for `*`. */
  total?: number;
}

/** `bytes 0-99/1234` */
export function parseContentRange(text: string | null): ContentRange | undefined {
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(text ?? '');
  if (!match) return undefined;
  const range = { start: Number(match[1]), end: Number(match[2]) };
  return match[3] === '*' ? range : { ...range, total: Number(match[3]) };
}

/** Content-Length, bytes; undefined when there is none or it makes no sense. */
export function contentLength(headers: Headers): number | undefined {
  const text = headers.get('content-length');
  if (text === null || !/^\d{1,16}$/.test(text)) return undefined;
  const length = Number(text);
  return Number.isSafeInteger(length) ? length : undefined;
}

export function addressDigest({ url }: Origin): string {
  return createHash('sha256').update(url.href).digest('hex');
}

export async function bootId(): Promise<string> {
  return (await fs.readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

/** The state left beside a part; undefined when there is none or it is damaged. */
export async function readPartState(path: string): Promise<PartState | undefined> {
  const text = await readTextFile(path);
  if (text === undefined) return undefined;
  try {
    const state = JSON.parse(text) as Partial<PartState>;
    const strings = [state.address, state.validator, state.boot].every((value) => typeof value === 'string');
    return strings && Number.isSafeInteger(state.length) ? (state as PartState) : undefined;
  } catch {
    return undefined;
  }
}

export async function writePartState(path: string, state: PartState): Promise<void> {
  await fs.mkdir(dirname(path), { recursive: true });
  await replaceTextFile(path, `${JSON.stringify(state)}\n`);
}
