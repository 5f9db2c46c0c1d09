// Downloads from servers that behave well, badly and maliciously.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { nextLocation, parseHttpUrl } from '#src/provision/http/location.js';
import { contentLength, parseContentRange, strongValidator } from '#src/provision/http/validator.js';
import { type HttpLimits, ImageCache } from '#src/provision/index.js';
import { cacheKey } from '#src/provision/names.js';
import { start } from '../support/basecow.js';
import { cloudImage, digestOf, tree } from '../support/cloudImage.js';
import { ImageServer, type ServerOptions } from '../support/imageServer.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { qemuImg } from '../support/tools.js';

const MiB = 2 ** 20;
const dir = t.testdir();
const image = cloudImage(join(dir, 'source'), new Random(23), 64 * MiB, 48 * MiB);
const bytes = fs.readFileSync(image.path);
const sha512 = digestOf('sha512sum', image.path);
const KEY = cacheKey('image');
const QUICK: HttpLimits = { retries: 2, headerTimeout: 500, stallTimeout: 500 };

let folders = 0;
const fresh = (http: HttpLimits = QUICK): ImageCache =>
  new ImageCache({ instances: join(dir, `instances${folders++}`), http });
const order = (server: ImageServer) => ({
  imageId: 'image',
  source: server.url,
  digests: { sha512 },
  size: 2 ** 30,
});
const baseFiles = (cache: ImageCache): string[] =>
  tree(join(cache.instances, '_base')).filter((name) => !name.endsWith('/'));

/** Runs one download against a server; the base must be right. */
async function fetches(t: Test, options: ServerOptions, requests: (string | RegExp)[]): Promise<ImageServer> {
  const server = await ImageServer.start(t, bytes, options);
  const cache = fresh();
  const { base } = await cache.ensureBase(order(server));
  qemuImg('compare', '-q', '-f', 'raw', '-F', 'raw', base, image.raw);
  t.match(server.requests, requests);
  t.equal(server.requests.length, requests.length);
  t.same(baseFiles(cache), [`.basecow/${KEY}.json`, KEY]);
  return server;
}
t.test('plain', (t) => fetches(t, {}, ['GET /image']));

t.test('no length told', (t) =>
  fetches(t, { handle: ({ response, bytes }) => response.writeHead(200).end(bytes) }, ['GET /image']),
);

t.test('a broken connection is taken up where it broke', async (t) => {
  const server = await fetches(
    t,
    {
      handle: ({ response, index, bytes, serve }) => {
        if (index > 0) return serve();
        response.writeHead(200, { etag: '"first"', 'content-length': bytes.length });
        response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
      },
    },
    ['GET /image', /^GET \/image bytes=\d+-$/],
  );
  const from = Number(/bytes=(\d+)-/.exec(server.requests[1])?.[1]);
  t.ok(from > 0 && from <= bytes.length / 2, `taken up at ${from}`);
  t.equal(server.headers[1]['if-range'], '"first"');
});

t.test('a file that changed meanwhile is fetched anew', (t) =>
  fetches(
    t,
    {
      etag: '"second"',
      handle: ({ response, index, bytes, serve }) => {
        if (index > 0) return serve();
        response.writeHead(200, { etag: '"first"', 'content-length': bytes.length });
        response.write(Buffer.alloc(bytes.length / 2, bytes.subarray(0, 65536)), () => response.destroy());
      },
    },
    ['GET /image', /bytes=/],
  ),
);

t.test('without a validator nothing is taken up', (t) =>
  fetches(
    t,
    {
      etag: null,
      handle: ({ response, index, bytes, serve }) => {
        if (index > 0) return serve();
        response.writeHead(200, { 'content-length': bytes.length });
        response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
      },
    },
    ['GET /image', /^GET \/image$/],
  ),
);

t.test('a server that continues elsewhere than asked', (t) =>
  fetches(
    t,
    {
      handle: ({ response, index, bytes, serve }) => {
        if (index === 0) {
          response.writeHead(200, { etag: '"first"', 'content-length': bytes.length });
          response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
        } else if (index === 1) {
          const range = `bytes 5-${bytes.length - 1}/${bytes.length}`;
          response.writeHead(206, { etag: '"first"', 'content-range': range }).end(bytes.subarray(5));
        } else serve();
      },
    },
    ['GET /image', /bytes=/, /^GET \/image$/],
  ),
);

t.test('busy, then stalled, then good', (t) =>
  fetches(
    t,
    {
      handle: ({ response, index, bytes, serve }) => {
        if (index === 0) response.writeHead(503, { 'retry-after': '0' }).end();
        else if (index === 1) {
          response.writeHead(200, { etag: '"first"', 'content-length': bytes.length });
          response.write(bytes.subarray(0, 3 * MiB)); // and not a byte more
        } else serve();
      },
    },
    ['GET /image', 'GET /image', /bytes=/],
  ),
);

