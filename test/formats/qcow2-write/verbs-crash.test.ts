// Verbs that change an image as a whole, stopped at any point: qemu-img check calls what storage holds clean (a leak at
// most), and the guest reads what it read before or what it reads afterwards. SEED=number runs other tears, CUTS=number
// more of them.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { JobControl } from '#src/disk/control.js';
import { likeQemu } from '#src/disk/gates.js';
import { HostFile } from '#src/disk/hostFile.js';
import { resolveLimits } from '#src/disk/limits.js';
import { openDisk } from '#src/formats/open.js';
import { qcow2 } from '#src/formats/qcow2/index.js';
import { openWritableQcow2, type WritableQcow2Disk } from '#src/formats/qcow2/writable.js';
import { Random } from '../../support/random.js';
import { crashed, RecordingFile } from '../../support/recordingFile.js';
import { makeSnapshots } from '../../support/snapshotImages.js';
import { run, tryRun } from '../../support/tools.js';

const SEED = Number(process.env.SEED ?? 7_300);
const CUTS = Number(process.env.CUTS ?? 3);

interface Case {
  image: string;
  work(disk: WritableQcow2Disk): Promise<unknown>;
}

const snapshots = qcow2.snapshots!;
const taken = { name: 'crash', microseconds: 1_700_000_000_000_000 };
const amended = (options: Record<string, string>) => (disk: WritableQcow2Disk) =>
  qcow2.amend!(disk, options, new JobControl());

const cases: Record<string, Case> = {
  'snapshot made': { image: 's.qcow2', work: (disk) => snapshots.create(disk, taken) },
  'snapshot applied': { image: 's.qcow2', work: (disk) => snapshots.apply(disk, { name: 'first' }) },
  'snapshot deleted': { image: 's.qcow2', work: (disk) => snapshots.remove(disk, { name: 'second' }) },
  'snapshot made, clusters of 512 bytes': {
    image: 'tiny.qcow2',
    work: (disk) => snapshots.create(disk, taken),
  },
  'snapshot made, subclusters': { image: 'sub.qcow2', work: (disk) => snapshots.create(disk, taken) },
  'version 2 to 3': { image: 'v2.qcow2', work: amended({ compat: '1.1' }) },
  'version 3 to 2: zero flags expanded': { image: 'o.qcow2', work: amended({ compat: '0.10' }) },
  'refcounts of 64 bits': { image: 's.qcow2', work: amended({ refcount_bits: '64' }) },
  'refcounts of 1 bit, clusters of 512 bytes': { image: 'tiny.qcow2', work: amended({ refcount_bits: '1' }) },
  'lazy refcounts': { image: 's.qcow2', work: amended({ lazy_refcounts: 'on' }) },
  'another backing file': {
    image: 'o.qcow2',
    work: (disk) => qcow2.changeBacking!(disk, { name: 'other-one.raw', format: 'raw' }),
  },
  'no backing file': { image: 'o.qcow2', work: (disk) => qcow2.changeBacking!(disk, undefined) },
  emptied: { image: 'o.qcow2', work: (disk) => qcow2.makeEmpty!(disk) },
  'emptied, clusters of 512 bytes': { image: 'tiny.qcow2', work: (disk) => qcow2.makeEmpty!(disk) },
};

for (const [number, [name, one]] of Object.entries(cases).entries()) {
  t.test(`${name} (seed ${SEED + number})`, (t) => crash(t, one, new Random(SEED + number)));
}

async function crash(t: Test, one: Case, random: Random): Promise<void> {
  const dir = t.testdir();
  makeSnapshots(dir, one.image);
  writeFileSync(join(dir, 'other-one.raw'), random.bytes(2 ** 20));
  const image = join(dir, one.image);
  const before = readFileSync(image);
  const old = state(dir, one.image);
  const file = new RecordingFile(await HostFile.open(image, { write: true }));
  const disk = await openRecorded(file, dir);
  await one.work(disk);
  await disk.close();
  t.match(run('qemu-img', ['check', '-f', 'qcow2', one.image], { cwd: dir }), 'No errors');
  const settled = state(dir, one.image);
  t.not(settled, old, 'something changed');
  const writes = [...file.log.entries()].filter(([, entry]) => entry.kind === 'write' && entry.offset < 512);
  // Around each write of the header's first sector, and anywhere.
  const cuts = new Set(writes.flatMap(([at]) => [at, at + 1]));
  for (let i = 0; i < CUTS; i++) cuts.add(random.integer(1, file.log.length));
  for (const cut of cuts) {
    const about = `cut at ${cut} of ${file.log.length} entries`;
    writeFileSync(join(dir, 'crashed.qcow2'), crashed(before, file.log, cut, random));
    const checked = tryRun('qemu-img', ['check', '-f', 'qcow2', 'crashed.qcow2'], { cwd: dir });
    t.ok(checked.status === 0 || checked.status === 3, `${about}: clean or leaking`, {
      found: checked.stdout + checked.stderr,
    });
    const found = state(dir, 'crashed.qcow2');
    t.ok(
      [old, settled].some((known) => content(known) === content(found)),
      `${about}: old or new content`,
    );
  }
}

/** What the guest reads, as base64, and what info says besides names and sizes of files. */
function state(cwd: string, image: string): string {
  copyFileSync(join(cwd, image), join(cwd, 'copy.qcow2'));
  run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', 'copy.qcow2', 'content.raw'], { cwd });
  const info = JSON.parse(run('qemu-img', ['info', '--output=json', 'copy.qcow2'], { cwd }));
  const bytes = readFileSync(join(cwd, 'content.raw'));
  return `${bytes.toString('latin1')}\0info${JSON.stringify(info)}`;
}

function content(state: string): string {
  return state.slice(0, state.lastIndexOf('\0info'));
}

function openRecorded(file: RecordingFile, dir: string): Promise<WritableQcow2Disk> {
  return openWritableQcow2(file as unknown as HostFile, {
    limits: resolveLimits(),
    gate: likeQemu,
    chain: true,
    write: true,
    depth: 0,
    ancestors: [],
    lock: false,
    openBacking: (name, format) => openDisk(join(dir, name), { format: format ?? 'raw' }),
    openDataFile: () => Promise.reject(new RangeError('no data file here')),
  });
}
