// One line of md5sum (`DIGEST  NAME`, `DIGEST *NAME`), of md5 -r (`DIGEST NAME`), of BSD (`MD5 (NAME) = DIGEST`), of md5deep -p
// (`DIGEST  NAME offset START-END`), or of an S3 ETag (`DIGEST-PARTS  NAME`). A leading backslash marks an escaped name.
import { algorithmNamed, algorithmOfWidth, emptyDigest, isDigest } from './algorithms.js';
import { unescapedName } from './names.js';
import type { ListedDigest, ListHints } from './types.js';

/** S3 takes at most so many parts. */
export const MAX_PARTS = 10_000;

/** Undefined for a line that is no digest. */
export function parseSumLine(line: string, hints: ListHints = {}): ListedDigest | undefined {
  const text =
    line.endsWith('\r') || /^[ \t]/.test(line) ? line.replace(/\r$/, '').replace(/^[ \t]+/, '') : line;
  const escaped = text.startsWith('\\');
  const body = escaped ? text.slice(1) : text;
  const found = plain(body, hints) ?? tagged(body, hints) ?? etag(body, hints);
  if (!found || !escaped) return found;
  const name = unescapedName(found.name!);
  return name === undefined ? undefined : { ...found, name };
}

function plain(text: string, hints: ListHints): ListedDigest | undefined {
  const match = /^([0-9a-fA-F]+) (?:[ *](.+)|([^ *].*))$/s.exec(text);
  if (!match || match[1].length % 2) return undefined;
  const algorithm = algorithmOfWidth(match[1].length / 2, hints.algorithms);
  if (!algorithm) return undefined;
  const digest = match[1].toLowerCase();
  const name = match[2] ?? match[3];
  if (hints.blkhashBlock !== undefined) {
    return { of: 'blkhash', algorithm, digest, name, blockSize: hints.blkhashBlock, line: true };
  }
  return pieceOf({ of: 'whole', algorithm, digest, name, line: true });
}

/** `NAME offset START-END`, END inclusive, makes it a digest of a range. */
export function pieceOf(found: ListedDigest): ListedDigest {
  const { name = '', algorithm, digest } = found;
  const at = name.lastIndexOf(' offset ');
  const match = at < 0 ? undefined : /^(\d{1,16})-(\d{1,16})$/.exec(name.slice(at + ' offset '.length));
  if (!match) return found;
  const [start, last] = [Number(match[1]), Number(match[2])];
  if (at === 0 || last < start || !Number.isSafeInteger(last + 1)) return found;
  // md5deep writes 0-0 for an empty file too.
  const nothing = last === 0 && digest === emptyDigest(algorithm);
  const length = nothing ? 0 : last - start + 1;
  return { of: 'range', algorithm, digest, name: name.slice(0, at), start, length };
}

function tagged(text: string, hints: ListHints): ListedDigest | undefined {
  const match = /^([A-Za-z][A-Za-z0-9/_-]{1,19}) ?\((.+)\) ?= ([0-9a-fA-F]+)$/s.exec(text);
  if (!match) return undefined;
  const algorithm = algorithmNamed(match[1]);
  if (!algorithm || !isDigest(match[3], algorithm)) return undefined;
  if (hints.algorithms && !hints.algorithms.includes(algorithm)) return undefined;
  return { of: 'whole', algorithm, digest: match[3].toLowerCase(), name: match[2], line: true };
}

function etag(text: string, hints: ListHints): ListedDigest | undefined {
  const match = /^("?)([0-9a-fA-F]{32})-(\d{1,5})\1 [ *](.+)$/s.exec(text);
  if (!match || (hints.algorithms && !hints.algorithms.includes('md5'))) return undefined;
  const parts = Number(match[3]);
  if (parts < 1 || parts > MAX_PARTS) return undefined;
  return { of: 'etag', algorithm: 'md5', digest: match[2].toLowerCase(), parts, name: match[4], line: true };
}
