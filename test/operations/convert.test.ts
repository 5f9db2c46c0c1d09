import { copyFileSync, existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type ConvertRequest, convert } from '#src/operations/convert.js';
import type { JobSettings } from '#src/operations/job.js';
import { abortUnderWay } from '../support/abortUnderWay.js';
import { randomChain, randomRaw, randomWrites } from '../support/images.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { md5sum, qemuImg, qemuIo, run } from '../support/tools.js';

type Image = [path: string, format: string];

const source = ([path, format]: Image) => ({ path, format, gate: 'qemu' as const });

/** qemu-img finds our image sound and equal to the other. */
function sound(t: Test, [path, format]: Image, [other, otherFormat]: Image, about: string): void {
  t.match(qemuImg('compare', '-f', otherFormat, '-F', format, other, path), /Images are identical/, about);
  if (format === 'qcow2') t.match(qemuImg('check', '-f', 'qcow2', path), /No errors were found/, about);
}

/** Converts, checks with qemu-img, and checks that nothing else is left in the folder. */
async function converts(
  t: Test,
  from: Image,
  to: Image,
  more: Partial<Omit<ConvertRequest, 'target'>> & { options?: Record<string, string> } = {},
  settings: JobSettings = {},
): Promise<void> {
  const { options, ...request } = more;
  const target = { path: to[0], format: to[1], options, gate: 'qemu' as const };
  await convert({ sources: [source(from)], targetCache: 'unsafe', ...request, target }, settings);
  sound(t, to, from, JSON.stringify(more));
}

t.test('raw and qcow2 both ways, all cluster sizes, with and without compression', async (t) => {
  const dir = t.testdir();
  const seed = 21;
  t.comment(`seed ${seed}`);
  const random = new Random(seed);
  const raw: Image = [randomRaw(join(dir, 'a.raw'), random, 5 * 2 ** 20 + 512 * 3), 'raw'];
  for (let bits = 9; bits <= 21; bits++) {
    const cluster_size = String(2 ** bits);
    const compat = random.pick(['0.10', '1.1']);
    const compression_type = compat === '1.1' ? random.pick(['zlib', 'zstd']) : 'zlib';
    const plain: Image = [join(dir, `plain${bits}.qcow2`), 'qcow2'];
    const packed: Image = [join(dir, `packed${bits}.qcow2`), 'qcow2'];
    const back: Image = [join(dir, `back${bits}.raw`), 'raw'];
    await converts(t, raw, plain, { options: { cluster_size, compat } });
    const options: Record<string, string> = { cluster_size, compat };
    if (compression_type === 'zstd') options.compression_type = compression_type;
    await converts(t, plain, packed, { compress: true, options });
    await converts(t, random.pick([plain, packed]), back);
    t.equal(md5sum(back[0]), md5sum(raw[0]), `round trip through ${cluster_size}`);
  }
});

t.test('sources that qemu-img made: chains, zstd, subclusters, preallocation, snapshots', async (t) => {
  const dir = t.testdir();
  const random = new Random(22);
  for (let depth = 1; depth <= 5; depth++) {
    const options = random.pick([
      undefined,
      'cluster_size=4k',
      'extended_l2=on',
      'compat=0.10',
      'preallocation=metadata',
    ]);
    const own = depth > 1 && options === 'preallocation=metadata' ? undefined : options;
    const layers = randomChain(dir, random, {
      depth,
      size: 3 * 2 ** 20 + 512,
      options: own,
      uneven: depth > 2,
    });
    const top: Image = [layers[depth - 1], depth === 1 ? 'raw' : 'qcow2'];
    await converts(t, top, [join(dir, `flat${depth}.raw`), 'raw']);
    await converts(t, top, [join(dir, `flat${depth}.qcow2`), 'qcow2']);
    await converts(t, top, [join(dir, `small${depth}.qcow2`), 'qcow2'], { compress: true });
  }
  const image: Image = [join(dir, 'snap.qcow2'), 'qcow2'];
  qemuImg('create', '-q', '-f', 'qcow2', image[0], '2M');
  qemuIo(image[0], 'qcow2', ...randomWrites(random, 2 ** 21, 5));
  qemuImg('snapshot', '-c', 'before', image[0]);
  qemuIo(image[0], 'qcow2', ...randomWrites(random, 2 ** 21, 5));
  const theirs: Image = [join(dir, 'theirs.raw'), 'raw'];
  const ours: Image = [join(dir, 'ours.raw'), 'raw'];
  qemuImg('convert', '-l', 'before', '-O', 'raw', image[0], theirs[0]);
  await convert({
    sources: [{ ...source(image), snapshot: { idOrName: 'before' } }],
    target: { path: ours[0], format: 'raw' },
  });
  sound(t, ours, theirs, 'snapshot');
  const missing = { ...source(image), snapshot: { idOrName: 'after' } };
  const none = join(dir, 'none.raw');
  await failsWith(
    t,
    convert({ sources: [missing], target: { path: none, format: 'raw' } }),
    'SNAPSHOT_NOT_FOUND',
    /after/,
  );
  t.notOk(existsSync(none));
});

