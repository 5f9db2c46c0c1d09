import * as fs from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Serves one file over HTTP on loopback, with ranges, as an image mirror does. */
export async function serveImage(path: string): Promise<{ url: string; close(): void }> {
  const { size, mtime } = fs.statSync(path);
  const server = createServer((request, response) => {
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const start = range ? Number(range[1]) : 0;
    const end = range?.[2] ? Number(range[2]) : size - 1;
    response.writeHead(range ? 206 : 200, {
      'content-length': end - start + 1,
      'accept-ranges': 'bytes',
      'last-modified': mtime.toUTCString(),
      etag: `"${size}-${mtime.getTime()}"`,
      ...(range && { 'content-range': `bytes ${start}-${end}/${size}` }),
    });
    fs.createReadStream(path, { start, end }).pipe(response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/cloud.qcow2`, close: () => server.close() };
}
