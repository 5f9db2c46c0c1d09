// createJob: raw, pack, read, digest and compare. Oracles are Node's fs, zlib and crypto.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import t from 'tap';
import { type DigestSink, native, type PackSink, type RawSink } from '#src/native.js';
import { batch, columns, jobOptions, type PlanRow, runJob } from '../support/jobs.js';
import { allocated, newControl, openFile } from '../support/openFile.js';
import { Random } from '../support/random.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const CLUSTER = 64 * KiB;

/** Text, noise and zeros by clusters of 64 KiB; the length is no multiple of anything. */
function guestBytes(seed: number, clusters: number): Buffer {
  const random = new Random(seed);
  const noise = random.bytes(CLUSTER);
  const bytes = Buffer.alloc(clusters * CLUSTER + 1234);
  for (let at = 0; at < bytes.length; at += CLUSTER) {
    const what = random.integer(0, 3);
    if (what === 1) bytes.fill(`line ${random.integer(0, 1e6)} of some text\n`, at, at + CLUSTER);
    if (what === 2) noise.copy(bytes, at, random.integer(0, 1000));
    if (what === 3) bytes.write('few bytes', at + random.integer(0, 1000));
  }
  return bytes;
}

const raw = (fd: number, overrides: Partial<RawSink> = {}): RawSink => ({
  type: 'raw',
  fd,
  path: 'target',
  shift: 0,
  detectZeros: 4096,
  zeros: 'skip',
  offload: false,
  ...overrides,
});

const pack = (fd: number, guestSize: number, overrides: Partial<PackSink> = {}): PackSink => ({
  type: 'pack',
  fd,
  path: 'target',
  clusterSize: CLUSTER,
  guestSize,
  firstFree: 3 * CLUSTER,
  reserveEvery: 16 * CLUSTER,
  groupBytes: 32 * CLUSTER,
  groupTableBytes: CLUSTER,
  detectZeros: true,
  reportZeros: false,
  compression: null,
  ...overrides,
});

const whole = (bytes: Buffer): PlanRow[] => [{ kind: 2, start: 0, length: bytes.length, offset: 0 }];

t.test('raw: data is copied, holes and zeros become holes', async (t) => {
  const dir = t.testdir();
  const bytes = guestBytes(1, 60);
  fs.writeFileSync(join(dir, 'source'), bytes);
  const source = openFile(t, join(dir, 'source'));
  for (const offload of [false, true]) {
    const path = join(dir, `target-${offload}`);
    fs.writeFileSync(path, '');
    fs.truncateSync(path, bytes.length);
    const options = jobOptions(raw(openFile(t, path), { offload, detectZeros: offload ? 0 : 4096 }));
    const { totals } = await runJob(options, batch(0, bytes.length, whole(bytes), source));
    t.ok(fs.readFileSync(path).equals(bytes));
    t.equal(new Float64Array(options.control)[0], bytes.length, 'progress counts every guest byte');
    if (offload) t.equal(totals.written, bytes.length);
    else t.ok(allocated(path) < bytes.length * 0.7, 'sparse');
  }
});

