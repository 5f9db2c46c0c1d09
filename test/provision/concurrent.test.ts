// Real processes that want the same image at once: one fetch, one conversion, all succeed.
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ImageCache } from '#src/provision/index.js';
import { cacheKey } from '#src/provision/names.js';
import { basecow } from '../support/basecow.js';
import { cloudImage, digestOf, tree } from '../support/cloudImage.js';
import { ImageServer } from '../support/imageServer.js';
import { Random } from '../support/random.js';
import { qemuImg } from '../support/tools.js';

const dir = t.testdir();
const image = cloudImage(join(dir, 'source'), new Random(41));
const sha512 = digestOf('sha512sum', image.path);
const KEY = cacheKey('image');

t.test('twenty processes', async (t) => {
  const server = await ImageServer.start(t, fs.readFileSync(image.path));
  const instances = join(dir, 'twenty');
  const runs = Array.from({ length: 20 }, (_, i) =>
    basecow(
      ...['provision', '--image-id', 'image', '--source', server.url, '--sha512', sha512, '--size', '1G'],
      ...['--instances', instances, '--instance', `vm${i}`, '--output', 'json'],
      ...['--resize', i % 2 ? 'base' : 'overlay'],
    ),
  );
  const ended = await Promise.all(runs);
  let cold = 0;
  for (const { status, stdout, stderr } of ended) {
    t.equal(status, 0, stderr);
    const outcome = JSON.parse(stdout);
    if (!outcome.cached) cold++;
    qemuImg('check', '-q', outcome.disk);
    t.match(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', image.raw, outcome.disk), 'Images are identical.');
  }
  t.equal(cold, 1, 'one made the base');
  t.same(server.requests, ['GET /image'], 'one fetched it');
  t.same(
    tree(join(instances, '_base')).filter((name) => !name.endsWith('/')),
    [`.basecow/${KEY}.json`, KEY, `${KEY}_1`],
  );
});

t.test('twenty callers in one process, of several instances of the cache', async (t) => {
  const server = await ImageServer.start(t, fs.readFileSync(image.path));
  const instances = join(dir, 'callers');
  const caches = [1, 2, 3, 4].map(() => new ImageCache({ instances }));
  const made = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      caches[i % 4].provision({ imageId: 'image', source: server.url, size: 2 ** 30, instance: `vm${i}` }),
    ),
  );
  t.equal(made.filter(({ cached }) => !cached).length, 1);
  t.same(server.requests, ['GET /image']);
  for (const { disk } of made) qemuImg('check', '-q', disk);
});

t.test('several images, and several wishes for one instance', async (t) => {
  const instances = join(dir, 'several');
  const cache = new ImageCache({ instances });
  const made = await Promise.all(
    [...Array(6).keys()].map((i) =>
      cache.provision({
        imageId: `image${i % 3}`,
        source: image.path,
        size: 2 ** 30,
        instance: `vm${i % 3}`,
      }),
    ),
  );
  t.equal(made.filter(({ existed }) => existed).length, 3);
  for (const { disk, backing } of made) {
    t.equal(JSON.parse(qemuImg('info', '--output=json', disk))['backing-filename'], backing);
  }
});
