// Every way convert makes a qcow2 or raw image, judged by qemu-img check and compare.
import * as fs from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { DiskImageError } from '#src/disk/errors.js';
import { convert } from '#src/operations/convert.js';
import { randomRaw } from '../../support/images.js';
import { canMount, loopDevice, mountFresh } from '../../support/mount.js';
import { Random } from '../../support/random.js';
import { qemuImg, qemuIo, run } from '../../support/tools.js';

const MiB = 2 ** 20;
const SIZE = 9 * MiB + 3 * 512;

/** Compressible, incompressible, zero and unaligned data, with holes. */
function source(dir: string, seed: number, size = SIZE): string {
  const random = new Random(seed);
  const path = randomRaw(join(dir, 'source.raw'), random, size);
  const fd = fs.openSync(path, 'r+');
  const noise = random.bytes(MiB);
  fs.writeSync(fd, noise, 0, noise.length, 5 * 512 + 4096 * random.integer(0, (size - 2 * MiB) / 4096));
  fs.writeSync(
    fd,
    Buffer.alloc(300_000, 'text that packs well. '),
    0,
    300_000,
    512 * random.integer(0, size / 512 - 600),
  );
  fs.closeSync(fd);
  return path;
}

function sound(t: Test, from: string, image: string, what: string, format = 'qcow2'): void {
  if (format === 'qcow2') qemuImg('check', '-q', '-f', 'qcow2', image);
  t.match(qemuImg('compare', '-f', 'raw', '-F', format, from, image), 'identical', what);
}

t.test('all cluster sizes, refcount widths, plain and compressed', async (t) => {
  const dir = t.testdir();
  const from = source(dir, 1);
  const image = join(dir, 'image.qcow2');
  const widths = [1, 2, 4, 8, 16, 32, 64];
  for (let bits = 9; bits <= 21; bits++) {
    for (const compress of [false, true]) {
      const options = {
        cluster_size: String(2 ** bits),
        refcount_bits: String(widths[(bits * 2 + Number(compress)) % widths.length]),
      };
      await convert({
        sources: [{ path: from, format: 'raw' }],
        target: { path: image, format: 'qcow2', options },
        compress,
        targetCache: 'unsafe',
      });
      sound(t, from, image, `${JSON.stringify(options)} ${compress}`);
    }
  }
});

t.test('options', async (t) => {
  const dir = t.testdir();
  const from = source(dir, 2);
  const image = join(dir, 'image.qcow2');
  const data = join(dir, 'data');
  const sets: [Record<string, string>, { compress?: boolean; sparseSize?: number }?][] = [
    [{ compat: '0.10' }],
    [{ compat: '0.10', cluster_size: '512' }, { compress: true }],
    [{ lazy_refcounts: 'on' }],
    [{ compression_type: 'zstd', cluster_size: '2M' }, { compress: true }],
    [{ compression_type: 'zstd', cluster_size: '512', refcount_bits: '1' }, { compress: true }],
    [{ extended_l2: 'on', cluster_size: '16k' }],
    [{ extended_l2: 'on', cluster_size: '32k' }, { compress: true }],
    [{ preallocation: 'metadata' }],
    [{ preallocation: 'metadata', cluster_size: '512' }],
    [{ preallocation: 'falloc', extended_l2: 'on' }],
    [{ preallocation: 'full', cluster_size: '4k' }],
    [{ data_file: data }],
    [{ data_file: data, data_file_raw: 'on' }],
    [{ data_file: data, extended_l2: 'on', cluster_size: '16k' }],
    [{ data_file: data, preallocation: 'falloc' }],
    [{}, { sparseSize: 0 }],
    [{ data_file: data }, { sparseSize: 0 }],
    [{ cluster_size: '1k' }, { sparseSize: MiB }],
  ];
  for (const [options, more] of sets) {
    await convert({
      sources: [{ path: from, format: 'raw' }],
      target: { path: image, format: 'qcow2', options },
      ...more,
      targetCache: 'unsafe',
    });
    const what = JSON.stringify([options, more]);
    sound(t, from, image, what);
    if (options.data_file_raw) sound(t, from, data, `${what}: data file`, 'raw');
    if (more?.sparseSize === 0) t.match(qemuImg('check', image), '100.00% allocated', what);
  }
});

