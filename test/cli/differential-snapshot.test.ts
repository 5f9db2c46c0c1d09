// `snapshot` beside qemu-img: words, exit codes, and images that qemu-img calls clean and reads alike.
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeSnapshots } from '../support/snapshotImages.js';
import { run } from '../support/tools.js';
import { shellWords, Twins } from '../support/twins.js';

const long = 'a'.repeat(300);

t.test('words', (t) =>
  new Twins(t, (dir) => makeSnapshots(dir)).table(t, [
    'snapshot',
    'snapshot s.qcow2',
    'snapshot -l flat.raw',
    'snapshot flat.raw',
    'snapshot -c s flat.raw',
    'snapshot -a s flat.raw',
    'snapshot -d s flat.raw',
    'snapshot -c s --image-opts driver=raw,file.filename=flat.raw',
    'snapshot -l plain.qcow2',
    'snapshot -l -c a s.qcow2',
    'snapshot -c a -c b s.qcow2',
    'snapshot -Z s.qcow2',
    'snapshot -f qcow2 -l s.qcow2',
    'snapshot -U -c x s.qcow2',
    'snapshot -a nope s.qcow2',
    'snapshot -d nope s.qcow2',
    'snapshot -d 1 s.qcow2',
    'snapshot -c s one.qcow2',
    'snapshot -c s data.qcow2',
    'snapshot -c s bm.qcow2',
    'snapshot -a s bm.qcow2',
    'snapshot -d s bm.qcow2 => bm.qcow2 qcow2',
    'snapshot -l nope',
    'snapshot -c a nope',
    'snapshot -l lost.qcow2',
    'snapshot -c a lost.qcow2',
    'snapshot a b',
    `snapshot -d ${long} s.qcow2`,
    `snapshot -a ${long} s.qcow2`,
  ]),
);

/** Besides what Twins compares: the list, and what every snapshot holds. Dates of the two may differ by a second. */
async function steps(t: Test, image: string, commands: readonly string[]): Promise<void> {
  const twins = new Twins(t, (dir) => makeSnapshots(dir, image));
  for (const command of commands) {
    if (command.startsWith('qemu-io')) {
      for (const cwd of twins.dirs) run('qemu-io', shellWords(command).slice(1), { cwd });
      continue;
    }
    await twins.table(t, [`${command} ${image} => ${image} qcow2`]);
    const { theirs, ours } = await twins.both(['snapshot', '-l', image]);
    const dateless = ({ stdout }: { stdout: string }) => stdout.replaceAll(/\d\d:\d\d:\d\d /g, '');
    t.equal(dateless(ours), dateless(theirs), `list after: ${command}`);
    const ids = [...theirs.stdout.matchAll(/^(\d+) /gm)].map(([, id]) => id);
    for (const id of ids) {
      const [a, b] = twins.dirs.map((cwd) => {
        run('qemu-img', ['convert', '-l', `snapshot.id=${id}`, '-O', 'raw', image, 'of.raw'], { cwd });
        return join(cwd, 'of.raw');
      });
      t.match(run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', a, b]), 'identical', `${id}: ${command}`);
    }
  }
}

t.test('other sizes, compressed and zero clusters', (t) =>
  steps(t, 's.qcow2', [
    'snapshot -c third',
    'snapshot -a first',
    'qemu-io -f qcow2 -c "write -P 77 0 100k" s.qcow2',
    "snapshot -c ''",
    'snapshot -a second',
    'snapshot -d first',
    'snapshot -a 4',
    'snapshot -d second',
    `snapshot -c ${long}`,
    'snapshot -d third',
    "snapshot -d ''",
  ]),
);

t.test('over a backing file', (t) =>
  steps(t, 'o.qcow2', [
    'snapshot -c one',
    'qemu-io -f qcow2 -c "write -P 77 64k 200k" -c "write -z 700k 64k" o.qcow2',
    'snapshot -c two',
    'snapshot -a one',
    'snapshot -d two',
    'snapshot -q -d one',
  ]),
);

t.test('subclusters', (t) =>
  steps(t, 'sub.qcow2', [
    'snapshot -c one',
    'qemu-io -f qcow2 -c "write -P 77 2k 2k" -c "write -P 78 210k 1k" sub.qcow2',
    'snapshot -a one',
    'snapshot -d one',
  ]),
);

t.test('version 2; twice the same name', (t) =>
  steps(t, 'v2.qcow2', [
    'snapshot -c one',
    'snapshot -c one',
    'qemu-io -f qcow2 -c "write -P 77 2k 2k" v2.qcow2',
    'snapshot -d one',
    'snapshot -a one',
  ]),
);

t.test('small clusters: refcount table and blocks by the hundred', (t) =>
  steps(t, 'tiny.qcow2', ['snapshot -c one', 'snapshot -c two', 'snapshot -d one', 'snapshot -a two']),
);

t.test('VM state behind the disk, an empty disk', async (t) => {
  await steps(t, 'vm.qcow2', ['snapshot -c one', 'snapshot -c two', 'snapshot -a one', 'snapshot -d one']);
  await steps(t, 'empty.qcow2', ['snapshot -c one', 'snapshot -a one', 'snapshot -d one']);
});