t.test('redirects', async (t) => {
  const target = await ImageServer.start(t, bytes);
  const hop = await ImageServer.start(t, bytes, {
    handle: ({ request, response, serve }) => {
      const hops = Number(/hop(\d)$/.exec(request.url ?? '')?.[1] ?? 0);
      if (request.url === '/here') serve();
      else if (hops === 4) response.writeHead(302, { location: target.url }).end();
      else response.writeHead(307, { location: `/hop${hops + 1}` }).end();
    },
  });
  const cache = new ImageCache({ instances: join(dir, 'redirects') });
  const headers = { 'x-auth-token': 'secret' };
  await cache.ensureBase({ ...order(hop), headers });
  t.same(hop.requests, ['GET /image', 'GET /hop1', 'GET /hop2', 'GET /hop3', 'GET /hop4']);
  t.ok(hop.headers.every((one) => one['x-auth-token'] === 'secret'));
  t.equal(target.headers[0]['x-auth-token'], undefined, 'the token stays with its origin');
});

t.test('redirects that are refused', async (t) => {
  const loop = await ImageServer.start(t, bytes, {
    handle: ({ response }) => response.writeHead(301, { location: '/image' }).end(),
  });
  const cache = fresh();
  await failsWith(t, cache.ensureBase(order(loop)), 'DOWNLOAD_FAILED', loop.url, 'limit of 5');
  t.equal(loop.requests.length, 6);
  for (const [location, why] of [
    ['file:///etc/passwd', 'file:'],
    ['ftp://h/x', 'ftp:'],
    [undefined, 'no location'],
    ['http://[', 'no valid URL'],
    ['http://u:p@h/', 'password'],
  ]) {
    const server = await ImageServer.start(t, bytes, {
      handle: ({ response }) => response.writeHead(302, location === undefined ? {} : { location }).end(),
    });
    await failsWith(t, cache.ensureBase(order(server)), 'DOWNLOAD_FAILED', why as string);
    t.equal(server.requests.length, 1);
  }
  t.same(tree(join(cache.instances, '_base')), []);
  const secure = parseHttpUrl('https://user:pass@host/image?signature=1', { 'x-auth-token': 'secret' });
  t.equal(secure.headers.authorization, `Basic ${Buffer.from('user:pass').toString('base64')}`);
  t.throws(() => nextLocation(secure, 'http://host/image'), {
    code: 'DOWNLOAD_FAILED',
    message: /from https to http/,
  });
  t.same(nextLocation(secure, 'https://other/x').headers, {});
  t.same(nextLocation(secure, '/x').headers, secure.headers);
});

t.test('answers that end it: nothing is left', async (t) => {
  for (const [what, handle, ...says] of [
    ['404', ({ response }) => response.writeHead(404).end(), 'status 404'],
    [
      '500 for ever',
      ({ response }) => response.writeHead(500, { 'retry-after': '0' }).end(),
      'status 500',
      '3 tries',
    ],
    ['silence', () => {}, 'did not answer for 500 ms', '3 tries'],
    [
      'too short for ever',
      ({ response, bytes }) => response.writeHead(200, { 'content-length': bytes.length + 9 }).end(bytes),
      '3 tries',
    ],
    [
      'coded',
      ({ response, bytes }) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bytes),
      "content coding 'gzip'",
    ],
    ['206 unasked', ({ response, bytes }) => response.writeHead(206).end(bytes), 'status 206'],
  ] as [string, ServerOptions['handle'], ...string[]][]) {
    const server = await ImageServer.start(t, bytes, { handle });
    const cache = fresh();
    await failsWith(t, cache.ensureBase(order(server)), 'DOWNLOAD_FAILED', ...says);
    t.same(baseFiles(cache), [], what);
  }
  const cache = fresh();
  const gone = { ...order(await ImageServer.start(t, bytes)), source: 'http://127.0.0.1:9/image' };
  await failsWith(t, cache.ensureBase(gone), 'DOWNLOAD_FAILED', '127.0.0.1:9');
  t.same(baseFiles(cache), []);
});

t.test('a sender that never ends is cut off', async (t) => {
  const server = await ImageServer.start(t, bytes, {
    handle: ({ response, bytes }) => {
      response.writeHead(200);
      response.write(bytes);
      const more = Buffer.alloc(MiB, 7);
      const go = (): void => {
        while (response.write(more));
        response.once('drain', go);
      };
      go();
    },
  });
  const cache = fresh();
  const limited = { ...order(server), size: image.size };
  await failsWith(t, cache.ensureBase(limited), 'IMAGE_TOO_LARGE', String(2 * image.size + 64 * MiB));
  t.same(baseFiles(cache), []);
});