t.test('sparseSize: what becomes a hole', async (t) => {
  const dir = t.testdir();
  const from: Image = [join(dir, 'a.raw'), 'raw'];
  qemuImg('create', '-q', '-f', 'raw', from[0], '4M');
  qemuIo(
    from[0],
    'raw',
    'write -P 1 0 64k',
    'write -P 0 64k 64k',
    'write -P 1 128k 4k',
    'write -P 0 132k 4k',
    'write -P 1 136k 4k',
    'write -P 0 1M 1M',
  );
  for (const sparseSize of [0, 512, 4096, 8192, 65536, 2 ** 20]) {
    const to: Image = [join(dir, `s${sparseSize}.raw`), 'raw'];
    await converts(t, from, to, { sparseSize });
    const theirs = join(dir, `t${sparseSize}.raw`);
    qemuImg('convert', '-O', 'raw', '-S', String(sparseSize), from[0], theirs);
    const blocks = (path: string) => Number(run('stat', ['-c', '%b', path]));
    t.ok(blocks(to[0]) <= blocks(theirs), `${sparseSize}: ${blocks(to[0])} of ${blocks(theirs)} blocks`);
    if (sparseSize === 0) t.equal(blocks(to[0]), 4 * 2048, 'everything is allocated');
    await converts(t, from, [join(dir, `s${sparseSize}.qcow2`), 'qcow2'], { sparseSize });
  }
  const [entry] = JSON.parse(qemuImg('map', '--output=json', join(dir, 's0.qcow2')));
  t.match(
    entry,
    { start: 0, length: 4 * 2 ** 20, data: true },
    'qcow2 with sparseSize 0 holds every cluster',
  );
  await failsWith(
    t,
    convert({ sources: [source(from)], target: { path: join(dir, 'x'), format: 'raw' }, sparseSize: 1000 }),
    'INVALID_ARGUMENT',
    /1000/,
    /16777216/,
  );
  t.notOk(existsSync(join(dir, 'x')));
});

t.test('several sources, odd sizes', async (t) => {
  const dir = t.testdir();
  const random = new Random(23);
  const parts: Image[] = [1000, 70_001, 2 ** 20 + 513, 512].map((size, i) => {
    const path = join(dir, `part${i}.raw`);
    writeFileSync(path, random.bytes(size));
    return [path, 'raw'];
  });
  const packed = join(dir, 'part.qcow2');
  qemuImg('convert', '-c', '-O', 'qcow2', parts[2][0], packed);
  parts.splice(1, 0, [packed, 'qcow2']);
  const theirs: Image = [join(dir, 'theirs.raw'), 'raw'];
  qemuImg('convert', '-O', 'raw', ...parts.map(([path]) => path), theirs[0]);
  for (const format of ['raw', 'qcow2']) {
    for (const compress of format === 'raw' ? [false] : [false, true]) {
      const ours: Image = [join(dir, `ours.${format}`), format];
      await convert({ sources: parts.map(source), target: { path: ours[0], format }, compress });
      sound(t, ours, theirs, `${format} compress ${compress}`);
      t.equal(JSON.parse(qemuImg('info', '--output=json', ours[0]))['virtual-size'] % 512, 0);
    }
  }
  const request = {
    sources: parts.map(source),
    target: { path: join(dir, 'x'), format: 'qcow2', backing: { path: parts[0][0], format: 'raw' } },
  };
  await failsWith(t, convert(request), 'INVALID_ARGUMENT', /no sense/);
  t.notOk(existsSync(join(dir, 'x')));
});

