// list, verify, remove: what uses a base is found in the overlays themselves, and nothing in use is ever removed.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ImageCache } from '#src/provision/index.js';
import { LockFolder } from '#src/provision/lock.js';
import { cacheKey } from '#src/provision/names.js';
import { basecow } from '../support/basecow.js';
import { cloudImage, digestOf, tree } from '../support/cloudImage.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { qemuImg } from '../support/tools.js';

const GiB = 2 ** 30;
const DAY = 86400;
const dir = t.testdir();
const image = cloudImage(join(dir, 'source'), new Random(61));
const KEY = cacheKey('image');

let folders = 0;
const fresh = (): ImageCache => new ImageCache({ instances: join(dir, `instances${folders++}`) });
const request = { imageId: 'image', source: image.path, size: GiB };
const age = (path: string, seconds: number): void => {
  const then = Date.now() / 1000 - seconds;
  fs.utimesSync(path, then, then);
};
const bases = (cache: ImageCache): string[] =>
  tree(join(cache.instances, '_base')).filter((name) => !name.endsWith('/'));

t.test('list', async (t) => {
  const cache = fresh();
  t.same((await cache.list()).images, [], 'no folder yet');
  const one = await cache.provision({ ...request, instance: 'one' });
  const two = await cache.provision({ ...request, instance: 'two', resize: 'base' });
  age(one.base, 3 * DAY);
  fs.writeFileSync(join(cache.instances, '_base', 'swap_64'), '');
  fs.writeFileSync(join(cache.instances, '_base', `${cacheKey('other')}.part`), 'part');
  const { images, others } = await cache.list();
  const image1 = images.find(({ key }) => key === KEY);
  t.match(image1, {
    imageId: 'image',
    source: image.path,
    format: 'qcow2',
    verifiable: true,
    base: { path: one.base, size: image.size, age: 3 * DAY, overlays: [one.disk] },
    resized: [{ path: two.backing, size: GiB, overlays: [two.disk] }],
  });
  t.equal(image1?.base?.allocated, fs.statSync(one.base).blocks * 512);
  t.match(
    images.find(({ key }) => key === cacheKey('other')),
    { base: undefined, unfinished: [{ size: 4 }], verifiable: false },
  );
  t.same(others, [join(cache.instances, '_base', 'swap_64')]);
});

t.test('overlays that somebody else made count too', async (t) => {
  const cache = fresh();
  const { base } = await cache.ensureBase(request);
  const vm = join(cache.instances, 'vm');
  const snapshot = join(cache.instances, 'snapshots', 'tmp');
  fs.mkdirSync(vm);
  fs.mkdirSync(snapshot, { recursive: true });
  qemuImg('create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', join(vm, 'disk'));
  qemuImg('create', '-q', '-f', 'qcow2', '-b', `../_base/${KEY}`, '-F', 'raw', join(vm, 'disk.local'));
  qemuImg('create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', join(snapshot, 'a.delta'));
  fs.symlinkSync(cache.instances, join(dir, 'link'));
  const linked = join(dir, 'link', '_base', KEY);
  qemuImg('create', '-q', '-f', 'qcow2', '-b', linked, '-F', 'raw', join(vm, 'by-link'));
  const overlays = (await cache.list()).images[0].base?.overlays.sort();
  t.same(overlays, [
    join(snapshot, 'a.delta'),
    join(vm, 'by-link'),
    join(vm, 'disk'),
    join(vm, 'disk.local'),
  ]);
  // A guest wrote a qcow2 header into its raw disk, to keep a base for ever.
  fs.copyFileSync(join(vm, 'disk'), join(vm, 'forged'));
  fs.writeFileSync(join(vm, 'disk.info'), JSON.stringify({ [join(vm, 'forged')]: 'raw' }));
  t.equal((await cache.list()).images[0].base?.overlays.length, 4);
});

