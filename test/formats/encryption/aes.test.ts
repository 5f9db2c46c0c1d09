// Images encrypted the old way (AES-CBC, numbered by guest sectors), made, read and checked by qemu's programs.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Disk } from '#src/disk/disk.js';
import type { ConvertTarget, TargetRequest } from '#src/disk/format.js';
import { likeQemu } from '#src/disk/gates.js';
import { resolveLimits } from '#src/disk/limits.js';
import { extentBatches, extents, nativeBatch } from '#src/disk/view.js';
import { openDisk } from '#src/formats/open.js';
import { openQcow2Target } from '#src/formats/qcow2/inPlaceTarget.js';
import type { WritableQcow2Disk } from '#src/formats/qcow2/writable.js';
import { createRawTarget } from '#src/formats/raw/target.js';
import { native } from '#src/native.js';
import { Concatenation } from '#src/operations/concatenation.js';
import { transfer } from '#src/operations/convert.js';
import { runJob } from '#src/operations/job.js';
import {
  AES_OPTIONS,
  imageOpts,
  openAes,
  qemuImgWithSecret,
  qemuIoWithSecret,
} from '../../support/encryptedImages.js';
import { applyToDisk, applyToModel, randomChange } from '../../support/modelDisk.js';
import { ourMap } from '../../support/qemuMap.js';
import { Random } from '../../support/random.js';
import { qemuImg, run } from '../../support/tools.js';

const SIZE = 3 * 2 ** 20 + 3 * 512;
const SEED = 1602;

interface Case {
  options: string;
  /** Bytes of the backing file. */
  backing?: number;
}

const cases: Record<string, Case> = {
  defaults: { options: 'cluster_size=64k' },
  'clusters of 512 bytes': { options: 'cluster_size=512' },
  'version 2 over a base': { options: 'cluster_size=4k,compat=0.10', backing: 2 ** 20 + 512 },
  'over a base': { options: 'cluster_size=2M', backing: SIZE },
  'extended entries': { options: 'cluster_size=16k,extended_l2=on' },
  'extended entries over a base': { options: 'cluster_size=64k,extended_l2=on', backing: 2 ** 20 + 1536 },
};

for (const [number, [name, one]] of Object.entries(cases).entries()) {
  t.test(`${name} (seed ${SEED + number})`, async (t) => {
    const random = new Random(SEED + number);
    const dir = t.testdir();
    make(dir, one, random);
    const model = content(dir);
    t.notOk(model.equals(Buffer.alloc(SIZE)), 'it holds something');
    await readsAll(t, dir, model, random);
    const rules = { size: SIZE, clusterSize: clusterSize(dir), alignment: 1, most: SIZE };
    const ignored = one.options.includes('compat=0.10') && one.backing !== undefined;
    for (let session = 0, changed = 0; session < 2; session++) {
      const disk = (await openAes(join(dir, 'image.qcow2'), true)) as WritableQcow2Disk;
      for (let round = 0; round < 6; round++) {
        const pending: Promise<unknown>[] = [];
        for (let i = random.integer(1, 5); i > 0; i--) {
          const change = randomChange(random, changed++, rules);
          applyToModel(model, change, { clusterSize: rules.clusterSize, ignored });
          pending.push(applyToDisk(disk, change), readsSome(t, disk, model, random));
        }
        await Promise.all(pending);
      }
      await disk.close();
      t.match(qemuImgWithSecret(['check', '--image-opts', imageOpts('image.qcow2')], dir), 'No errors');
      t.ok(content(dir).equals(model), 'qemu-img reads what was written');
    }
    await readsAll(t, dir, model, random);
  });
}

t.test('disks one after another, the second at a place of its own, go into a raw file', async (t) => {
  const random = new Random(SEED + 100);
  const dir = t.testdir();
  make(dir, cases.defaults, random);
  const first = random.bytes(70_000);
  writeFileSync(join(dir, 'first.raw'), first);
  const before = await openDisk(join(dir, 'first.raw'), { format: 'raw' });
  const disk = await openAes(join(dir, 'image.qcow2'), false);
  try {
    await copy([before, disk], (request) => createRawTarget(join(dir, 'joined.raw'), request));
  } finally {
    await before.close();
    await disk.close();
  }
  const joined = Buffer.concat([first, Buffer.alloc(70_144 - first.length), content(dir)]);
  t.ok(readFileSync(join(dir, 'joined.raw')).equals(joined));
});

for (const [number, [name, one]] of Object.entries(cases).entries()) {
  t.test(`into an existing image: ${name} (seed ${SEED + 200 + number})`, async (t) => {
    const random = new Random(SEED + 200 + number);
    const dir = t.testdir();
    make(dir, one, random);
    // Data and holes by 4 KiB: clusters are filled in part, by bytes and by zeros.
    const bytes = Buffer.alloc(SIZE);
    for (let at = 0; at + 4096 <= SIZE; at += 4096) {
      if (random.next() < 0.4) random.bytes(4096).copy(bytes, at);
      if (random.next() < 0.05) at += 4096 * random.integer(0, 200);
    }
    run('truncate', ['-s', String(SIZE), 'source.raw'], { cwd: dir });
    writeFileSync(join(dir, 'full.raw'), bytes);
    qemuImg('convert', '-n', '-f', 'raw', '-O', 'raw', join(dir, 'full.raw'), join(dir, 'source.raw'));
    const source = await openDisk(join(dir, 'source.raw'), { format: 'raw' });
    const disk = await openAes(join(dir, 'image.qcow2'), true);
    try {
      await copy([source], (request) => openQcow2Target(disk, { ...request, targetIsZero: false }));
    } finally {
      await source.close();
      await disk.close();
    }
    t.match(qemuImgWithSecret(['check', '--image-opts', imageOpts('image.qcow2')], dir), 'No errors');
    t.ok(content(dir).equals(bytes));
  });
}