t.test("overlays: only the own layer is copied, in the target's clusters", async (t) => {
  const dir = t.testdir();
  const random = new Random(24);
  for (let round = 0; round < 10; round++) {
    const options = random.pick([
      'cluster_size=4k',
      'cluster_size=64k',
      'extended_l2=on',
      'cluster_size=512',
    ]);
    const layers = randomChain(dir, random, {
      depth: 3,
      size: 4 * 2 ** 20,
      options,
      uneven: round % 2 === 1,
    });
    const top: Image = [layers[2], 'qcow2'];
    const cluster_size = random.pick(['512', '64k', '2M']);
    const compress = random.integer(0, 1) === 1;
    const to: Image = [join(dir, `over${round}.qcow2`), 'qcow2'];
    await convert({
      sources: [source(top)],
      target: {
        path: to[0],
        format: 'qcow2',
        backing: { path: 'layer1.qcow2', format: 'qcow2' },
        options: { cluster_size },
        gate: 'qemu',
      },
      compress,
      targetCache: 'unsafe',
    });
    sound(t, to, top, `${options} to ${cluster_size}${compress ? ', compressed' : ''}`);
    const info = JSON.parse(qemuImg('info', '--output=json', to[0]));
    t.equal(info['backing-filename'], 'layer1.qcow2');
    const allocated = (path: string) =>
      JSON.parse(qemuImg('map', '--output=json', path)).some((row: { depth: number }) => row.depth > 0);
    t.equal(
      allocated(to[0]) || cluster_size === '2M',
      allocated(top[0]) || cluster_size === '2M',
      'what it lacks comes from below',
    );
  }
  const sources = [source([join(dir, 'layer2.qcow2'), 'qcow2'])];
  const x = join(dir, 'x.qcow2');
  const backed = (backing: { path: string; format?: string }, format = 'qcow2') =>
    convert({ sources, target: { path: x, format, backing, gate: 'qemu' } });
  await failsWith(t, backed({ path: 'layer1.qcow2' }), 'BACKING_FORMAT_MISSING', /explicit backing format/);
  await failsWith(t, backed({ path: 'none.qcow2', format: 'qcow2' }), 'BACKING_NOT_FOUND', /none\.qcow2/);
  await failsWith(t, backed({ path: 'layer1.qcow2', format: 'qcow2' }, 'raw'), 'INVALID_ARGUMENT', /raw/);
  t.notOk(existsSync(x));
});

t.test('noCreate: into an image that exists', async (t) => {
  const dir = t.testdir();
  const random = new Random(25);
  const from: Image = [randomRaw(join(dir, 'a.raw'), random, 3 * 2 ** 20), 'raw'];
  const old = (name: string, format: string, size: string, ...options: string[]): Image => {
    const path = join(dir, name);
    qemuImg('create', '-q', '-f', format, ...options, path, size);
    return [path, format];
  };
  for (const to of [
    old('same.raw', 'raw', '3M'),
    old('same.qcow2', 'qcow2', '3M'),
    old('small-clusters.qcow2', 'qcow2', '3M', '-o', 'cluster_size=4k'),
    old('metadata.qcow2', 'qcow2', '3M', '-o', 'preallocation=metadata'),
  ]) {
    if (!to[0].includes('metadata')) qemuIo(to[0], to[1], 'write -P 99 100k 1M', 'write -P 98 2M 1000k');
    await converts(t, from, to, { noCreate: true });
  }
  await converts(t, from, old('zero.raw', 'raw', '3M'), { noCreate: true, targetIsZero: true });
  await converts(t, from, old('zero.qcow2', 'qcow2', '3M'), { noCreate: true, targetIsZero: true });
  const larger = old('larger.raw', 'raw', '5M');
  qemuIo(larger[0], 'raw', 'write -P 77 3M 2M');
  await convert({ sources: [source(from)], target: { path: larger[0], format: 'raw' }, noCreate: true });
  const copied = readFileSync(larger[0]);
  t.ok(copied.subarray(0, 3 * 2 ** 20).equals(readFileSync(from[0])));
  t.ok(
    copied.subarray(3 * 2 ** 20).every((byte) => byte === 77),
    'what the source does not reach stays',
  );

  const small = old('small.raw', 'raw', '2M');
  qemuIo(small[0], 'raw', 'write -P 5 0 2M');
  const before = md5sum(small[0]);
  const into = { sources: [source(from)], target: { path: small[0], format: 'raw' }, noCreate: true };
  await failsWith(t, convert(into), 'TARGET_TOO_SMALL', /smaller than input/, /2097152/, /3145728/);
  await failsWith(
    t,
    convert({ ...into, target: { ...into.target, options: { size: '5M' } } }),
    'INVALID_ARGUMENT',
    /-o/,
  );
  t.equal(md5sum(small[0]), before);
  const missing = { ...into, target: { path: join(dir, 'none.raw'), format: 'raw' } };
  await failsWith(t, convert(missing), 'IO', /none\.raw/);
});