t.test('verify', async (t) => {
  const cache = fresh();
  const { base, backing } = await cache.ensureResized(request);
  const good = [
    { imageId: 'image', path: base, status: 'good', problems: [] },
    { imageId: 'image', path: backing, status: 'good', problems: [] },
  ];
  t.same(await cache.verify(), good);
  t.same(await cache.verify({ imageId: 'image' }), good);
  t.same(await cache.verify({ key: KEY }), good);
  await failsWith(t, cache.verify({ imageId: 'none' }), 'INVALID_ARGUMENT', 'none');
  await failsWith(t, cache.verify({ key: 'xyz' }), 'INVALID_ARGUMENT', 'xyz');

  // Holes that were filled (by a copy without holes, say) change nothing.
  const content = fs.readFileSync(base);
  fs.writeFileSync(base, content);
  t.ok(fs.statSync(base).blocks * 512 >= image.size);
  t.equal((await cache.verify())[0].status, 'good');

  const at = content.findIndex((byte, i) => i > 4096 && byte !== 0);
  for (const [what, offset, byte] of [
    ['data', at, content[at] ^ 1],
    ['what was a hole', content.indexOf(Buffer.alloc(65536), 4096) + 100, 1],
    ['the last byte', image.size - 1, 1],
  ] as const) {
    const fd = fs.openSync(base, 'r+');
    fs.writeSync(fd, Buffer.of(byte), 0, 1, offset);
    const [first, second] = await cache.verify();
    t.equal(first.status, 'bad', what);
    t.match(first.problems, [/differs in bytes 0 to 25165823 /]);
    t.equal(second.status, 'good', 'the resized base is a file of its own');
    fs.writeSync(fd, content, offset, 1, offset);
    fs.closeSync(fd);
  }
  t.equal((await cache.verify())[0].status, 'good');
  fs.truncateSync(base, image.size - 512);
  t.match((await cache.verify())[0], { status: 'bad', problems: [/25165312 bytes, the base had 25165824/] });
  fs.copyFileSync(image.path, base);
  t.match((await cache.verify())[0], { status: 'bad', problems: [/qcow2/, /bytes/] });
  fs.copyFileSync(image.raw, base);
  fs.rmSync(join(cache.instances, '_base', '.basecow'), { recursive: true });
  t.match((await cache.verify())[0], { status: 'unrecorded', problems: [] });
});

t.test('the recorded digest, computed by somebody else', async (t) => {
  const cache = fresh();
  const { base } = await cache.ensureBase(request);
  const record = JSON.parse(
    fs.readFileSync(join(cache.instances, '_base', '.basecow', `${KEY}.json`), 'utf8'),
  );
  t.match(record, {
    imageId: 'image',
    format: 'qcow2',
    virtualSize: image.size,
    sourceSize: fs.statSync(image.path).size,
  });
  t.equal(record.sourceDigests.sha256, digestOf('sha256sum', image.path));
  const { regionSize, regions } = record.data;
  t.equal(regionSize, 64 * 2 ** 20);
  t.equal(regions.length, 1);
  const chunk = regionSize / 64;
  const content = fs.readFileSync(base);
  const hash = createHash('sha256');
  for (let i = 0; i < 64; i++) {
    const piece = content.subarray(i * chunk, (i + 1) * chunk);
    if ((BigInt(`0x${regions[0].chunks}`) >> BigInt(i)) & 1n) hash.update(piece);
    else
      t.ok(
        piece.every((byte) => byte === 0),
        `chunk ${i} is zeros`,
      );
  }
  t.equal(regions[0].sha256, hash.digest('hex'));
});

