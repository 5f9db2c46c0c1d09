// What JavaScript callers get wrong is told by name, as INVALID_ARGUMENT, and nothing on disk changes.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import * as basecow from 'basecow';
import t, { type Test } from 'tap';
import { failsWith } from '../support/settled.js';

// biome-ignore lint/suspicious/noExplicitAny: the compiler must not see these calls.
const untyped = basecow as any;
const MiB = 2 ** 20;

interface Scene {
  dir: string;
  raw: string;
  image: string;
  fresh: string;
}

function scene(t: { testdir(): string }): Scene {
  const dir = t.testdir();
  const raw = join(dir, 'a.raw');
  const image = join(dir, 'a.qcow2');
  fs.writeFileSync(raw, Buffer.alloc(MiB, 1));
  return { dir, raw, image, fresh: join(dir, 'new') };
}

const contents = (dir: string): string[] =>
  fs.readdirSync(dir).map((name) => {
    const { size, mtimeMs, ino } = fs.statSync(join(dir, name));
    return `${name} ${size} ${mtimeMs} ${ino}`;
  });

type Call = [what: string, run: (scene: Scene) => unknown, says: RegExp];

const calls: Call[] = [
  [
    'openDisk without options',
    ({ raw }) => untyped.openDisk(raw),
    /options must be an object, not undefined/,
  ],
  [
    'openDisk without format',
    ({ raw }) => untyped.openDisk(raw, {}),
    /format must be a string, not undefined/,
  ],
  [
    'openDisk without path',
    () => untyped.openDisk(undefined, { format: 'raw' }),
    /path must be a string, not un/,
  ],
  ['a URL', ({ raw }) => untyped.openDisk(new URL(`file://${raw}`), { format: 'raw' }), /not \[URL\]/],
  ['a zero byte', () => untyped.openDisk('a\0b', { format: 'raw' }), /null bytes/],
  ['a gate', ({ image }) => untyped.openDisk(image, { format: 'qcow2', gate: 'Deny' }), /"Deny" is no gate/],
  [
    'limits',
    ({ image }) => untyped.openDisk(image, { format: 'qcow2', limits: { l1Bytes: NaN } }),
    /l1Bytes = NaN/,
  ],
  [
    'a limit',
    ({ image }) => untyped.openDisk(image, { format: 'qcow2', limits: { l1: 1 } }),
    /limits\.l1 = 1 is no/,
  ],
  [
    'snapshot',
    ({ image }) => untyped.openDisk(image, { format: 'qcow2', snapshot: 's' }),
    /snapshot must.*not 's'/,
  ],
  ['probeFormat', () => untyped.probeFormat(7), /path must be a string, not 7/],
  ['createImage without options', ({ fresh }) => untyped.createImage(fresh), /must be an object/],
  ['createImage without path', () => untyped.createImage(null, { format: 'raw', size: 1 }), /not null/],
  ...[NaN, -1, 1.5, '1G', null, Infinity].map(
    (size): Call => [
      `createImage of ${size}`,
      ({ fresh }) => untyped.createImage(fresh, { format: 'qcow2', size }),
      new RegExp(`of ${size} bytes is not a whole number`),
    ],
  ),
  [
    'createImage, backing file',
    ({ fresh }) => untyped.createImage(fresh, { format: 'qcow2', backingFile: 3, backingFormat: 'raw' }),
    /backingFile must be a string, not 3/,
  ],
  [
    'createOverlays of one',
    ({ fresh }) => untyped.createOverlays({ path: fresh }),
    /must be an array, not \[Object\]/,
  ],
  ['createOverlays of null', () => untyped.createOverlays([null]), /an overlay must be an object, not null/],
  ['createOverlays, path', () => untyped.createOverlays([{}]), /path must be a string/],
  [
    'createOverlays, base',
    ({ fresh }) => untyped.createOverlays([{ path: fresh }]),
    /backingFile must be a string/,
  ],
  ['hash of a path', ({ raw }) => untyped.hash(raw), /request must be an object/],
  ['hash of nothing', () => untyped.hash({}), /path must be a string/],
  ['hash, algorithms', ({ raw }) => untyped.hash({ path: raw, algorithms: 'md5' }), /an array, not 'md5'/],
  [
    'hash, cache',
    ({ raw }) => untyped.hash({ path: raw, cache: 'off' }),
    /cache must be one of .* not 'off'/,
  ],
  ['threads', ({ raw }) => untyped.hash({ path: raw }, { threads: 17 }), /from 1 to 16, not 17/],
  ['signal', ({ raw }) => untyped.hash({ path: raw }, { signal: {} }), /signal must be an AbortSignal/],
  [
    'onProgress',
    ({ raw }) => untyped.hash({ path: raw }, { onProgress: 1 }),
    /onProgress must be a function/,
  ],
  ['control', ({ raw }) => untyped.hash({ path: raw }, { control: {} }), /control must be a JobControl/],
  ['convert of nothing', () => untyped.convert(), /request must be an object/],
  ['convert without sources', () => untyped.convert({}), /sources must be an array/],
  [
    'convert, target',
    ({ raw }) => untyped.convert({ sources: [{ path: raw, format: 'raw' }] }),
    /target must be/,
  ],
  ...['sourceCache', 'targetCache'].map(
    (name): Call => [
      `convert, ${name}`,
      ({ raw, fresh }) =>
        untyped.convert({
          sources: [{ path: raw, format: 'raw' }],
          target: { path: fresh, format: 'raw' },
          [name]: 'writethru',
        }),
      new RegExp(`${name} must be one of .* not 'writethru'`),
    ],
  ),
  [
    'convert, level',
    ({ raw, fresh }) =>
      untyped.convert({
        sources: [{ path: raw, format: 'raw' }],
        target: { path: fresh, format: 'qcow2' },
        compress: true,
        compressionLevel: 99,
      }),
    /level 99 is not one of zlib's: 1 to 9/,
  ],
  [
    'compare',
    ({ raw }) => untyped.compare({ first: { path: raw, format: 'raw' } }),
    /an image to read must be/,
  ],
  ['copyImage', () => untyped.copyImage({}), /source must be a string/],
  [
    'copyImage, zeros',
    ({ raw, fresh }) => untyped.copyImage({ source: raw, target: fresh, sparseSize: 3 }),
    /512/,
  ],
  ['info', () => untyped.info(), /request must be an object/],
  ['infoChain', () => untyped.infoChain(), /request must be an object/],
  ['check', () => untyped.check(), /request must be an object/],
  ['mapAll', ({ raw }) => untyped.mapAll({ path: raw, format: 'raw', start: -1 }), /not -1/],
  ['measure', () => untyped.measure(), /request must be an object/],
  ['resizeImage', ({ raw }) => untyped.resizeImage(raw), /must be an object/],
  [
    'resizeImage, preallocation',
    ({ raw }) => untyped.resizeImage(raw, { format: 'raw', size: 2 * MiB, preallocation: 'some' }),
    /preallocation must be one of .* not 'some'/,
  ],
  ['inspectFile', () => untyped.inspectFile(), /path must be a string/],
  ['inspectFile, limit', ({ raw }) => untyped.inspectFile(raw, { maxVirtualSize: NaN }), /not NaN/],
];

