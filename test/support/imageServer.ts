// An HTTP server for images that can be told to misbehave.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  /** Requests before this one. */
  index: number;
  bytes: Buffer;
  /** Answers as a good server does: ranges, If-Range, ETag. */
  serve(): void;
}

export interface ServerOptions {
  /** Default: a strong one. null: none at all. */
  etag?: string | null;
  handle?: (exchange: Exchange) => void;
}

export class ImageServer {
  /** `METHOD path range` of every request. */
  readonly requests: string[] = [];
  readonly headers: IncomingMessage['headers'][] = [];
  readonly #server;

  private constructor(bytes: Buffer, options: ServerOptions) {
    const { etag = '"first"', handle } = options;
    this.#server = createServer((request, response) => {
      const index = this.requests.length;
      this.requests.push(`${request.method} ${request.url} ${request.headers.range ?? ''}`.trim());
      this.headers.push(request.headers);
      response.on('error', () => {}); // clients that went away are part of these tests
      const serve = (): void => serveRange(request, response, bytes, etag);
      if (handle) handle({ request, response, index, bytes, serve });
      else serve();
    });
  }

  static async start(
    t: { teardown(handler: () => Promise<void>): void },
    bytes: Buffer,
    options: ServerOptions = {},
  ): Promise<ImageServer> {
    const server = new ImageServer(bytes, options);
    await new Promise<void>((listening) => server.#server.listen(0, '127.0.0.1', listening));
    t.teardown(() => server.close());
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/image`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }
}

function serveRange(
  { headers }: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer,
  etag: string | null,
): void {
  const common = { 'accept-ranges': 'bytes', ...(etag !== null && { etag }) };
  const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
  const fits = headers['if-range'] === undefined || headers['if-range'] === etag;
  if (!headers.range || !fits) {
    response.writeHead(200, { ...common, 'content-length': bytes.length }).end(bytes);
  } else if (start >= bytes.length) {
    response.writeHead(416, { ...common, 'content-range': `bytes */${bytes.length}` }).end();
  } else {
    response
      .writeHead(206, {
        ...common,
        'content-length': bytes.length - start,
        'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
      })
      .end(bytes.subarray(start));
  }
}