for (const compression of [
  null,
  { codec: 'deflate', level: 0 },
  { codec: 'deflate', level: 6 },
  { codec: 'zstd', level: 0 },
] as const) {
  const name = compression ? `${compression.codec} ${compression.level}` : 'plain';
  t.test(`pack ${name}: same bytes for 1 and 4 threads, and they read back`, async (t) => {
    const dir = t.testdir();
    const bytes = guestBytes(2, 100);
    fs.writeFileSync(join(dir, 'source'), bytes);
    const source = openFile(t, join(dir, 'source'));
    const packed = async (path: string, threads: number, step: number) => {
      fs.writeFileSync(path, '');
      const target = openFile(t, path);
      const batches = [];
      for (let at = 0; at < bytes.length; at += step)
        batches.push(batch(at, Math.min(bytes.length, at + step), whole(bytes), source));
      const sink = pack(target, bytes.length, { compression });
      const { results, totals } = await runJob(jobOptions(sink, { threads }), ...batches);
      const places = results.flatMap(({ packed: some }) =>
        Array.from({ length: some!.count }, (_, i) => [some!.guest[i], some!.host[i], some!.size[i]]),
      );
      const groups = [...results, totals].flatMap(({ groups: some }) => [...some!.host]);
      return { target, places, groups, firstFree: totals.firstFree! };
    };
    const one = await packed(join(dir, 'one'), 1, bytes.length);
    const four = await packed(join(dir, 'four'), 4, 7 * CLUSTER);
    t.same(one.places, four.places);
    t.same(one.groups, four.groups);
    t.equal(one.firstFree, four.firstFree);
    const file = fs.readFileSync(join(dir, 'one'));
    t.ok(file.equals(fs.readFileSync(join(dir, 'four'))), 'files are equal');
    t.equal(one.groups.length, 4);

    let squeezed = 0;
    for (const [guest, host, size] of one.places) {
      const expected = Buffer.alloc(CLUSTER);
      bytes.copy(expected, 0, guest, guest + CLUSTER);
      const there = file.subarray(host, host + (size || CLUSTER));
      if (size && compression?.codec === 'deflate')
        t.ok(
          zlib.inflateRawSync(there, { windowBits: 12 }).equals(expected),
          'zlib reads it with a 4 KiB window',
        );
      if (!size) t.ok(there.equals(expected));
      if (size) squeezed++;
      for (let touched = Math.floor(host / CLUSTER); touched * CLUSTER < host + there.length; touched++)
        t.not(touched % 16, 0, 'reserved clusters are left alone');
    }
    t.equal(squeezed > 0, compression !== null);

    const rows = one.places.map(([guest, host, size]): PlanRow => {
      const length = Math.min(CLUSTER, bytes.length - guest);
      if (!size) return { kind: 2, start: guest, length, offset: host };
      const kind = compression?.codec === 'zstd' ? 4 : 3;
      return { kind, start: guest, length, offset: host, compressedLength: size, skip: 0, unit: CLUSTER };
    });
    const buffer = Buffer.alloc(bytes.length, 0xee);
    await runJob(jobOptions({ type: 'read', buffer, start: 0 }), batch(0, bytes.length, rows, one.target));
    t.ok(buffer.equals(bytes), 'the read sink reads it');
    const both = {
      ...batch(0, bytes.length, rows, one.target),
      other: { columns: columns(whole(bytes)), fds: Int32Array.of(source), paths: ['source'] },
    };
    const { results } = await runJob(jobOptions({ type: 'compare' }), both);
    t.equal(results[0].mismatch, -1, 'compare finds no difference');
  });
}

t.test('pack: zero clusters are reported, unallocated ones are not', async (t) => {
  const dir = t.testdir({ source: Buffer.alloc(CLUSTER), target: '' });
  const source = openFile(t, join(dir, 'source'));
  const rows: PlanRow[] = [
    { kind: 0, start: 0, length: CLUSTER },
    { kind: 1, start: CLUSTER, length: CLUSTER },
    { kind: 2, start: 2 * CLUSTER, length: CLUSTER, offset: 0 },
  ];
  const target = openFile(t, join(dir, 'target'));
  const sink = pack(target, 3 * CLUSTER, { reportZeros: true });
  const reported = await runJob(jobOptions(sink), batch(0, 3 * CLUSTER, rows, source));
  t.same([...reported.results[0].zeroed!], [CLUSTER, 2 * CLUSTER]);
  t.equal(reported.results[0].packed!.count, 0);
  t.same([...reported.totals.groups!.host], [3 * CLUSTER], 'a group with marks only gets its table');
  const written = await runJob(
    jobOptions(pack(target, 3 * CLUSTER, { detectZeros: false })),
    batch(0, 3 * CLUSTER, rows, source),
  );
  t.same([...written.results[0].packed!.guest], [CLUSTER, 2 * CLUSTER], 'without detection zeros are stored');
});