t.test('large sparse disks cost what is in them', async (t) => {
  const dir = t.testdir();
  const from = join(dir, 'source.qcow2');
  const image = join(dir, 'image.qcow2');
  const size = 16 * 2 ** 40;
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', from, String(size));
  qemuIo(
    from,
    'qcow2',
    'write -P 1 0 64k',
    `write -P 2 ${7 * 2 ** 40 + 512} 1M`,
    `write -P 3 ${size - 4096} 4096`,
  );
  const sets: Record<string, string>[] = [
    {},
    { cluster_size: '2M' },
    { cluster_size: '64k', extended_l2: 'on' },
  ];
  for (const options of sets) {
    await convert({
      sources: [{ path: from, format: 'qcow2' }],
      target: { path: image, format: 'qcow2', options },
      targetCache: 'unsafe',
    });
    qemuImg('check', image);
    t.match(qemuImg('compare', '-f', 'qcow2', '-F', 'qcow2', from, image), 'identical');
    t.ok(fs.statSync(image).size < 64 * MiB);
  }
});

t.test('the refcount table and blocks at their places, whatever the thread count', async (t) => {
  const dir = t.testdir();
  const from = source(dir, 3, 40 * MiB);
  const [one, many] = [join(dir, 'one.qcow2'), join(dir, 'many.qcow2')];
  for (const compress of [false, true]) {
    for (const [path, threads] of [
      [one, 1],
      [many, 8],
    ] as const) {
      await convert(
        {
          sources: [{ path: from, format: 'raw' }],
          target: { path, format: 'qcow2', options: { cluster_size: '512', refcount_bits: '64' } },
          compress,
          targetCache: 'unsafe',
        },
        { threads },
      );
    }
    sound(t, from, one, `compress ${compress}`);
    t.ok(fs.readFileSync(one).equals(fs.readFileSync(many)), `compress ${compress}: same bytes`);
  }
});

t.test('overlays as targets hold what the source’s layer holds, zeros included', async (t) => {
  const dir = t.testdir();
  const base = join(dir, 'base.raw');
  const from = join(dir, 'source.qcow2');
  const flat = join(dir, 'flat.raw');
  const image = join(dir, 'image.qcow2');
  fs.writeFileSync(base, new Random(5).bytes(3 * MiB));
  qemuImg('create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', from, '5M');
  qemuIo(
    from,
    'qcow2',
    'write -P 1 100k 50k',
    'write -z 512k 256k',
    'write -P 0 1M 64k',
    'write -z 3M 1M',
    'write -P 4 4500k 3k',
  );
  qemuImg('convert', '-O', 'raw', from, flat);
  const sets: [Record<string, string>, boolean?][] = [
    [{}],
    [{}, true],
    [{ cluster_size: '4k' }],
    [{ compat: '0.10' }],
    [{ compat: '0.10' }, true],
    [{ extended_l2: 'on' }],
    [{ extended_l2: 'on', preallocation: 'metadata' }],
    [{ data_file: join(dir, 'data') }],
  ];
  for (const [options, compress] of sets) {
    await convert({
      sources: [{ path: from, format: 'qcow2' }],
      target: { path: image, format: 'qcow2', options, backing: { path: base, format: 'raw' } },
      compress,
      targetCache: 'unsafe',
    });
    const what = JSON.stringify([options, compress]);
    sound(t, flat, image, what);
    const depths = new Set(
      JSON.parse(qemuImg('map', '--output=json', image)).map((row: { depth: number }) => row.depth),
    );
    t.ok(depths.has(1), `${what}: the base still shows`);
  }
});

t.test('into existing images (-n)', async (t) => {
  const dir = t.testdir();
  const from = source(dir, 6);
  const image = join(dir, 'image');
  const sets: [string, string[], number?][] = [
    ['raw', []],
    ['raw', [], 0],
    ['qcow2', []],
    ['qcow2', ['-o', 'cluster_size=512'], 0],
    ['qcow2', ['-o', 'extended_l2=on']],
    ['qcow2', ['-o', `data_file=${join(dir, 'data')}`]],
    ['qcow2', ['-o', `data_file=${join(dir, 'data')},data_file_raw=on`]],
  ];
  for (const [format, args, sparseSize] of sets) {
    const what = `${format} ${args.join(' ')} ${sparseSize}`;
    qemuImg('create', '-q', '-f', format, ...args, image, String(SIZE));
    qemuIo(image, format, 'write -P 99 0 5M');
    await convert({
      sources: [{ path: from, format: 'raw' }],
      target: { path: image, format },
      noCreate: true,
      sparseSize,
      targetCache: 'unsafe',
    });
    sound(t, from, image, what, format);
  }
});