t.test('wrong arguments', async (t) => {
  const made = scene(t);
  await basecow.createImage(made.image, { format: 'qcow2', size: MiB });
  const before = contents(made.dir);
  for (const [what, run, says] of calls) {
    await t.test(what, (t) => failsWith(t, Promise.resolve(run(made)), 'INVALID_ARGUMENT', says));
  }
  t.strictSame(contents(made.dir), before);
});

t.test('ranges of a disk, and a disk that is closed', async (t) => {
  const { image } = scene(t);
  await basecow.createImage(image, { format: 'qcow2', size: MiB });
  const disk = await basecow.openDisk(image, { format: 'qcow2', gate: 'deny' });
  t.teardown(() => disk.close());
  const drain = async (rows: AsyncIterable<unknown>): Promise<void> => {
    for await (const _ of rows);
  };
  for (const [start, end] of [
    [-1, 512],
    [0, MiB + 1],
    [5, 4],
    [Number.NaN, 512],
    [0, 1.5],
  ]) {
    const says = `Bytes ${start} to ${end} lie outside the disk of ${MiB} bytes`;
    await failsWith(t, drain(basecow.extents(disk, start, end)), 'INVALID_ARGUMENT', says);
    t.throws(() => basecow.createReadStream(disk, { start, end }), {
      code: 'INVALID_ARGUMENT',
      message: says,
    });
  }
  for (const chunkSize of [0, -1, Number.NaN, 2 ** 31]) {
    t.throws(() => basecow.createReadStream(disk, { chunkSize }), {
      code: 'INVALID_ARGUMENT',
      message: new RegExp(`not ${chunkSize}`),
    });
  }
  await disk.close();
  await disk.close();
  for (const use of [
    () => basecow.readDisk(disk, 0, 512),
    () => drain(basecow.extents(disk)),
    () => disk.info(),
  ]) {
    await failsWith(t, use(), 'INVALID_ARGUMENT', `'${image}' is closed`);
  }
});

t.test('a chunk that is not there', async (t) => {
  const { raw } = scene(t);
  const { chunks } = await basecow.hash({ path: raw, chunkSize: MiB / 4 });
  if (!chunks) throw new Error('no chunks');
  t.match(basecow.chunkDigest(chunks, 3), /^[0-9a-f]{32}$/);
  for (const index of [-1, 4, 0.5]) {
    t.throws(() => basecow.chunkDigest(chunks, index), {
      code: 'INVALID_ARGUMENT',
      message: new RegExp(`no chunk ${index} among 4`),
    });
  }
});

/** A FIFO whose writer writes nothing: a job that reads it lasts until it is cancelled. */
function silentFifo(t: Test, dir: string): string {
  const path = join(dir, 'fifo');
  execFileSync('mkfifo', [path]);
  const writer = fs.openSync(path, fs.constants.O_RDWR);
  t.teardown(() => fs.closeSync(writer));
  return path;
}

