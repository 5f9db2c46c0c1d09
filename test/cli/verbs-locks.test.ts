// Verbs that write, while another descriptor holds QEMU's locks on one image of the chain: the words are qemu-img's, and
// nothing on disk changes.
import { join } from 'node:path';
import t from 'tap';
import { HostFile } from '#src/disk/hostFile.js';
import { LockModes } from '#src/disk/lock.js';
import { makeChains } from '../support/chainImages.js';
import { md5sum } from '../support/tools.js';
import { shellWords, Twins } from '../support/twins.js';

const held: [mode: 'read' | 'write', file: string, commands: string[]][] = [
  [
    'write',
    'mid.qcow2',
    [
      'commit top.qcow2',
      'commit -b base.qcow2 top.qcow2',
      'rebase -b base.qcow2 -F qcow2 top.qcow2',
      'rebase -b mid.qcow2 -F qcow2 over.qcow2',
      'rebase -u -b base.qcow2 -F qcow2 mid.qcow2',
      'snapshot -c one mid.qcow2',
      'snapshot -l mid.qcow2',
      'amend -o compat=0.10 mid.qcow2',
      'dd if=mid.qcow2 of=new.raw',
      'dd if=flat.raw of=mid.qcow2',
    ],
  ],
  [
    'read',
    'mid.qcow2',
    [
      'commit top.qcow2',
      'commit -b base.qcow2 top.qcow2',
      'snapshot -d one mid.qcow2',
      'snapshot -l mid.qcow2',
      'amend -o lazy_refcounts=on mid.qcow2',
      'rebase -u mid.qcow2',
    ],
  ],
  ['read', 'base.qcow2', ['commit mid.qcow2', 'commit -b base.qcow2 top.qcow2']],
  ['read', 'flat.raw', ['commit over.qcow2']],
];

for (const [mode, file, commands] of held) {
  t.test(`${mode} lock on ${file}`, async (t) => {
    const twins = new Twins(t, makeChains);
    const holders: HostFile[] = [];
    for (const dir of twins.dirs) {
      const holder = await HostFile.open(join(dir, file), { write: true });
      holder.lock(LockModes[mode]);
      holders.push(holder);
    }
    const images = ['base.qcow2', 'mid.qcow2', 'top.qcow2', 'over.qcow2', 'flat.raw'];
    const sums = () => images.map((image) => md5sum(join(twins.dirs[1], image)));
    const before = sums();
    for (const command of commands) {
      const { theirs, ours } = await twins.both(shellWords(command));
      t.strictSame(ours, theirs, command);
    }
    t.strictSame(sums(), before, 'nothing has changed');
    for (const holder of holders) await holder.close();
  });
}
