// What storage holds when the machine stops at any point: qemu-img check calls the image clean or leaking, and every
// sector of the guest holds its old or its new bytes. SEED=number runs other sequences, ROUNDS=number more of them.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { likeQemu } from '#src/disk/gates.js';
import { HostFile } from '#src/disk/hostFile.js';
import { resolveLimits } from '#src/disk/limits.js';
import { openDisk } from '#src/formats/open.js';
import { openWritableQcow2, type WritableQcow2Disk } from '#src/formats/qcow2/writable.js';
import { applyToDisk, applyToModel, type ChangeRules, randomChange } from '../../support/modelDisk.js';
import { Random } from '../../support/random.js';
import { crashed, RecordingFile } from '../../support/recordingFile.js';
import { run, tryRun } from '../../support/tools.js';

const SEED = Number(process.env.SEED ?? 5_200);
const ROUNDS = Number(process.env.ROUNDS ?? 1);
const CUTS = Number(process.env.CUTS ?? 9);
const SECTOR = 512;
const SIZE = 2 ** 20 + 3 * SECTOR;

interface Case {
  options: string;
  backing?: boolean;
  snapshot?: boolean;
  compressed?: boolean;
  /** The disk grows to this size in the middle: a longer L1 table. */
  grows?: number;
}

const cases: Record<string, Case> = {
  defaults: { options: 'cluster_size=64k' },
  'over a base': { options: 'cluster_size=16k', backing: true },
  'small clusters and wide refcounts: the refcount table grows': {
    options: 'cluster_size=512,refcount_bits=64',
  },
  'the L1 table grows': { options: 'cluster_size=512', grows: 4 * 2 ** 20 },
  snapshot: { options: 'cluster_size=4k', snapshot: true },
  'compressed, snapshot, base': {
    options: 'cluster_size=8k',
    compressed: true,
    snapshot: true,
    backing: true,
  },
  'extended entries over a base': { options: 'cluster_size=32k,extended_l2=on', backing: true },
  'extended entries, snapshot': { options: 'cluster_size=16k,extended_l2=on', snapshot: true },
  'version 2': { options: 'cluster_size=4k,compat=0.10' },
  preallocated: { options: 'cluster_size=4k,preallocation=metadata' },
};

for (let round = 0; round < ROUNDS; round++) {
  for (const [number, [name, one]] of Object.entries(cases).entries()) {
    const seed = SEED + 1000 * round + number;
    t.test(`${name} (seed ${seed})`, (t) => crash(t, one, new Random(seed)));
  }
}

/** Guest bytes at one moment of the log: `start` = what may be there from then on, `end` = settled. */
interface Version {
  start: number;
  settled: number;
  bytes: Buffer;
}

async function crash(t: Test, one: Case, random: Random): Promise<void> {
  const dir = t.testdir();
  const image = join(dir, 'image.qcow2');
  make(dir, one, random);
  const before = readFileSync(image);
  let model: Buffer = content(dir, 'image.qcow2');
  const file = new RecordingFile(await HostFile.open(image, { write: true }));
  const disk = await openRecorded(file);
  const clusterSize = disk.clusterSize;
  const rules: ChangeRules = { size: SIZE, clusterSize, alignment: SECTOR, most: 2 ** 17 };
  const versions: Version[] = [{ start: 0, settled: 0, bytes: Buffer.from(model) }];
  for (let i = 0; i < 30; i++) {
    if (one.grows && i === 12) {
      await disk.resize(one.grows);
      model = Buffer.concat([model, Buffer.alloc(one.grows - model.length)]);
      rules.size = one.grows;
    }
    const change = randomChange(random, i, rules);
    const start = file.log.length;
    applyToModel(model, change, { clusterSize, ignored: false });
    await applyToDisk(disk, change);
    versions.push({ start, settled: Number.POSITIVE_INFINITY, bytes: Buffer.from(model) });
    if (random.next() < 0.2) {
      await disk.flush();
      for (const version of versions) version.settled = Math.min(version.settled, file.log.length);
    }
  }
  await disk.close();
  t.match(run('qemu-img', ['check', '-f', 'qcow2', image]), 'No errors');
  t.ok(content(dir, 'image.qcow2').equals(model), 'closed without a crash');
  t.ok(file.log.length > 20, `a log of ${file.log.length} entries`);
  for (let i = 0; i < CUTS; i++) {
    const cut = random.integer(1, file.log.length);
    writeFileSync(join(dir, 'crashed.qcow2'), crashed(before, file.log, cut, random));
    const checked = tryRun('qemu-img', ['check', '-f', 'qcow2', 'crashed.qcow2'], { cwd: dir });
    const about = `cut ${i}: ${cut} of ${file.log.length} entries`;
    t.ok(checked.status === 0 || checked.status === 3, `${about}: clean or leaking`, {
      found: checked.stdout + checked.stderr,
    });
    t.equal(mixed(content(dir, 'crashed.qcow2'), versions, cut), undefined, `${about}: old or new`);
  }
}

