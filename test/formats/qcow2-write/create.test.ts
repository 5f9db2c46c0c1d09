// New images against qemu-img's own: byte for byte where the layout is the same, else sound and equal in every
// property qemu-img can tell.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { likeQemu } from '#src/disk/gates.js';
import { createImage } from '#src/operations/create.js';
import { qemuImg, run, tryRun } from '../../support/tools.js';

const MiB = 2 ** 20;
const CLUSTERS = Array.from({ length: 13 }, (_, i) => 512 * 2 ** i);

/** Makes the image twice, here and with qemu-img, in two folders of the same names. */
async function both(
  t: Test,
  options: Record<string, string>,
  size: number | undefined,
  backing?: { name: string; format: string; bytes: number },
): Promise<{ ours: string; theirs: string }> {
  const dir = t.testdir({ ours: {}, theirs: {} });
  const ours = join(dir, 'ours');
  const theirs = join(dir, 'theirs');
  if (backing) {
    for (const folder of [ours, theirs]) {
      run('qemu-img', ['create', '-q', '-f', backing.format, backing.name, String(backing.bytes)], {
        cwd: folder,
      });
    }
  }
  const text = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  const args = ['create', '-q', '-f', 'qcow2', ...(text.length ? ['-o', text.join(',')] : [])];
  if (backing) args.push('-b', backing.name, '-F', backing.format);
  run('qemu-img', [...args, 'image.qcow2', ...(size === undefined ? [] : [String(size)])], { cwd: theirs });
  await createImage(join(ours, 'image.qcow2'), {
    format: 'qcow2',
    size,
    options,
    backingFile: backing?.name,
    backingFormat: backing?.format,
    sync: false,
  });
  return { ours: join(ours, 'image.qcow2'), theirs: join(theirs, 'image.qcow2') };
}

/** What qemu-img says of an image, without its name and the space it takes. */
function told(image: string): unknown {
  const {
    filename,
    'actual-size': _size,
    'full-backing-filename': _full,
    ...rest
  } = JSON.parse(qemuImg('info', '--output=json', image));
  return rest;
}

function sameBytes(t: Test, { ours, theirs }: { ours: string; theirs: string }, what: string): void {
  t.equal(statSync(ours).size, statSync(theirs).size, `${what}: length`);
  t.ok(readFileSync(ours).equals(readFileSync(theirs)), `${what}: bytes`);
}

/** Whether header, tables and L1 fit one refcount block, as in QEMU's layout without further blocks. */
function fitsOneBlock(clusterSize: number, bits: number, size: number, entry = 8): boolean {
  const l1Entries = Math.ceil(size / ((clusterSize / entry) * clusterSize));
  return 3 + Math.ceil((l1Entries * 8) / clusterSize) <= (clusterSize * 8) / bits;
}

t.test('every cluster size and refcount width is byte for byte qemu-img’s', async (t) => {
  for (const clusterSize of CLUSTERS) {
    for (const bits of [1, 2, 4, 8, 16, 32, 64]) {
      const size = Math.min(10 * MiB, (clusterSize / 8) * clusterSize * 40);
      if (!fitsOneBlock(clusterSize, bits, size)) continue;
      const pair = await both(t, { cluster_size: String(clusterSize), refcount_bits: String(bits) }, size);
      sameBytes(t, pair, `cluster_size=${clusterSize},refcount_bits=${bits}`);
    }
  }
});

t.test('options and sizes are byte for byte qemu-img’s', async (t) => {
  const sizes = [0, 1, 512, 1000, 65536, 10 * MiB, 2 ** 30 + 512, 64 * 2 ** 40];
  const sets: Record<string, string>[] = [
    {},
    { compat: '0.10' },
    { compat: 'v2', cluster_size: '4k' },
    { compat: '1.1', lazy_refcounts: 'on' },
    { compression_type: 'zstd' },
    { extended_l2: 'on' },
    { extended_l2: 'on', cluster_size: '16k', refcount_bits: '1' },
    { extended_l2: 'yes', cluster_size: '2M', compression_type: 'zstd', lazy_refcounts: 'true' },
    { cluster_size: '2M', nocow: 'off' },
  ];
  for (const options of sets) {
    for (const size of sizes) {
      const cluster = { '4k': 4096, '16k': 16384, '2M': 2 * MiB }[options.cluster_size ?? ''] ?? 65536;
      if (!fitsOneBlock(cluster, Number(options.refcount_bits ?? 16), size, options.extended_l2 ? 16 : 8))
        continue;
      sameBytes(t, await both(t, options, size), `${JSON.stringify(options)} ${size}`);
    }
  }
});