t.test('remove one image', async (t) => {
  const cache = fresh();
  const used = await cache.provision({ ...request, instance: 'vm', resize: 'base' });
  const outcomes = await cache.remove({ imageId: 'image' });
  t.match(outcomes, [
    { path: used.base, action: 'removed' },
    { path: used.backing, action: 'in use', reasons: [used.disk] },
  ]);
  t.same(bases(cache), [`.basecow/${KEY}.json`, `${KEY}_1`]);
  fs.rmSync(join(cache.instances, 'vm'), { recursive: true });
  t.match(await cache.remove({ imageId: 'image', dryRun: true }), [
    { path: used.backing, action: 'removed' },
  ]);
  t.same(bases(cache), [`.basecow/${KEY}.json`, `${KEY}_1`], 'dryRun removes nothing');
  await cache.remove({ key: KEY });
  t.same(bases(cache), []);
  t.ok(fs.existsSync(join(cache.instances, 'locks', `nova-${KEY}`)), 'lock files are never removed');
  await failsWith(t, cache.remove({ imageId: 'image' }), 'INVALID_ARGUMENT', 'image');
  await failsWith(t, cache.remove({}), 'INVALID_ARGUMENT');
  await failsWith(t, cache.remove({ imageId: 'image', unused: true }), 'INVALID_ARGUMENT');
  await failsWith(t, cache.remove({ unused: true, olderThan: -1 }), 'INVALID_ARGUMENT', '-1');
});

t.test('remove what is unused and old, and what killed runs left', async (t) => {
  const cache = fresh();
  const folder = join(cache.instances, '_base');
  const used = await cache.provision({ ...request, instance: 'vm' });
  const old = await cache.ensureBase({ ...request, imageId: 'old' });
  const young = await cache.ensureBase({ ...request, imageId: 'young' });
  const part = join(folder, `${cacheKey('left')}.part`);
  const converted = join(folder, `${cacheKey('left')}.converted`);
  const temporary = join(folder, `.${cacheKey('left')}_1.0123456789ab.basecow-tmp`);
  const foreign = join(folder, 'ephemeral_1_0706d66');
  for (const path of [part, converted, temporary, foreign]) fs.writeFileSync(path, 'left');
  for (const path of [used.base, old.base, part, temporary, foreign]) age(path, 2 * DAY);
  const outcomes = await cache.remove({ unused: true, olderThan: DAY });
  const by = (action: string): string[] =>
    outcomes
      .filter((outcome) => outcome.action === action)
      .map(({ path }) => path)
      .sort();
  t.same(by('removed'), [old.base, part, temporary].sort());
  t.same(by('in use'), [used.base]);
  t.same(by('recent'), [young.base, converted].sort());
  t.ok(fs.existsSync(foreign), 'names that are not ours are left alone');
  t.notOk(fs.existsSync(old.base));
});

