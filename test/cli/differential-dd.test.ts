// `dd` beside qemu-img.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Random } from '../support/random.js';
import { run } from '../support/tools.js';
import { Twins } from '../support/twins.js';

const twins = new Twins(t, (dir) => {
  const img = (...args: string[]) => run('qemu-img', args, { cwd: dir });
  img('create', '-q', '-f', 'qcow2', 'base.qcow2', '2M');
  run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 3 64k 200k', '-c', 'write -P 4 1M 77k', 'base.qcow2'], {
    cwd: dir,
  });
  img('convert', '-c', '-O', 'qcow2', 'base.qcow2', 'packed.qcow2');
  img('create', '-q', '-f', 'qcow2', '-b', 'packed.qcow2', '-F', 'qcow2', 'a.qcow2', '3M');
  run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 5 100k 10k', '-c', 'write -z 1M 4k', 'a.qcow2'], {
    cwd: dir,
  });
  writeFileSync(join(dir, 'odd.raw'), new Random(3).bytes(100_001));
});

await twins.table(t, [
  'dd',
  'dd if=a.qcow2',
  'dd of=x',
  'dd if=a.qcow2 of=x => x raw',
  'dd -f qcow2 -O qcow2 if=a.qcow2 of=x => x qcow2',
  'dd -O qcow2 bs=1000 skip=111 count=2222 if=a.qcow2 of=x => x qcow2',
  'dd bs=3k skip=37 if=a.qcow2 of=x => x raw',
  'dd -f raw -O qcow2 bs=1M if=odd.raw of=x => x qcow2',
  'dd -f raw -O raw bs=1000 count=3 if=odd.raw of=x => x raw',
  'dd -f raw bs=1000 count=3 skip=99 if=odd.raw of=x',
  'dd -f raw bs=1000 skip=101 if=odd.raw of=x',
  'dd -f raw -O qcow2 bs=1000 skip=101 if=odd.raw of=x => x qcow2',
  'dd -f raw bs=1000 skip=100 if=odd.raw of=x => x raw',
  'dd bs=1k count=2 skip=1 -f raw if=odd.raw of=y => y raw',
  'dd count=0 if=odd.raw -f raw of=c',
  'dd -f raw bs=1 count=5 if=odd.raw of=c => c raw',
  'dd bs=0 if=a of=b',
  'dd bs=foo if=a of=b',
  'dd bs=2G if=odd.raw of=b',
  'dd bs=99999999999999999999 if=odd.raw of=b',
  'dd count=foo if=a of=b',
  'dd count=-1 if=a of=b',
  'dd count=9999999999999999999 if=a of=b',
  'dd skip=zz if=a of=b',
  'dd -f raw skip=999999999999999999 if=odd.raw of=c',
  'dd seek=1 if=a of=b',
  'dd foo if=a.qcow2 of=b',
  'dd if=nope of=b',
  'dd -O foo if=a.qcow2 of=b',
  'dd -f foo if=a.qcow2 of=b',
  'dd if=a.qcow2 of=/nonexist/b',
  'dd if= of=b',
  'dd -Z if=a of=b',
  'dd -n if=a of=b',
  'dd -U if=a.qcow2 of=b => b raw',
  'dd --image-opts if=driver=qcow2,file.filename=a.qcow2 of=b => b raw',
  'dd -f qcow2 --image-opts if=driver=qcow2,file.filename=a.qcow2 of=b',
  'dd if=a.qcow2 of=a.qcow2',
]);