t.test('digest: crypto agrees, whole and by chunks, with and without data', async (t) => {
  const dir = t.testdir();
  const bytes = Buffer.concat([guestBytes(3, 20), Buffer.alloc(3 * MiB), guestBytes(4, 20)]);
  fs.writeFileSync(join(dir, 'source'), bytes);
  const source = openFile(t, join(dir, 'source'));
  const zeros = guestBytes(3, 20).length;
  const rows: PlanRow[] = [
    { kind: 2, start: 0, length: zeros, offset: 0 },
    { kind: 1, start: zeros, length: 3 * MiB },
    { kind: 2, start: zeros + 3 * MiB, length: bytes.length - zeros - 3 * MiB, offset: zeros + 3 * MiB },
  ];
  for (const algorithms of [['md5', 'sha256'], ['sha256', 'md5'], ['sha512'], ['sha1']]) {
    for (const chunkSize of [0, 1000, 256 * KiB]) {
      const [unitAlgorithm] = algorithms;
      const sink = { type: 'digest', algorithms, chunkSize, size: bytes.length, unitAlgorithm } as const;
      const width = createHash(unitAlgorithm).digest().length;
      const digests = Buffer.alloc(chunkSize === 0 ? 0 : width * Math.ceil(bytes.length / chunkSize));
      const one = { ...batch(0, bytes.length, rows, source), digests };
      const { totals } = await runJob(jobOptions(sink), one);
      for (const algorithm of algorithms) {
        const expected = createHash(algorithm).update(bytes).digest('hex');
        t.equal(Buffer.from(totals.digests![algorithm]).toString('hex'), expected, algorithm);
      }
      const chunks: Buffer[] = [];
      for (let at = 0; chunkSize && at < bytes.length; at += chunkSize)
        chunks.push(
          createHash(algorithms[0])
            .update(bytes.subarray(at, at + chunkSize))
            .digest(),
        );
      t.ok(digests.equals(Buffer.concat(chunks)), `${chunkSize}`);
    }
  }
});

t.test('compare: the first byte that differs', async (t) => {
  const bytes = guestBytes(5, 30);
  const changed = Buffer.from(bytes);
  changed[1_000_001] ^= 1;
  changed[1_900_000] ^= 1;
  const dir = t.testdir({ one: bytes, two: changed });
  const [one, two] = ['one', 'two'].map((name) => openFile(t, join(dir, name)));
  const other = { columns: columns(whole(bytes)), fds: Int32Array.of(two), paths: ['two'] };
  const both = { ...batch(0, bytes.length, whole(bytes), one), other };
  const { results } = await runJob(jobOptions({ type: 'compare' }, { threads: 4 }), both);
  t.equal(results[0].mismatch, 1_000_001);
});

t.test('errors carry code, syscall, path and both offsets', async (t) => {
  const dir = t.testdir({ source: Buffer.alloc(CLUSTER, 0xff), target: 'untouched' });
  const source = openFile(t, join(dir, 'source'));
  const buffer = Buffer.alloc(CLUSTER);
  const read = (rows: PlanRow[], fd = source) =>
    runJob(jobOptions({ type: 'read', buffer, start: CLUSTER }), batch(CLUSTER, 2 * CLUSTER, rows, fd));
  const row: PlanRow = { kind: 2, start: CLUSTER, length: CLUSTER, offset: 4096 };

  await t.rejects(read([row]), {
    code: 'BASECOW_SHRANK',
    path: 'source0',
    message: `error while reading at byte ${2 * CLUSTER - 4096}: file ends early ('source0' at host offset ${CLUSTER})`,
  });
  await t.rejects(read([{ ...row, kind: 3, compressedLength: 100, unit: CLUSTER }]), {
    code: 'BASECOW_CORRUPT',
    message: /reading at byte 65536: deflate compressed cluster cannot be decompressed .* host offset 4096/,
  });
  await t.rejects(read([row], 1_000_000), {
    code: 'EBADF',
    syscall: 'read',
    path: 'source0',
    message: "error while reading at byte 65536: Bad file descriptor ('source0' at host offset 4096)",
  });
  const readOnly = openFile(t, join(dir, 'target'), 'r');
  const refused = runJob(
    jobOptions(raw(readOnly)),
    batch(0, CLUSTER, [{ ...row, start: 0, offset: 0 }], source),
  );
  await t.rejects(refused, { code: 'EBADF', syscall: 'write', path: 'target' });
  t.equal(fs.readFileSync(join(dir, 'target'), 'utf8'), 'untouched');
});