t.test('overlays are byte for byte qemu-img’s', async (t) => {
  const raw = { name: 'base.raw', format: 'raw', bytes: 5 * MiB };
  const qcow2 = { name: 'base.qcow2', format: 'qcow2', bytes: 7 * MiB + 512 };
  for (const backing of [raw, qcow2]) {
    for (const size of [undefined, MiB, 100 * MiB]) {
      const sets: Record<string, string>[] = [
        {},
        { compat: '0.10' },
        { cluster_size: '2M' },
        { extended_l2: 'on' },
        { cluster_size: '1k' },
      ];
      for (const options of sets) {
        const what = `${backing.format} ${size} ${JSON.stringify(options)}`;
        sameBytes(t, await both(t, options, size, backing), what);
      }
    }
  }
});

t.test('a backing name that the first cluster cannot hold', async (t) => {
  const dir = t.testdir();
  const name = 'b'.repeat(400);
  const wrong = createImage(join(dir, 'wrong.qcow2'), {
    format: 'qcow2',
    clusterSize: 512,
    size: MiB,
    backingFile: name,
    backingFormat: 'raw',
    unsafe: true,
  });
  await t.rejects(wrong, {
    code: 'INVALID_ARGUMENT',
    message: `Could not assign backing file '${name}' with format 'raw': No space left on device`,
  });
  t.notOk(statSync(join(dir, 'wrong.qcow2'), { throwIfNoEntry: false }));
});

t.test('tables that need many refcount blocks are sound', async (t) => {
  const cases: [Record<string, string>, number][] = [
    [{ cluster_size: '512' }, 2 ** 30],
    [{ cluster_size: '512', refcount_bits: '64' }, 8 * 2 ** 30],
    [{ cluster_size: '1k', refcount_bits: '1' }, 256 * 2 ** 30],
    [{ cluster_size: '4k', refcount_bits: '64' }, 4 * 2 ** 40],
  ];
  for (const [options, size] of cases) {
    const { ours, theirs } = await both(t, options, size);
    qemuImg('check', ours);
    t.same(told(ours), told(theirs), `${JSON.stringify(options)} ${size}`);
  }
});

t.test('preallocation', async (t) => {
  const sets: Record<string, string>[] = [
    { preallocation: 'metadata' },
    { preallocation: 'metadata', cluster_size: '512' },
    { preallocation: 'metadata', cluster_size: '4k', refcount_bits: '64' },
    { preallocation: 'metadata', extended_l2: 'on' },
    { preallocation: 'metadata', compat: '0.10' },
    { preallocation: 'falloc' },
    { preallocation: 'falloc', extended_l2: 'on', cluster_size: '16k' },
    { preallocation: 'full', cluster_size: '2M' },
  ];
  for (const options of sets) {
    for (const size of [0, 1000, 9 * MiB + 512]) {
      const what = `${JSON.stringify(options)} ${size}`;
      const pair = await both(t, options, size);
      qemuImg('check', pair.ours);
      t.same(told(pair.ours), told(pair.theirs), what);
      t.match(qemuImg('compare', pair.ours, pair.theirs), 'identical', what);
      if (options.preallocation !== 'metadata' && size > MiB) {
        t.ok(statSync(pair.ours).blocks * 512 >= size, `${what}: space is taken`);
      }
    }
  }
  sameBytes(t, await both(t, { preallocation: 'metadata' }, 10 * MiB), 'one L2 table');
  t.equal(statSync((await both(t, { preallocation: 'metadata' }, 10 * MiB)).ours).size, 10813440);
  const overlay = await both(t, { preallocation: 'metadata', extended_l2: 'on' }, undefined, {
    name: 'base.raw',
    format: 'raw',
    bytes: 5 * MiB,
  });
  sameBytes(t, overlay, 'overlay with subclusters');
});

t.test('external data files', async (t) => {
  const sets: Record<string, string>[] = [
    { data_file: 'data.raw' },
    { data_file: 'data.raw', data_file_raw: 'on' },
    { data_file: 'data.raw', preallocation: 'metadata' },
    {
      data_file: 'data.raw',
      data_file_raw: 'on',
      extended_l2: 'on',
      compression_type: 'zstd',
      lazy_refcounts: 'on',
    },
  ];
  for (const options of sets) {
    for (const size of [0, 100000, 5 * MiB]) {
      const pair = await both(t, options, size);
      sameBytes(t, pair, `${JSON.stringify(options)} ${size}`);
      const [ours, theirs] = [pair.ours, pair.theirs].map(
        (image) => statSync(join(image, '../data.raw')).size,
      );
      t.equal(ours, theirs, 'length of the data file');
    }
  }
});