t.test('extents say that bytes are encrypted; map has no offsets for them, like qemu-img', async (t) => {
  const dir = t.testdir();
  make(dir, cases.defaults, new Random(SEED + 300));
  const disk = await openAes(join(dir, 'image.qcow2'), false);
  try {
    for await (const extent of extents(disk)) {
      t.equal(extent.encrypted, extent.kind === 'data' ? true : undefined);
      t.equal(extent.file, extent.kind === 'data' ? disk.file : undefined);
    }
    const json = qemuImgWithSecret(['map', '--output=json', '--image-opts', imageOpts('image.qcow2')], dir);
    t.same(await ourMap(disk), JSON.parse(json));
  } finally {
    await disk.close();
  }
});

async function copy(
  sources: readonly Disk[],
  open: (request: TargetRequest) => Promise<ConvertTarget>,
): Promise<void> {
  await runJob('convert', { threads: 3 }, async (job) => {
    const map = new Concatenation(sources);
    const target = await open({
      size: map.virtualSize,
      options: {},
      compress: false,
      sparseSize: 4096,
      backing: false,
      gate: likeQemu,
      limits: resolveLimits(undefined),
      lock: true,
      dropCache: false,
      control: job.control,
    });
    await transfer({}, sources, map, target, job);
    await target.publish({ sync: false });
    await target.discard();
  });
}

/** The whole at once, as a stream, in pieces, and digested. */
async function readsAll(t: Test, dir: string, model: Buffer, random: Random): Promise<void> {
  const disk = await openAes(join(dir, 'image.qcow2'), false);
  try {
    t.ok((await disk.read(0, SIZE)).equals(model), 'one read');
    const chunks: Buffer[] = [];
    for await (const chunk of disk.createReadStream({ chunkSize: 100_001 })) chunks.push(chunk as Buffer);
    t.ok(Buffer.concat(chunks).equals(model), 'a stream of odd chunks');
    for (let i = 0; i < 40; i++) await readsSome(t, disk, model, random);
    t.equal(await digest(disk), sha256(dir, model), 'a digest');
  } finally {
    await disk.close();
  }
}

async function readsSome(
  t: Test,
  disk: { read(start: number, length: number): Promise<Buffer> },
  model: Buffer,
  random: Random,
): Promise<void> {
  const start = random.integer(0, SIZE - 1);
  const length = Math.min(SIZE - start, random.integer(1, random.pick([600, 5000, 300_000])));
  const expected = Buffer.from(model.subarray(start, start + length));
  const found = await disk.read(start, length);
  if (!found.equals(expected)) t.fail(`bytes ${start} to ${start + length} are not what was written before`);
}

async function digest(disk: Awaited<ReturnType<typeof openAes>>): Promise<string> {
  const job = native.createJob({
    sink: { type: 'digest', algorithms: ['sha256'] },
    control: new SharedArrayBuffer(64),
    threads: 2,
    segment: 2 ** 21,
    shortRead: 'zeros',
  });
  let at = 0;
  for await (const columns of extentBatches(disk)) {
    const end = columns.end();
    await job.submit(nativeBatch(columns, at, end));
    at = end;
  }
  const { digests } = await job.finish();
  return Buffer.from(digests!.sha256).toString('hex');
}

function sha256(dir: string, model: Buffer): string {
  writeFileSync(join(dir, 'model'), model);
  return run('sha256sum', ['model'], { cwd: dir }).split(' ')[0];
}

function make(dir: string, one: Case, random: Random): void {
  const args = ['create', '-q', '-f', 'qcow2', '-o', `${one.options},${AES_OPTIONS}`];
  mkdirSync(dir, { recursive: true });
  if (one.backing !== undefined) {
    writeFileSync(join(dir, 'base.raw'), random.bytes(one.backing));
    args.push('-b', join(dir, 'base.raw'), '-F', 'raw');
  }
  qemuImgWithSecret([...args, 'image.qcow2', String(SIZE)], dir);
  const commands: string[] = [];
  for (let n = 0; n < 8; n++) {
    const start = random.integer(0, SIZE - 1);
    const length = Math.min(SIZE - start, random.integer(1, 400_000));
    commands.push(`write -q -P ${random.integer(1, 255)} ${start} ${length}`);
  }
  qemuIoWithSecret('image.qcow2', commands, dir);
}

/** What qemu-img reads. */
function content(dir: string): Buffer {
  qemuImgWithSecret(['convert', '-O', 'raw', '--image-opts', imageOpts('image.qcow2'), 'content.raw'], dir);
  return readFileSync(join(dir, 'content.raw'));
}

function clusterSize(dir: string): number {
  return 2 ** readFileSync(join(dir, 'image.qcow2')).readUInt32BE(20);
}