t.test('hostile plans are refused before anything is read', async (t) => {
  const dir = t.testdir({ source: Buffer.alloc(CLUSTER) });
  const source = openFile(t, join(dir, 'source'));
  const good: PlanRow = { kind: 2, start: 0, length: CLUSTER, offset: 0 };
  const unit: PlanRow = { ...good, kind: 3, compressedLength: 10, unit: CLUSTER };
  const bad: [string, PlanRow[]][] = [
    ['NaN', [{ ...good, start: Number.NaN }]],
    ['fraction', [{ ...good, length: 0.5 }]],
    ['negative host offset', [{ ...good, offset: -1 }]],
    ['beyond 2^53', [{ ...good, offset: 2 ** 53 }]],
    ['no such file', [{ ...good, file: 1 }]],
    ['overlap', [good, { ...good, start: 1 }]],
    ['skip past the unit', [{ ...unit, skip: 1 }]],
    ['unit of 4 GiB', [{ ...unit, unit: 0xffffffff }]],
    ['compressed length of 4 GiB', [{ ...unit, compressedLength: 0xffffffff }]],
    ['unknown kind', [{ ...good, kind: 9 as 2 }]],
  ];
  for (const [name, rows] of bad) {
    const buffer = Buffer.alloc(CLUSTER, 7);
    const refused = runJob(jobOptions({ type: 'read', buffer, start: 0 }), batch(0, CLUSTER, rows, source));
    await t.rejects(refused, { code: 'EINVAL' }, name);
    t.ok(buffer.equals(Buffer.alloc(CLUSTER, 7)), 'the buffer is as it was');
  }
  const columnsShort = { ...columns([good]), count: 2 };
  const job = native.createJob(jobOptions({ type: 'read', buffer: Buffer.alloc(CLUSTER), start: 0 }));
  t.throws(() => job.submit({ ...batch(0, CLUSTER, [], source), columns: columnsShort }), {
    code: 'ERR_OUT_OF_RANGE',
  });
  await job.finish();
  t.throws(() => native.createJob(jobOptions(pack(source, CLUSTER, { clusterSize: 1000 }))), {
    code: 'EINVAL',
    message: /clusterSize/,
  });
});

t.test('columns may be reused as soon as submit returns, and may be shared memory', async (t) => {
  const bytes = guestBytes(6, 40);
  const dir = t.testdir({ source: bytes });
  const source = openFile(t, join(dir, 'source'));
  const buffer = Buffer.alloc(bytes.length);
  const job = native.createJob(jobOptions({ type: 'read', buffer, start: 0 }));
  const start = new Float64Array(new SharedArrayBuffer(8));
  const length = new Float64Array(new SharedArrayBuffer(8));
  const shared = { ...columns(whole(bytes)), start, length };
  length[0] = bytes.length;
  const done = job.submit({ ...batch(0, bytes.length, [], source), columns: shared });
  length.fill(0);
  shared.kind.fill(0);
  await done;
  await job.finish();
  t.ok(buffer.equals(bytes));
});

t.test('cancel and abort', async (t) => {
  const control = newControl();
  const size = 2 ** 45;
  const endless = batch(0, size, [{ kind: 1, start: 0, length: size }]);
  const digest: DigestSink = { type: 'digest', algorithms: ['md5'], chunkSize: 0 };
  const cancelled = native.createJob(jobOptions(digest, { control }));
  const submitted = cancelled.submit(endless);
  const expected = t.rejects(submitted, { code: 'ECANCELED' });
  while (new Float64Array(control)[0] === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  Atomics.store(new Int32Array(control), 4, 1);
  await expected;
  await t.rejects(cancelled.finish(), { code: 'ECANCELED' });
  await t.rejects(cancelled.submit(endless), { code: 'ECANCELED' });

  const aborted = native.createJob(jobOptions(digest));
  const other = t.rejects(aborted.submit(endless), { code: 'ECANCELED' });
  await aborted.abort();
  await other;
  await aborted.abort();
  await t.rejects(aborted.finish(), { code: 'ECANCELED' });
});