t.test('qemu-img’s complaints', async (t) => {
  const dir = t.testdir({ 'b.raw': '' });
  const image = join(dir, 'image.qcow2');
  const wrong: [Record<string, string>, string?][] = [
    [{ cluster_size: '1000' }],
    [{ cluster_size: '256' }],
    [{ cluster_size: '4M' }],
    [{ cluster_size: '1.5k' }],
    [{ cluster_size: 'abc' }],
    [{ refcount_bits: '3' }],
    [{ refcount_bits: '0' }],
    [{ refcount_bits: '128' }],
    [{ refcount_bits: '-1' }],
    [{ refcount_bits: 'abc' }],
    [{ refcount_bits: '16k' }],
    [{ compat: '0.9' }],
    [{ compat: 'v4' }],
    [{ compat: '' }],
    [{ compat: 'v2', lazy_refcounts: 'on' }],
    [{ compat: 'v2', compression_type: 'zstd' }],
    [{ compat: 'v2', extended_l2: 'on' }],
    [{ compat: 'v2', refcount_bits: '8' }],
    [{ compat: 'v2', data_file: 'x' }],
    [{ extended_l2: 'on', cluster_size: '8k' }],
    [{ data_file_raw: 'on' }],
    [{ data_file: 'x', data_file_raw: 'on', backing_file: 'b.raw', backing_fmt: 'raw' }],
    [{ preallocation: 'bogus' }],
    [{ preallocation: 'metadata', backing_file: 'b.raw', backing_fmt: 'raw' }],
    [{ compression_type: 'lz4' }],
    [{ lazy_refcounts: 'maybe' }],
    [{ bogus: '1' }],
    [{ backing_fmt: 'raw' }],
    [{ backing_file: '', backing_fmt: 'raw' }],
    [{ backing_file: 'nope.raw', backing_fmt: 'raw' }],
    [{ backing_file: 'b.raw', backing_fmt: 'bogus' }],
    [{ backing_file: 'b.raw' }],
    [{ size: '5M' }],
    [{ size: '-1' }, 'none'],
    [{ size: '10Z' }, 'none'],
    [{ size: '99999999999E' }, 'none'],
    [{ size: '.5G' }, 'none'],
    [{ size: '1E' }, 'none'],
    [{ data_file: '' }],
    [{ data_file: 'nodir/x' }],
  ];
  for (const [options, size] of wrong) {
    const text = Object.entries(options)
      .map(([name, value]) => `${name}=${value}`)
      .join(',');
    const args = [
      'create',
      '-q',
      '-f',
      'qcow2',
      '-o',
      text,
      'image.qcow2',
      ...(size === 'none' ? [] : ['10M']),
    ];
    const theirs = tryRun('qemu-img', args, { cwd: dir });
    t.equal(theirs.status, 1, text);
    const cwd = process.cwd();
    process.chdir(dir);
    try {
      const error = await createImage('image.qcow2', {
        format: 'qcow2',
        size: size === 'none' ? undefined : 10 * MiB,
        options,
        gate: likeQemu,
      }).then(
        () => undefined,
        (error) => error,
      );
      t.equal(
        error?.message,
        theirs.stderr.replace(/^qemu-img: image\.qcow2: /, '').replace(/\n$/, ''),
        text,
      );
    } finally {
      process.chdir(cwd);
    }
    t.notOk(statSync(image, { throwIfNoEntry: false }), `${text}: nothing is there`);
  }
});

t.test('encryption is refused by name', async (t) => {
  const image = join(t.testdir(), 'image.qcow2');
  const sets: Record<string, string>[] = [
    { encryption: 'on' },
    { 'encrypt.format': 'luks' },
    { 'encrypt.key-secret': 's' },
  ];
  for (const options of sets) {
    const wrong = createImage(image, { format: 'qcow2', size: MiB, options });
    const [name] = Object.keys(options);
    await t.rejects(wrong, { code: 'UNSUPPORTED_FEATURE', message: new RegExp(`Encryption.*'${name}'`) });
    t.notOk(statSync(image, { throwIfNoEntry: false }));
  }
  await createImage(image, { format: 'qcow2', size: MiB, options: { encryption: 'off' } });
  qemuImg('check', image);
});

t.test('sizes that tables cannot hold are refused, and nothing changes', async (t) => {
  const image = join(t.testdir(), 'image.qcow2');
  writeFileSync(image, 'as it was');
  const wrong = createImage(image, { format: 'qcow2', size: 256 * 2 ** 30, clusterSize: 512 });
  await t.rejects(wrong, { code: 'LIMIT_EXCEEDED', message: /too large for file format 'qcow2'/ });
  t.equal(readFileSync(image, 'utf8'), 'as it was');
});
