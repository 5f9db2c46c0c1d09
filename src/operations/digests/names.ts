// File names in lists: md5sum's escapes, XML's entities.
import { DiskImageError } from '../../disk/errors.js';

/** A name as md5sum prints it beside a digest: line ends and backslashes escaped, the line marked by a backslash. */
export function escapedName(name: string): { escaped: boolean; text: string } {
  if (!/[\\\n\r]/.test(name)) return { escaped: false, text: name };
  return { escaped: true, text: backslashed(name) };
}

/** A name in a line of md5deep's form, which knows no escapes: only what would break the line is escaped, as by md5sum. */
export function pieceName(name: string): { escaped: boolean; text: string } {
  if (!/[\n\r]/.test(name)) return { escaped: false, text: name };
  return { escaped: true, text: backslashed(name) };
}

function backslashed(name: string): string {
  return name.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
}

/** Undefined for an escape that is none. */
export function unescapedName(text: string): string | undefined {
  if (/\\(?![\\nr])/.test(text.replaceAll('\\\\', ''))) return undefined;
  return text.replace(/\\([\\nr])/g, (_, letter: string) =>
    letter === 'n' ? '\n' : letter === 'r' ? '\r' : '\\',
  );
}

/** @throws INVALID_ARGUMENT for a name that hashdeep's format, which has no escapes, cannot hold. */
export function hashdeepName(name: string): string {
  if (!/[\n\r]/.test(name)) return name;
  throw new DiskImageError(
    'INVALID_ARGUMENT',
    'A name with a line end cannot be written in hashdeep format',
    {
      path: name,
      operation: 'hash',
    },
  );
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\r': '&#13;',
};

/** What XML 1.0 cannot hold (section 2.2). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are the characters meant
const NOT_IN_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

/** @throws INVALID_ARGUMENT for a name that XML cannot hold. */
export function xmlText(text: string): string {
  if (NOT_IN_XML.test(text)) {
    throw new DiskImageError('INVALID_ARGUMENT', 'A name with control characters cannot be written in XML', {
      path: text,
      operation: 'hash',
    });
  }
  return text.replace(/[&<>"'\r]/g, (character) => ENTITIES[character]);
}

/** For what only tells: characters that XML cannot hold become a question mark. */
export function printable(text: string): string {
  return text.replace(new RegExp(NOT_IN_XML, 'g'), '?');
}