t.test('a download that failed is kept for the next run when it can be taken up', async (t) => {
  let broken = true;
  const server = await ImageServer.start(t, bytes, {
    handle: ({ response, bytes, serve }) => {
      if (!broken) return serve();
      response.writeHead(200, { etag: '"first"', 'content-length': bytes.length });
      response.write(bytes.subarray(0, 5 * MiB), () => response.destroy());
    },
  });
  const cache = fresh({ retries: 0 });
  await failsWith(t, cache.ensureBase(order(server)), 'DOWNLOAD_FAILED', 'gave up after 1');
  t.same(baseFiles(cache), [`.basecow/${KEY}.part.json`, `${KEY}.part`]);
  broken = false;
  await cache.ensureBase(order(server));
  t.match(server.requests[1], /bytes=[1-9]\d*-/);
  t.same(baseFiles(cache), [`.basecow/${KEY}.json`, KEY]);
});

t.test('a part that does not belong to this file is not taken up', async (t) => {
  const state = {
    address: '',
    validator: '"first"',
    length: bytes.length,
    boot: fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  };
  for (const text of [
    undefined,
    '',
    '{',
    'null',
    JSON.stringify(state),
    JSON.stringify({ ...state, boot: 'x' }),
  ]) {
    const server = await ImageServer.start(t, bytes);
    const cache = fresh();
    fs.mkdirSync(join(cache.instances, '_base', '.basecow'), { recursive: true });
    fs.writeFileSync(join(cache.instances, '_base', `${KEY}.part`), Buffer.alloc(4 * MiB, 0xff));
    fs.writeFileSync(join(cache.instances, '_base', `${KEY}.converted`), 'garbage');
    if (text !== undefined)
      fs.writeFileSync(join(cache.instances, '_base', '.basecow', `${KEY}.part.json`), text);
    const { base } = await cache.ensureBase(order(server));
    t.same(server.requests, ['GET /image']);
    qemuImg('compare', '-q', '-f', 'raw', '-F', 'raw', base, image.raw);
    t.same(baseFiles(cache), [`.basecow/${KEY}.json`, KEY]);
  }
});

t.test('killed in the middle of a download: the next run takes it up', async (t) => {
  let slow = true;
  const server = await ImageServer.start(t, bytes, {
    handle: ({ response, bytes, serve }) => {
      if (!slow) return serve();
      response.writeHead(200, { etag: '"first"', 'content-length': bytes.length });
      response.write(bytes.subarray(0, 6 * MiB));
    },
  });
  const cache = fresh();
  const words = [
    '--image-id',
    'image',
    '--source',
    server.url,
    '--size',
    '1G',
    '--instances',
    cache.instances,
  ];
  const { child, ended } = start('provision', ...words, '--instance', 'vm', '--sha512', sha512);
  const part = join(cache.instances, '_base', `${KEY}.part`);
  while (!(fs.statSync(part, { throwIfNoEntry: false })?.size ?? 0 >= 5 * MiB)) await sleep(5);
  child.kill('SIGKILL');
  t.equal((await ended).signal, 'SIGKILL');
  t.notOk(fs.existsSync(join(cache.instances, '_base', KEY)));
  slow = false;
  const { disk } = await cache.provision({ ...order(server), instance: 'vm' });
  t.match(server.requests[1], /bytes=[1-9]\d*-/);
  t.match(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', image.raw, disk), 'Images are identical.');
});

t.test('headers', (t) => {
  const headers = (fields: Record<string, string>) => new Headers(fields);
  const modified = 'Sun, 01 Nov 2026 10:00:00 GMT';
  t.equal(strongValidator(headers({ etag: '"a"' })), '"a"');
  t.equal(strongValidator(headers({ etag: 'W/"a"' })), undefined);
  t.equal(strongValidator(headers({ 'last-modified': modified })), undefined, 'no date to compare with');
  t.equal(strongValidator(headers({ 'last-modified': modified, date: modified })), undefined, 'same second');
  const later = 'Sun, 01 Nov 2026 10:00:01 GMT';
  t.equal(strongValidator(headers({ 'last-modified': modified, date: later })), modified);
  t.same(parseContentRange('bytes 1-2/3'), { start: 1, end: 2, total: 3 });
  t.same(parseContentRange('bytes 1-2/*'), { start: 1, end: 2 });
  for (const bad of [null, '', 'bytes */3', 'bytes 1-2', 'bytes -1-2/3', 'items 1-2/3', 'bytes 1-2/3 ']) {
    t.equal(parseContentRange(bad), undefined);
  }
  t.equal(contentLength(headers({ 'content-length': '12' })), 12);
  for (const bad of ['-1', '1e3', '', '99999999999999999', '0x10']) {
    t.equal(contentLength(headers({ 'content-length': bad })), undefined);
  }
  t.end();
});