t.test('what keeps a base: its lock, a running machine, an overlay that cannot be read', async (t) => {
  const cache = fresh();
  const { base } = await cache.ensureBase(request);
  const held = await new LockFolder(join(cache.instances, 'locks')).acquire(`nova-${KEY}`);
  t.match(await cache.remove({ unused: true }), [{ path: base, action: 'locked' }]);
  await held.release();

  const elsewhere = join(dir, 'elsewhere.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', elsewhere);
  const machine = spawn('qemu-io', ['-f', 'qcow2', elsewhere], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((prompt) => machine.stdout.once('data', prompt));
  t.match(await cache.remove({ unused: true }), [{ path: base, action: 'in use', reasons: [/lock/] }]);
  machine.stdin.end('quit\n');
  await new Promise((closed) => machine.once('close', closed));

  const broken = join(cache.instances, 'vm', 'disk');
  fs.mkdirSync(join(cache.instances, 'vm'));
  fs.writeFileSync(broken, Buffer.from('QFI\xfb\0\0\0\x03 and no more', 'latin1'));
  const kept = await cache.remove({ unused: true });
  t.match(kept, [{ path: base, action: 'in use', reasons: [broken] }]);
  t.match((await cache.list()).unreadable, [{ path: broken }]);
  fs.rmSync(broken);
  t.match(await cache.remove({ unused: true }), [{ path: base, action: 'removed' }]);
});

t.test('command line', async (t) => {
  const cache = fresh();
  const folder = ['--instances', cache.instances];
  const words = ['--image-id', 'image', '--source', image.path, '--size', '1G', ...folder];
  const made = await basecow(
    'provision',
    ...words,
    '--instance',
    'vm',
    '--md5',
    digestOf('md5sum', image.path),
  );
  t.equal(made.status, 0, made.stderr);
  const lines = made.stdout.trimEnd().split('\n');
  t.equal(lines.at(-1), join(cache.instances, 'vm', 'disk'), 'the last line is the disk');
  t.same(
    lines.slice(0, -1).map((line) => line.split(' ')[0]),
    ['lock', 'fetch', 'inspect', 'convert', 'verify', 'overlay'],
  );
  for (const line of lines.slice(0, -1)) t.match(line, /^[a-z]+ +\d+\.\d{3} s/);

  const again = await basecow(
    'provision',
    ...words,
    '--instance',
    'vm',
    '--output',
    'json',
    '--sha512',
    '0'.repeat(128),
  );
  t.equal(again.status, 0);
  t.match(JSON.parse(again.stdout), {
    disk: join(cache.instances, 'vm', 'disk'),
    format: 'qcow2',
    'virtual-size': GiB,
    existed: true,
    cached: true,
    unverified: ['sha512'],
  });
  t.match(again.stderr, /^basecow: warning: .*sha512: not verified$/m);

  const large = await basecow('provision', ...words, '--instance', 'vm2', '--size', '1M');
  t.equal(large.status, 1);
  t.match(large.stderr, /^basecow: .*25165824 bytes.*1048576/);
  t.equal(large.stdout.split('\n').filter((line) => line.startsWith('/')).length, 0);
  for (const missing of ['--image-id', '--source', '--size', '--instances', '--instance']) {
    const all = [...words, '--instance', 'vm2'];
    const without = all.filter((_, i) => all[i] !== missing && all[i - 1] !== missing);
    const ran = await basecow('provision', ...without);
    t.equal(ran.status, 1);
    t.match(ran.stderr, missing);
  }
  const bad = await basecow('provision', ...words, '--instance', 'vm2', '--resize', 'disk');
  t.equal(bad.status, 1);
  t.match(bad.stderr, '--resize must be used with base or overlay');

  const list = await basecow('cache', 'list', ...folder);
  t.equal(list.status, 0);
  t.match(list.stdout, new RegExp(`^image +${KEY} +base +24 MiB .* 1$`, 'm'));
  const json = await basecow('cache', 'list', ...folder, '--output', 'json');
  t.match(JSON.parse(json.stdout), { images: [{ imageId: 'image', key: KEY }] });

  t.equal((await basecow('cache', 'verify', ...folder)).status, 0);
  const kept = await basecow('cache', 'remove', ...folder, '--image-id', 'image');
  t.equal(kept.status, 1);
  t.match(kept.stderr, join(cache.instances, 'vm', 'disk'));
  t.equal((await basecow('cache', 'remove', ...folder, '--unused', '--older-than', '1d')).status, 0);
  const base = join(cache.instances, '_base', KEY);
  const fd = fs.openSync(base, 'r+');
  fs.writeSync(fd, Buffer.of(0xff), 0, 1, 600);
  fs.closeSync(fd);
  const verified = await basecow('cache', 'verify', ...folder, '--output', 'json');
  t.equal(verified.status, 1);
  t.match(JSON.parse(verified.stdout), [{ path: base, status: 'bad', problems: [/differs/] }]);
  fs.rmSync(join(cache.instances, 'vm'), { recursive: true });
  const removed = await basecow('cache', 'remove', ...folder, '--unused');
  t.match(removed.stdout, `${base}: removed`);
  t.same(bases(cache), []);
  for (const wrong of [
    [],
    ['purge'],
    ['list', '--unused'],
    ['remove'],
    ['remove', '--unused', '--older-than', '1y'],
  ]) {
    const ran = await basecow('cache', ...wrong, ...folder);
    t.equal(ran.status, 1, wrong.join(' '));
    t.not(ran.stderr, '');
  }
});