t.test('noCreate: metadata is published in between, after the data it names', async (t) => {
  const dir = t.testdir();
  const from: Image = [join(dir, 'a.raw'), 'raw'];
  const to: Image = [join(dir, 'b.qcow2'), 'qcow2'];
  writeFileSync(from[0], '');
  truncateSync(from[0], 10 * 2 ** 40);
  const writes = Array.from(
    { length: 20 },
    (_, i) => `write -q -P ${i + 1} ${i * 2 ** 39 + 7 * 2 ** 20} 64k`,
  );
  qemuIo(from[0], 'raw', ...writes);
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', to[0], String(10 * 2 ** 40));
  await converts(t, from, to, { noCreate: true });
});

t.test('copy offload', async (t) => {
  const dir = t.testdir();
  const random = new Random(26);
  const raw: Image = [randomRaw(join(dir, 'a.raw'), random, 3 * 2 ** 20 + 512), 'raw'];
  const layers = randomChain(dir, random, { depth: 3, size: 2 ** 21 });
  await converts(t, raw, [join(dir, 'b.raw'), 'raw'], { copyOffload: true });
  await converts(t, [layers[2], 'qcow2'], [join(dir, 'c.raw'), 'raw'], { copyOffload: true });
  writeFileSync(join(dir, 'odd.raw'), random.bytes(5000));
  await converts(t, [join(dir, 'odd.raw'), 'raw'], [join(dir, 'd.raw'), 'raw'], { copyOffload: true });
  t.equal(readFileSync(join(dir, 'd.raw')).length, 5120, 'whole sectors');
  const request = {
    sources: [source(raw)],
    target: { path: join(dir, 'x'), format: 'raw' },
    copyOffload: true,
  };
  await failsWith(t, convert({ ...request, sparseSize: 4096 }), 'INVALID_ARGUMENT', /-S/);
  await failsWith(t, convert({ ...request, compress: true }), 'INVALID_ARGUMENT', /-c/);
  await failsWith(t, convert({ ...request, salvage: true }), 'INVALID_ARGUMENT', /salvag/);
  t.notOk(existsSync(join(dir, 'x')));
});

t.test('the same bytes whatever the number of threads', async (t) => {
  const dir = t.testdir();
  const random = new Random(27);
  const layers = randomChain(dir, random, { depth: 2, size: 24 * 2 ** 20 });
  qemuIo(layers[1], 'qcow2', ...randomWrites(random, 24 * 2 ** 20, 60));
  const from: Image = [layers[1], 'qcow2'];
  const variants: Parameters<typeof converts>[3][] = [
    {},
    { compress: true },
    { compress: true, options: { compression_type: 'zstd', cluster_size: '4k' } },
    { options: { cluster_size: '512' } },
  ];
  for (const more of variants) {
    const sums = [];
    for (const threads of [1, 4, 16]) {
      const to: Image = [join(dir, `t${threads}.qcow2`), 'qcow2'];
      await converts(t, from, to, more, { threads });
      sums.push(md5sum(to[0]));
    }
    t.strictSame(sums, [sums[0], sums[0], sums[0]], JSON.stringify(more));
  }
});

t.test('an existing target is replaced when the new one is whole, and never when it fails', async (t) => {
  const dir = t.testdir({ target: 'keep me' });
  const target = join(dir, 'target');
  const from: Image = [randomRaw(join(dir, 'a.raw'), new Random(28), 2 ** 20), 'raw'];
  const broken = join(dir, 'broken.qcow2');
  qemuImg('convert', '-O', 'qcow2', '-c', from[0], broken);
  const bytes = readFileSync(broken);
  const [{ start }] = JSON.parse(qemuImg('map', '--output=json', broken)).filter(
    (row: { data: boolean }) => row.data,
  );
  bytes.fill(0xff, 5 * 65536);
  writeFileSync(broken, bytes);
  const before = readdirSync(dir).sort();
  const failing = convert({ sources: [source([broken, 'qcow2'])], target: { path: target, format: 'raw' } });
  await failsWith(t, failing, 'CORRUPT_IMAGE', /broken\.qcow2/);
  t.equal(readFileSync(target, 'utf8'), 'keep me', `unreadable from ${start}`);
  t.strictSame(readdirSync(dir).sort(), before, 'nothing half-made is left');

  const salvaged = await convert({
    sources: [source([broken, 'qcow2'])],
    target: { path: join(dir, 'salvaged'), format: 'raw' },
    salvage: true,
  });
  t.ok(salvaged.unreadable.length > 0, 'salvage says what it lost');
  t.ok(
    salvaged.unreadable.every(({ start, length }) => start >= 0 && length > 0 && start + length <= 2 ** 20),
  );

  await converts(t, from, [target, 'raw']);
  for (const [path, format] of [from, [join(dir, 'link'), 'raw']] as Image[]) {
    if (!existsSync(path)) run('ln', ['-s', from[0], path]);
    const same = convert({ sources: [source(from)], target: { path, format } });
    await failsWith(t, same, 'INVALID_ARGUMENT', /same file/, path);
  }
  const overlay = join(dir, 'o.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-b', from[0], '-F', 'raw', overlay);
  const ontoBase = convert({
    sources: [source([overlay, 'qcow2'])],
    target: { path: from[0], format: 'raw', lock: false },
  });
  await failsWith(t, ontoBase, 'INVALID_ARGUMENT', /same file/);
});

