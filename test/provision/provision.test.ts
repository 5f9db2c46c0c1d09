import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ImageCache, type StepEvent } from '#src/provision/index.js';
import { cacheKey } from '#src/provision/names.js';
import { cloudImage, digestOf, tree } from '../support/cloudImage.js';
import { ImageServer } from '../support/imageServer.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { qemuImg } from '../support/tools.js';

const GiB = 2 ** 30;
const dir = t.testdir();
const image = cloudImage(join(dir, 'source'), new Random(11));
const md5 = digestOf('md5sum', image.path);
const sha512 = digestOf('sha512sum', image.path);
const KEY = cacheKey('cirros');

let folders = 0;
const fresh = (): ImageCache => new ImageCache({ instances: join(dir, `instances${folders++}`) });
const request = { imageId: 'cirros', source: image.path, digests: { md5, sha512 }, size: GiB };
const info = (path: string) => JSON.parse(qemuImg('info', '--output=json', path));

t.test('file, verified, to an overlay', async (t) => {
  const cache = fresh();
  const events: StepEvent[] = [];
  const made = await cache.provision(
    { ...request, instance: 'vm' },
    { onEvent: (event) => events.push(event) },
  );
  const base = join(cache.instances, '_base', KEY);
  t.match(made, {
    base,
    backing: base,
    virtualSize: image.size,
    cached: false,
    existed: false,
    diskSize: GiB,
  });
  t.same(made.verified, ['md5', 'sha512']);
  t.match(info(made.disk), {
    format: 'qcow2',
    'virtual-size': GiB,
    'backing-filename': base,
    'backing-filename-format': 'raw',
  });
  qemuImg('check', '-q', made.disk);
  qemuImg('compare', '-q', '-f', 'raw', '-F', 'raw', base, image.raw);
  t.equal(fs.statSync(base).mode & 0o777, 0o644);
  t.ok(fs.statSync(base).blocks * 512 < image.size / 2, 'the base is sparse');
  t.equal(fs.readFileSync(join(cache.instances, 'vm', 'disk.info'), 'utf8'), `{"${made.disk}":"qcow2"}\n`);
  t.same(tree(cache.instances), [
    '_base/',
    '_base/.basecow/',
    `_base/.basecow/${KEY}.json`,
    `_base/${KEY}`,
    'locks/',
    `locks/nova-${KEY}`,
    'vm/',
    'vm/disk',
    'vm/disk.info',
  ]);
  const done = events.filter(({ state }) => state === 'done').map(({ step }) => step);
  t.same(done, ['lock', 'fetch', 'inspect', 'convert', 'verify', 'overlay']);
  t.same(
    made.steps.map(({ step }) => step),
    done,
  );
});

t.test('second instance: nothing is fetched, the base is marked as used', async (t) => {
  const cache = fresh();
  const server = await ImageServer.start(t, fs.readFileSync(image.path));
  const first = await cache.provision({ ...request, source: server.url, instance: 'a' });
  fs.utimesSync(first.base, 1000, 1000);
  const second = await cache.provision({ ...request, source: server.url, instance: 'b' });
  t.equal(second.cached, true);
  t.same(second.verified, ['md5', 'sha512'], 'by what was recorded');
  t.same(server.requests, ['GET /image']);
  t.ok(Date.now() - fs.statSync(first.base).mtimeMs < 60_000);
  qemuImg('compare', '-q', '-f', 'qcow2', '-F', 'qcow2', first.disk, second.disk);
  const third = await cache.createInstanceDisk({ imageId: 'cirros', instance: 'c', size: 0 });
  t.equal(third.diskSize, image.size, 'size 0: as large as the image');
  await failsWith(
    t,
    cache.createInstanceDisk({ imageId: 'none', instance: 'd' }),
    'INVALID_ARGUMENT',
    'none',
  );
});

