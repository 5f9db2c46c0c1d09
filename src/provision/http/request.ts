import { DiskImageError } from '../../disk/errors.js';
import { throwIfAborted } from '../abort.js';
import { DEFAULT_MAX_REDIRECTS, isRedirect, nameOf, nextLocation, type Origin } from './location.js';

export interface RequestLimits {
  /** Redirects followed at most. Default 5. */
  maxRedirects?: number;
  /** Milliseconds until a reply must have begun. Default 30,000. */
  headerTimeout?: number;
  /** Milliseconds without a byte after which a transfer counts as dead. Default 30,000. */
  stallTimeout?: number;
}

const DEFAULT_TIMEOUT = 30_000;

/** The connection failed or broke: worth another try. */
export class ConnectionError extends Error {}

/** One reply; `body` must be read to its end or closed. */
export interface Reply {
  /** Address that answered, after redirects. */
  url: URL;
  status: number;
  headers: Headers;
  /** @throws ConnectionError when the connection breaks or stalls, CANCELLED. */
  body(): AsyncGenerator<Uint8Array>;
  close(): void;
}

/**
 * GET, following redirects one by one.
 * @throws ConnectionError for everything that another try may cure; DOWNLOAD_FAILED for redirects that are refused;
 * CANCELLED.
 */
export async function get(
  origin: Origin,
  headers: Record<string, string>,
  limits: RequestLimits,
  signal?: AbortSignal,
): Promise<Reply> {
  const maxRedirects = limits.maxRedirects ?? DEFAULT_MAX_REDIRECTS;
  let at = origin;
  for (let hops = 0; ; hops++) {
    const reply = await once(at, headers, limits, signal);
    if (!isRedirect(reply.status)) return reply;
    reply.close();
    if (hops === maxRedirects) {
      throw new DiskImageError(
        'DOWNLOAD_FAILED',
        `'${nameOf(origin.url)}' redirects more than the limit of ${maxRedirects} times (last to '${nameOf(at.url)}')`,
        { path: nameOf(origin.url), operation: 'fetch' },
      );
    }
    at = nextLocation(at, reply.headers.get('location'));
  }
}

async function once(
  { url, headers }: Origin,
  more: Record<string, string>,
  limits: RequestLimits,
  signal: AbortSignal | undefined,
): Promise<Reply> {
  throwIfAborted(signal, 'fetch');
  const watch = new Watch(nameOf(url), signal);
  watch.expect(limits.headerTimeout ?? DEFAULT_TIMEOUT, 'did not answer');
  try {
    const response = await fetch(url, {
      // Content codings would change the bytes that length, ranges and digests speak of (RFC 9110, 8.4).
      headers: { 'user-agent': 'basecow', ...headers, ...more, 'accept-encoding': 'identity' },
      redirect: 'manual',
      signal: watch.signal,
    });
    return {
      url,
      status: response.status,
      headers: response.headers,
      body: () => pieces(response, watch, limits.stallTimeout ?? DEFAULT_TIMEOUT),
      close: () => {
        watch.end();
        response.body?.cancel().catch(() => {}); // the transfer is given up; how it ends is of no interest
      },
    };
  } catch (error) {
    throw watch.failure(error);
  }
}

async function* pieces(response: Response, watch: Watch, stallTimeout: number): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  try {
    while (reader) {
      watch.expect(stallTimeout, 'sent nothing');
      const { done, value } = await reader.read();
      watch.rest();
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw watch.failure(error);
  } finally {
    watch.end();
    reader?.cancel().catch(() => {}); // as in close()
  }
}

/** Ends a transfer that is cancelled or that makes its caller wait too long. */
class Watch {
  readonly #name: string;
  readonly #outer: AbortSignal | undefined;
  readonly #controller = new AbortController();
  readonly #follow = (): void => this.#controller.abort();
  #timer: NodeJS.Timeout | undefined;
  #late: string | undefined;

  constructor(name: string, outer: AbortSignal | undefined) {
    this.#name = name;
    this.#outer = outer;
    outer?.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  expect(ms: number, complaint: string): void {
    this.rest();
    this.#timer = setTimeout(() => {
      this.#late = `${complaint} for ${ms} ms`;
      this.#controller.abort();
    }, ms);
  }

  rest(): void {
    clearTimeout(this.#timer);
  }

  end(): void {
    this.rest();
    this.#outer?.removeEventListener('abort', this.#follow);
    this.#controller.abort();
  }

  failure(error: unknown): Error {
    this.end();
    if (this.#outer?.aborted) {
      return new DiskImageError('CANCELLED', 'fetch was cancelled', { operation: 'fetch', cause: error });
    }
    if (this.#late) return new ConnectionError(`'${this.#name}' ${this.#late}`, { cause: error });
    return new ConnectionError(`connection to '${this.#name}' failed: ${deepestMessage(error)}`, {
      cause: error,
    });
  }
}

/** fetch() says `fetch failed`; what failed is the cause. */
function deepestMessage(error: unknown): string {
  let message = String(error);
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    message = at.message || code || message;
  }
  return message;
}
