// Images encrypted the old way (AES-CBC, numbered by guest sectors), made, read and checked by qemu's programs.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { extentBatches, nativeBatch } from '#src/disk/view.js';
import type { WritableQcow2Disk } from '#src/formats/qcow2/writable.js';
import { native } from '#src/native.js';
import {
  AES_OPTIONS,
  imageOpts,
  openAes,
  qemuImgWithSecret,
  qemuIoWithSecret,
} from '../../support/encryptedImages.js';
import { applyToDisk, applyToModel, randomChange } from '../../support/modelDisk.js';
import { Random } from '../../support/random.js';
import { run } from '../../support/tools.js';

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