/** The first sector that holds neither what it held when last settled nor anything written to it since. */
function mixed(found: Buffer, versions: readonly Version[], cut: number): string | undefined {
  // The last version that a flush before the cut settled, and all that began after it and before the cut.
  let first = 0;
  for (const [i, version] of versions.entries()) if (version.settled <= cut) first = i;
  const possible = versions.filter((version, i) => i >= first && (i === first || version.start <= cut));
  for (let at = 0; at < found.length; at += SECTOR) {
    const sector = found.subarray(at, at + SECTOR);
    const known = possible.some(({ bytes }) => {
      if (at < bytes.length) return bytes.compare(sector, 0, sector.length, at, at + sector.length) === 0;
      return sector.every((byte) => byte === 0);
    });
    if (!known) return `sector at ${at} begins with ${sector.toString('hex', 0, 16)}`;
  }
  return undefined;
}

function openRecorded(file: RecordingFile): Promise<WritableQcow2Disk> {
  return openWritableQcow2(file as unknown as HostFile, {
    limits: resolveLimits(),
    gate: likeQemu,
    chain: true,
    write: true,
    depth: 0,
    ancestors: [],
    lock: false,
    openBacking: (_name, format, image) =>
      openDisk(join(image.path, '..', 'base.raw'), { format: format ?? 'raw' }),
    openDataFile: () => Promise.reject(new RangeError('no data file here')),
  });
}

function make(dir: string, one: Case, random: Random): void {
  const cwd = dir;
  const args = ['create', '-q', '-f', 'qcow2', '-o', one.options];
  if (one.backing) {
    writeFileSync(join(dir, 'base.raw'), random.bytes(SIZE - 2 ** 18));
    args.push('-b', 'base.raw', '-F', 'raw');
  }
  run('qemu-img', [...args, 'image.qcow2', String(SIZE)], { cwd });
  const commands: string[] = [];
  for (let n = 0; n < 8; n++) {
    const start = SECTOR * random.integer(0, SIZE / SECTOR - 1);
    const length = Math.min(SIZE - start, SECTOR * random.integer(1, 200));
    commands.push(`write -q -P ${random.integer(1, 255)} ${start} ${length}`);
  }
  const words = commands.flatMap((command) => ['-c', command]);
  run('qemu-io', ['-f', 'qcow2', ...words, 'image.qcow2'], { cwd });
  if (one.compressed) {
    run('mv', ['image.qcow2', 'plain.qcow2'], { cwd });
    const backing = one.backing ? ['-B', 'base.raw', '-F', 'raw'] : [];
    const convert = ['convert', '-c', '-f', 'qcow2', '-O', 'qcow2', '-o', one.options, ...backing];
    run('qemu-img', [...convert, 'plain.qcow2', 'image.qcow2'], { cwd });
  }
  if (!one.snapshot) return;
  run('qemu-img', ['snapshot', '-c', 's0', 'image.qcow2'], { cwd });
  run('qemu-io', ['-f', 'qcow2', '-c', 'write -q -P 7 100k 100k', 'image.qcow2'], { cwd });
}

function content(dir: string, image: string): Buffer {
  run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', image, 'content.raw'], { cwd: dir });
  return readFileSync(join(dir, 'content.raw'));
}