t.test('progress grows to the total; cancel answers and leaves nothing', async (t) => {
  const dir = t.testdir();
  const random = new Random(29);
  const from: Image = [randomRaw(join(dir, 'a.raw'), random, 32 * 2 ** 20, 40), 'raw'];
  for (const [format, compress] of [
    ['raw', false],
    ['qcow2', false],
    ['qcow2', true],
  ] as const) {
    const seen: number[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }) => {
      seen.push(done);
      t.ok(done <= total, `${done} of ${total}`);
    };
    await converts(t, from, [join(dir, 'p'), format], { compress }, { onProgress });
    t.strictSame(
      seen,
      [...seen].sort((a, b) => a - b),
    );
    t.equal(seen.at(-1), 32 * 2 ** 20);
  }
  const large = join(dir, 'large.raw');
  copyFileSync(from[0], large);
  truncateSync(large, 2 ** 30);
  qemuIo(large, 'raw', 'write -P 3 64M 300M');
  for (const [format, compress] of [
    ['raw', false],
    ['qcow2', false],
    ['qcow2', true],
  ] as const) {
    for (const noCreate of [false, true]) {
      const path = join(dir, `cancelled.${format}`);
      if (noCreate && compress) continue;
      if (noCreate) qemuImg('create', '-q', '-f', format, path, '1G');
      const before = readdirSync(dir).sort();
      const job = convert(
        { sources: [source([large, 'raw'])], target: { path, format }, compress, noCreate },
        abortUnderWay(),
      );
      await failsWith(t, job, 'CANCELLED', /convert was cancelled/);
      t.strictSame(readdirSync(dir).sort(), before);
    }
    run('rm', ['-f', join(dir, `cancelled.${format}`)]);
  }
  const path = join(dir, 'never');
  await failsWith(
    t,
    convert({ sources: [source(from)], target: { path, format: 'raw' } }, { signal: AbortSignal.abort() }),
    'CANCELLED',
  );
  t.notOk(existsSync(path));
});

t.test('refusals say what is wrong', async (t) => {
  const dir = t.testdir();
  const from: Image = [randomRaw(join(dir, 'a.raw'), new Random(30), 2 ** 20), 'raw'];
  const path = join(dir, 'x');
  const request = { sources: [source(from)], target: { path, format: 'qcow2' } };
  await failsWith(t, convert({ ...request, sources: [] }), 'INVALID_ARGUMENT', /source/);
  await failsWith(t, convert({ ...request, targetIsZero: true }), 'INVALID_ARGUMENT', /-n/);
  await failsWith(t, convert({ ...request, compressionLevel: 5 }), 'INVALID_ARGUMENT', /compressionLevel/);
  await failsWith(t, convert({ ...request, target: { path, format: 'vdi' } }), 'UNKNOWN_FORMAT', /vdi/);
  await failsWith(
    t,
    convert({ ...request, target: { path, format: 'raw' }, compress: true }),
    'UNSUPPORTED_OPERATION',
    /[Cc]ompression/,
  );
  await failsWith(
    t,
    convert({ ...request, target: { path, format: 'qcow2', options: { cluster_size: '3000' } } }),
    'INVALID_ARGUMENT',
    /3000|512/,
  );
  await failsWith(
    t,
    convert({ ...request, sources: [{ ...source(from), path: join(dir, 'none') }] }),
    'IO',
    /none/,
  );
  t.notOk(existsSync(path));
  t.strictSame(readdirSync(dir), ['a.raw']);
});
