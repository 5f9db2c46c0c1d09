import { DiskImageError } from '../../disk/errors.js';

export const DEFAULT_MAX_REDIRECTS = 5;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

export function isRedirect(status: number): boolean {
  return REDIRECTS.includes(status);
}

export interface Origin {
  url: URL;
  /** Headers for this origin alone. */
  headers: Record<string, string>;
}

/**
 * An http or https address; user and password in it become an Authorization header.
 * @throws INVALID_ARGUMENT
 */
export function parseHttpUrl(text: string, headers: Record<string, string> = {}): Origin {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new DiskImageError('INVALID_ARGUMENT', `'${text}' is no valid URL`, { operation: 'fetch', cause });
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new DiskImageError(
      'INVALID_ARGUMENT',
      `'${url.protocol}' of '${nameOf(url)}' is neither http: nor https:`,
      {
        operation: 'fetch',
      },
    );
  }
  const own = { ...headers };
  if (url.username !== '' || url.password !== '') {
    const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    own.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
    url.username = '';
    url.password = '';
  }
  url.hash = '';
  return { url, headers: own };
}

/** The address without what may be secret: user, password, query (signed URLs carry their signature there). */
export function nameOf(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/**
 * Where a redirect leads. Headers of the first origin (tokens, passwords) stay there.
 * @throws DOWNLOAD_FAILED for a missing or unusable Location, a scheme that is not HTTP, and a step from https to http.
 */
export function nextLocation(from: Origin, location: string | null): Origin {
  const refuse = (why: string, cause?: unknown): never => {
    throw new DiskImageError('DOWNLOAD_FAILED', `Redirect from '${nameOf(from.url)}' is refused: ${why}`, {
      path: nameOf(from.url),
      operation: 'fetch',
      cause,
    });
  };
  if (!location) return refuse('it names no location');
  let url: URL;
  try {
    url = new URL(location, from.url);
  } catch (error) {
    return refuse('its location is no valid URL', error);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return refuse(`it leads to '${url.protocol}'`);
  if (url.username !== '' || url.password !== '') return refuse('its location holds a password');
  if (from.url.protocol === 'https:' && url.protocol === 'http:') {
    return refuse(`it leads from https to http ('${nameOf(url)}')`);
  }
  return { url, headers: url.origin === from.url.origin ? from.headers : {} };
}