t.test('resized base, as Nova names it', async (t) => {
  const cache = fresh();
  const made = await cache.provision({ ...request, instance: 'a', resize: 'base' });
  t.equal(made.backing, join(cache.instances, '_base', `${KEY}_1`));
  t.equal(fs.statSync(made.backing ?? '').size, GiB);
  t.equal(info(made.disk)['backing-filename'], made.backing);
  qemuImg('check', '-q', made.disk);
  t.match(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', image.raw, made.disk), 'Images are identical.');
  const again = await cache.provision({ ...request, instance: 'b', resize: 'base' });
  t.equal(again.backing, made.backing);
  t.notOk(again.steps.some(({ step }) => step === 'fetch'));
  const odd = await cache.ensureResized({ imageId: 'cirros', size: GiB / 2 });
  t.equal(odd.backing, join(cache.instances, '_base', `${KEY}_${GiB / 2}B`), 'no two sizes share a name');
  const same = await cache.provision({ ...request, size: image.size, instance: 'c', resize: 'base' });
  t.equal(same.backing, same.base, 'nothing to grow, no copy');
});

t.test('raw disk', async (t) => {
  const cache = fresh();
  const made = await cache.provision({ ...request, instance: 'vm', imageType: 'raw' });
  t.match(info(made.disk), { 'virtual-size': GiB });
  t.match(qemuImg('compare', '-f', 'raw', '-F', 'raw', image.raw, made.disk), 'Images are identical.');
  t.ok(fs.statSync(made.disk).blocks * 512 < image.size, 'sparse');
  t.equal(fs.readFileSync(join(cache.instances, 'vm', 'disk.info'), 'utf8'), `{"${made.disk}":"raw"}\n`);
  t.notSame(fs.statSync(made.disk).ino, fs.statSync(made.base).ino);
});

t.test('raw source, from a file and over HTTP', async (t) => {
  const cache = fresh();
  const server = await ImageServer.start(t, fs.readFileSync(image.raw));
  for (const [imageId, source] of [
    ['file', image.raw],
    ['http', server.url],
  ]) {
    const sourceFormat = 'raw';
    const digests = { sha256: digestOf('sha256sum', image.raw) };
    const made = await cache.ensureBase({ imageId, source, sourceFormat, digests, size: image.size });
    qemuImg('compare', '-q', '-f', 'raw', '-F', 'raw', made.base, image.raw);
    t.equal(fs.statSync(made.base).size, image.size);
    t.ok(fs.statSync(made.base).blocks * 512 < image.size / 2, 'zeros became holes');
    t.notSame(fs.statSync(made.base).ino, fs.statSync(image.raw).ino);
  }
  t.same(
    tree(join(cache.instances, '_base')).filter((name) => !name.startsWith('.basecow')),
    [cacheKey('file'), cacheKey('http')].sort(),
  );
});

t.test('an existing disk is kept', async (t) => {
  const cache = fresh();
  const made = await cache.provision({ ...request, instance: 'vm' });
  const before = digestOf('md5sum', made.disk);
  const again = await cache.provision({ ...request, size: 2 * GiB, instance: 'vm', resize: 'base' });
  t.match(again, { existed: true, disk: made.disk, diskSize: GiB, backing: made.base });
  t.notOk(fs.existsSync(`${made.base}_2`), 'no resized base is made in vain');
  const raw = { ...request, instance: 'vm', imageType: 'raw' as const };
  await failsWith(t, cache.provision(raw), 'INVALID_ARGUMENT', made.disk, 'qcow2, not raw');
  const other = { ...request, imageId: 'other', instance: 'vm' };
  await failsWith(t, cache.provision(other), 'INVALID_ARGUMENT', made.base, cacheKey('other'));
  fs.writeFileSync(join(cache.instances, 'vm', 'disk.info'), '{}\n');
  await failsWith(t, cache.provision({ ...request, instance: 'vm' }), 'INVALID_ARGUMENT', 'disk.info');
  t.equal(digestOf('md5sum', made.disk), before);
});

t.test('a disk that failed leaves no folder and no record', async (t) => {
  const cache = fresh();
  await cache.ensureBase(request);
  // disk.info.tmp is a folder: the format can't be recorded, so there must be no disk.
  fs.mkdirSync(join(cache.instances, 'vm', 'disk.info.tmp'), { recursive: true });
  const error = await failsWith(t, cache.provision({ ...request, instance: 'vm' }), 'IO', 'EISDIR');
  t.equal(error.errno, 'EISDIR');
  t.same(tree(join(cache.instances, 'vm')), ['disk.info.tmp/']);
});

t.test('digests given later are compared with what was recorded', async (t) => {
  const cache = fresh();
  await cache.ensureBase({ ...request, digests: { sha512 } });
  const wrong = '0'.repeat(128);
  await failsWith(
    t,
    cache.ensureBase({ ...request, digests: { sha512: wrong } }),
    'DIGEST_MISMATCH',
    sha512,
    wrong,
  );
  const later = await cache.ensureBase({ ...request, digests: { md5, sha512 } });
  t.same(later.verified, ['sha512']);
  t.same(later.unverified, ['md5']);
});

t.test('a base made by Nova, without a record, is used as it is', async (t) => {
  const cache = fresh();
  const base = join(cache.instances, '_base', KEY);
  fs.mkdirSync(join(cache.instances, '_base'), { recursive: true });
  fs.copyFileSync(image.raw, base);
  const made = await cache.provision({ ...request, instance: 'vm' });
  t.match(made, { cached: true, verified: [], unverified: ['md5', 'sha512'] });
  fs.copyFileSync(image.path, base);
  await failsWith(t, cache.provision({ ...request, instance: 'vm2' }), 'IMAGE_UNSAFE', base, 'qcow2');
  t.notOk(fs.existsSync(join(cache.instances, 'vm2')));
});

t.test('a base that is no longer what was recorded is not used', async (t) => {
  const cache = fresh();
  const { base } = await cache.ensureBase(request);
  fs.truncateSync(base, image.size - 512);
  await failsWith(
    t,
    cache.provision({ ...request, instance: 'vm' }),
    'CORRUPT_IMAGE',
    String(image.size - 512),
  );
});

t.test('what a killed run left beside a finished base goes', async (t) => {
  const cache = fresh();
  const { base } = await cache.ensureBase(request);
  const leftovers = [`${base}.part`, `${base}.converted`, join(base, '..', '.basecow', `${KEY}.part.json`)];
  for (const path of leftovers) fs.writeFileSync(path, 'left');
  await cache.ensureBase(request);
  t.same(
    leftovers.filter((path) => fs.existsSync(path)),
    [],
  );
});

t.test('misuse', async (t) => {
  const cache = fresh();
  for (const instance of ['', '.', '..', 'a/b', '_base', 'locks', 'nul\0', 'x'.repeat(256)]) {
    await failsWith(t, cache.provision({ ...request, instance }), 'INVALID_ARGUMENT');
  }
  const vm = { ...request, instance: 'vm' };
  await failsWith(t, cache.provision({ ...vm, imageId: '' }), 'INVALID_ARGUMENT', 'empty');
  await failsWith(t, cache.provision({ ...vm, size: -1 }), 'INVALID_ARGUMENT', '-1');
  await failsWith(t, cache.provision({ ...vm, digests: { md5: 'abc' } }), 'INVALID_ARGUMENT', 'abc', '32');
  await failsWith(t, cache.provision({ ...vm, source: 'ftp://h/i' }), 'INVALID_ARGUMENT', 'ftp://h/i');
  await failsWith(t, cache.provision({ ...vm, sourceFormat: 'zip' }), 'UNKNOWN_FORMAT', 'zip');
  const missing = await failsWith(t, cache.provision({ ...vm, source: '/no/such' }), 'IO', '/no/such');
  t.equal(missing.errno, 'ENOENT');
  t.same(
    tree(cache.instances).filter((name) => !name.startsWith('locks/')),
    [],
  );
});

t.test('cancelled at every step: nothing is left', async (t) => {
  const server = await ImageServer.start(t, fs.readFileSync(image.path));
  const steps = ['lock', 'fetch', 'inspect', 'convert', 'verify', 'resize', 'overlay'];
  for (const source of [image.path, server.url]) {
    for (const step of steps) {
      const cache = fresh();
      const controller = new AbortController();
      const running = cache.provision(
        { ...request, source, instance: 'vm', resize: 'base', imageType: 'raw' },
        {
          signal: controller.signal,
          onEvent: (event) => {
            if (event.step === step && event.state === 'start') controller.abort();
          },
        },
      );
      await failsWith(t, running, 'CANCELLED');
      const left = tree(cache.instances).filter((name) => !/^locks\/|^_base\/(\.basecow\/)?$/.test(name));
      const finished = step === 'resize' || step === 'overlay';
      const whole = [
        `_base/.basecow/${KEY}.json`,
        `_base/${KEY}`,
        ...(step === 'overlay' ? [`_base/${KEY}_1`] : []),
      ];
      t.same(left, finished ? whole : [], `${step} of ${source}`);
    }
  }
});
