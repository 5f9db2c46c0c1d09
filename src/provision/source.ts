import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requireString } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';
import type { Digests } from './digests.js';
import { nameOf, type Origin, parseHttpUrl } from './http/location.js';

/** Where an image comes from. */
export type ImageOrigin =
  | { kind: 'file'; path: string; name: string }
  | { kind: 'http'; origin: Origin; name: string };

/**
 * A path, `file:` or http(s) URL. `headers` are sent to an http(s) origin itself, not to where it redirects.
 * @throws INVALID_ARGUMENT
 */
export function parseSource(text: string, headers?: Record<string, string>): ImageOrigin {
  requireString(text, 'source', 'provision');
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1].toLowerCase();
  if (scheme === 'http' || scheme === 'https') {
    const origin = parseHttpUrl(text, headers);
    return { kind: 'http', origin, name: nameOf(origin.url) };
  }
  if (scheme === undefined || scheme === 'file') {
    if (text === '')
      throw new DiskImageError('INVALID_ARGUMENT', 'The source is empty', { operation: 'provision' });
    const path = scheme === 'file' ? localPath(text) : resolve(text);
    return { kind: 'file', path, name: path };
  }
  throw new DiskImageError(
    'INVALID_ARGUMENT',
    `Source '${text}' is neither a path nor an http or https URL`,
    {
      operation: 'provision',
    },
  );
}

function localPath(url: string): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new DiskImageError('INVALID_ARGUMENT', `'${url}' names no local file`, {
      operation: 'provision',
      cause,
    });
  }
}

/** An image's bytes in a local file. */
export interface Obtained {
  path: string;
  /** Bytes. */
  size: number;
  /** The file is ours, in the cache's folder, and may become the base. */
  owned: boolean;
  /**
   * Resolves when the digests are known and as expected, and the file is still what it was.
   * @throws DIGEST_MISMATCH, SOURCE_CHANGED
   */
  settled(): Promise<Digests>;
  /** Closes; an owned file is removed unless it became the base. Safe to call twice. */
  release(): Promise<void>;
}