t.test('an existing image that is too small is not touched', async (t) => {
  const dir = t.testdir();
  const from = source(dir, 7);
  for (const format of ['raw', 'qcow2']) {
    const image = join(dir, `small.${format}`);
    qemuImg('create', '-q', '-f', format, image, '9M');
    const before = fs.readFileSync(image);
    const wrong = convert({
      sources: [{ path: from, format: 'raw' }],
      target: { path: image, format },
      noCreate: true,
    });
    await t.rejects(wrong, { code: 'TARGET_TOO_SMALL', message: /output file is smaller than input file/ });
    t.ok(fs.readFileSync(image).equals(before));
  }
});

t.test('what cannot be compressed is refused, and no file appears', async (t) => {
  const dir = t.testdir();
  const from = source(dir, 8);
  const wrong: [string, Record<string, string>, RegExp][] = [
    ['raw', {}, /Compression not supported for this file format/],
    ['qcow2', { preallocation: 'metadata' }, /Compression and preallocation not supported at the same time/],
    ['qcow2', { data_file: join(dir, 'data') }, /external data file \('.*data'\)/],
  ];
  for (const [format, options, message] of wrong) {
    const target = { path: join(dir, 'target'), format, options };
    const failing = convert({ sources: [{ path: from, format: 'raw' }], target, compress: true });
    await t.rejects(failing, { message });
    t.same(fs.readdirSync(dir), ['source.raw']);
  }
});

t.test('a full filesystem: ENOSPC, and nothing is left', async (t) => {
  t.ok(canMount(), 'this test mounts a small filesystem and needs root');
  const small = mountFresh(t, 'tmpfs', 2 * MiB);
  const dir = t.testdir();
  const from = join(dir, 'source.raw');
  fs.writeFileSync(from, new Random(9).bytes(6 * MiB));
  const kept = join(small, 'kept');
  fs.writeFileSync(kept, 'as it was');
  const targets: [string, Record<string, string>, boolean][] = [
    ['raw', {}, false],
    ['raw', { preallocation: 'full' }, false],
    ['qcow2', {}, false],
    ['qcow2', {}, true],
    ['qcow2', { cluster_size: '512' }, false],
    ['qcow2', { preallocation: 'falloc' }, false],
    ['qcow2', { data_file: join(small, 'data') }, false],
  ];
  for (const [format, options, compress] of targets) {
    for (const path of [join(small, 'new'), kept]) {
      const error: DiskImageError | undefined = await convert({
        sources: [{ path: from, format: 'raw' }],
        target: { path, format, options },
        compress,
      }).then(
        () => undefined,
        (error) => error,
      );
      t.match(error, { code: 'IO', errno: 'ENOSPC' }, `${format} ${JSON.stringify(options)} ${compress}`);
      t.same(fs.readdirSync(small), ['kept']);
      t.equal(fs.readFileSync(kept, 'utf8'), 'as it was');
    }
  }
});

t.test('block devices', async (t) => {
  t.ok(canMount(), 'this test needs root and loop devices');
  const dir = t.testdir();
  const from = source(dir, 10);
  const device = loopDevice(t, 12 * MiB);
  const dirty = () => run('dd', ['if=/dev/urandom', `of=${device}`, 'bs=1M', 'count=12', 'status=none']);
  const sets: [string, Record<string, string>][] = [
    ['raw', {}],
    ['qcow2', {}],
    ['qcow2', { preallocation: 'metadata' }],
  ];
  for (const [format, options] of sets) {
    dirty();
    await convert({ sources: [{ path: from, format: 'raw' }], target: { path: device, format, options } });
    if (format === 'qcow2') sound(t, from, device, `${format} ${JSON.stringify(options)}`);
    else {
      // The device is larger than the disk: only the disk's bytes are the target's.
      run('cmp', ['-n', String(SIZE), from, device]);
    }
  }
  fs.truncateSync(from, 13 * MiB);
  const wrong = convert({
    sources: [{ path: from, format: 'raw' }],
    target: { path: device, format: 'raw' },
  });
  await t.rejects(wrong, { code: 'TARGET_TOO_SMALL', message: /12582912/ });
});
