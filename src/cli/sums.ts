// md5sum's lines: `DIGEST  NAME`, `DIGEST *NAME`, `MD5 (NAME) = DIGEST`; a leading backslash marks an escaped name.
import type { HashAlgorithm } from '../operations/hash.js';

export interface SumLine {
  algorithm: HashAlgorithm;
  /** Lower-case hexadecimal. */
  digest: string;
  name: string;
}

const BY_LENGTH: Readonly<Record<number, HashAlgorithm>> = {
  32: 'md5',
  40: 'sha1',
  64: 'sha256',
  128: 'sha512',
};
const BY_TAG: Readonly<Record<string, HashAlgorithm>> = {
  MD5: 'md5',
  SHA1: 'sha1',
  SHA256: 'sha256',
  SHA512: 'sha512',
};

/** A name as md5sum prints it beside a digest: line ends and backslashes escaped. */
export function escapedName(name: string): { escaped: boolean; text: string } {
  if (!/[\\\n\r]/.test(name)) return { escaped: false, text: name };
  const text = name.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
  return { escaped: true, text };
}

/** A name as md5sum -c prints it: only a line end makes it escape. */
export function reportedName(name: string): string {
  return name.includes('\n') ? `\\${escapedName(name).text}` : name;
}

/** Undefined for a line that is no sum. */
export function parseSumLine(line: string): SumLine | undefined {
  const text = line.replace(/\r$/, '').replace(/^[ \t]+/, '');
  const escaped = text.startsWith('\\');
  const body = escaped ? text.slice(1) : text;
  const found = tagged(body) ?? plain(body);
  if (!found || !escaped) return found;
  const name = unescaped(found.name);
  return name === undefined ? undefined : { ...found, name };
}

function plain(text: string): SumLine | undefined {
  const match = /^([0-9a-fA-F]+) [ *](.+)$/s.exec(text);
  const algorithm = match && BY_LENGTH[match[1].length];
  return algorithm ? { algorithm, digest: match[1].toLowerCase(), name: match[2] } : undefined;
}

function tagged(text: string): SumLine | undefined {
  const match = /^(MD5|SHA1|SHA256|SHA512) \((.+)\) = ([0-9a-fA-F]+)$/s.exec(text);
  if (!match) return undefined;
  const algorithm = BY_TAG[match[1]];
  if (BY_LENGTH[match[3].length] !== algorithm) return undefined;
  return { algorithm, digest: match[3].toLowerCase(), name: match[2] };
}

function unescaped(text: string): string | undefined {
  if (/\\(?![\\nr])/.test(text.replaceAll('\\\\', ''))) return undefined;
  return text.replace(/\\([\\nr])/g, (_, letter: string) =>
    letter === 'n' ? '\n' : letter === 'r' ? '\r' : '\\',
  );
}