t.test('a listener that throws cancels its job and nothing else', async (t) => {
  const { dir, raw, fresh } = scene(t);
  const fifo = silentFifo(t, dir);
  const thrown = new Error('mine');
  const onProgress = (): void => {
    throw thrown;
  };
  const says = 'hash was cancelled, because its onProgress threw: mine';
  const here = await failsWith(t, basecow.hash({ path: fifo }, { onProgress }), 'CANCELLED', says);
  t.equal(here.cause, thrown);
  const pool = new basecow.Pool({ jobs: 1 });
  t.teardown(() => pool.destroy());
  const there = await failsWith(t, pool.hash({ path: fifo }, { onProgress }), 'CANCELLED', says);
  t.equal(there.cause, thrown);
  t.match(await pool.hash({ path: raw }), { size: MiB });

  const late = await failsWith(
    t,
    basecow.copyImage({ source: raw, target: fresh }, { onProgress }),
    'INVALID_ARGUMENT',
    'copy is complete, but its onProgress threw: mine',
  );
  t.equal(late.cause, thrown);
  t.ok(fs.readFileSync(fresh).equals(fs.readFileSync(raw)));
});

t.test('a job that waits is called off through its control', async (t) => {
  const { dir, raw } = scene(t);
  const fifo = silentFifo(t, dir);
  const pool = new basecow.Pool({ jobs: 1 });
  t.teardown(() => pool.destroy());
  const endless = new AbortController();
  const first = pool.hash({ path: fifo }, { signal: endless.signal });
  const control = new basecow.JobControl();
  const waiting = pool.hash({ path: raw }, { control });
  control.cancel();
  await failsWith(t, waiting, 'CANCELLED', 'hash was cancelled');
  t.equal(pool.size, 1);
  endless.abort();
  await failsWith(t, first, 'CANCELLED', 'hash was cancelled');
  await failsWith(t, pool.run('none', {}), 'INVALID_ARGUMENT', "no operation 'none'");
  await failsWith(t, pool.hash({ path: raw }, { priority: Number.NaN }), 'INVALID_ARGUMENT', 'not NaN');
  t.throws(() => new basecow.Pool({ idleTimeout: -1 }), { code: 'INVALID_ARGUMENT', message: /not -1/ });
});

t.test('an image cache', async (t) => {
  const { dir, raw } = scene(t);
  const instances = join(dir, 'instances');
  const cache = new basecow.ImageCache({ instances });
  // biome-ignore lint/suspicious/noExplicitAny: the compiler must not see these calls.
  const loose = cache as any;
  for (const [options, says] of [
    [undefined, /object/],
    [{}, /instances must be a string/],
    [{ instances, lockTimeout: NaN }, /not NaN/],
  ] as const) {
    t.throws(() => new untyped.ImageCache(options), { code: 'INVALID_ARGUMENT', message: says });
  }
  const wrong: [request: unknown, says: RegExp][] = [
    [undefined, /request must be an object/],
    [{}, /imageId must be a string/],
    [{ imageId: 'x', source: 7 }, /source must be a string, not 7/],
    [{ imageId: 'x', source: raw, size: -1 }, /size must be .* not -1/],
    [{ imageId: 'x', source: raw, digests: { sha1: '0'.repeat(40) } }, /md5, sha256, sha512, not 'sha1'/],
  ];
  for (const [request, says] of wrong) {
    await failsWith(t, loose.ensureBase(request), 'INVALID_ARGUMENT', says);
  }
  await failsWith(
    t,
    loose.provision({ imageId: 'x', source: raw }),
    'INVALID_ARGUMENT',
    /instance must be a string/,
  );
  await failsWith(t, loose.ensureResized({ imageId: 'x', source: raw }), 'INVALID_ARGUMENT', /size must be/);
  await failsWith(t, loose.remove(), 'INVALID_ARGUMENT', /must be an object/);
  t.notOk(fs.existsSync(join(instances, '_base')), 'nothing was fetched');

  const states = ['lock start', 'lock done', 'fetch start', 'fetch done', 'convert done'];
  for (const when of states) {
    const thrown = new Error('mine');
    const onEvent = ({ step, state }: basecow.StepEvent): void => {
      if (`${step} ${state}` === when) throw thrown;
    };
    const says = 'provision was cancelled, because its onEvent threw: mine';
    const run = cache.ensureBase({ imageId: 'x', source: raw }, { onEvent });
    t.equal((await failsWith(t, run, 'CANCELLED', says)).cause, thrown, when);
  }
  const onEvent = ({ step, state }: basecow.StepEvent): void => {
    if (step === 'verify' && state === 'done') throw new Error('late');
  };
  const run = cache.ensureBase({ imageId: 'x', source: raw }, { onEvent });
  await failsWith(t, run, 'INVALID_ARGUMENT', 'provision is complete, but its onEvent threw: late');
  // The lock was given back each time.
  const patient = new basecow.ImageCache({ instances, lockTimeout: 0 });
  t.match(await patient.ensureBase({ imageId: 'x' }), { cached: true, virtualSize: MiB });
});
