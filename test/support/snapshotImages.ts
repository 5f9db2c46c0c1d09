// Images with internal snapshots, as qemu-img makes them.
import { remembered } from './remembered.js';
import { run } from './tools.js';

/**
 * s.qcow2: two snapshots of other sizes, compressed clusters, zero clusters; o.qcow2 over a raw file; sub.qcow2 with subclusters;
 * v2.qcow2 of version 2; vm.qcow2 with data behind the disk's end (VM state); tiny.qcow2 of 512-byte clusters and one.qcow2
 * with one refcount bit; bm.qcow2 with a bitmap; data.qcow2 with an external data file; flat.raw. All of them, or `only` one.
 */
export const makeSnapshots = remembered(makeImages);

function makeImages(dir: string, only?: string): void {
  const img = (...args: string[]) => run('qemu-img', args, { cwd: dir });
  const io = (file: string, ...commands: string[]) =>
    run('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), file], { cwd: dir });
  const make = (file: string, size: string, ...options: string[]) =>
    img('create', '-q', '-f', 'qcow2', ...options, file, size);
  const makers: Record<string, () => void> = {
    's.qcow2': () => {
      make('plain.qcow2', '2M');
      io('plain.qcow2', 'write -P 1 0 300k', 'write -P 2 1000k 100k');
      img('convert', '-c', '-O', 'qcow2', '-o', 'cluster_size=16k', 'plain.qcow2', 's.qcow2');
      io('s.qcow2', 'write -P 3 50k 30k', 'write -z 320k 64k', 'write -P 4 1500k 20k');
      img('snapshot', '-c', 'first', 's.qcow2');
      io('s.qcow2', 'write -P 5 60k 100k', 'write -z -u 1000k 20k');
      img('resize', '-q', 's.qcow2', '3M');
      io('s.qcow2', 'write -P 6 2500k 100k');
      img('snapshot', '-c', 'second', 's.qcow2');
      io('s.qcow2', 'write -P 7 2600k 10k', 'write -P 8 0 5k');
    },
    'o.qcow2': () => {
      img('create', '-q', '-f', 'raw', 'under.raw', '3M');
      run('qemu-io', ['-f', 'raw', '-c', 'write -P 20 0 1M', 'under.raw'], { cwd: dir });
      make('o.qcow2', '3M', '-b', 'under.raw', '-F', 'raw');
      io('o.qcow2', 'write -P 9 100k 100k', 'write -z 512k 64k');
    },
    'sub.qcow2': () => {
      make('sub.qcow2', '2M', '-o', 'extended_l2=on,cluster_size=32k');
      io('sub.qcow2', 'write -P 10 3k 2k', 'write -P 11 200k 40k', 'write -z 300k 3k');
    },
    'v2.qcow2': () => {
      make('v2.qcow2', '1M', '-o', 'compat=0.10,cluster_size=4k');
      io('v2.qcow2', 'write -P 12 0 100k');
    },
    'vm.qcow2': () => {
      make('vm.qcow2', '1M', '-o', 'cluster_size=4k');
      io('vm.qcow2', 'write -P 13 8k 50k', 'write -P 14 -b 0 20k');
    },
    'tiny.qcow2': () => {
      make('tiny.qcow2', '1M', '-o', 'cluster_size=512,refcount_bits=64');
      io('tiny.qcow2', 'write -P 15 0 400k', 'write -P 16 700k 100k');
    },
    'one.qcow2': () => {
      make('one.qcow2', '1M', '-o', 'refcount_bits=1');
      io('one.qcow2', 'write -P 17 0 64k');
    },
    'bm.qcow2': () => {
      make('bm.qcow2', '1M');
      img('bitmap', '--add', 'bm.qcow2', 'b');
    },
    'data.qcow2': () => make('data.qcow2', '1M', '-o', 'data_file=data.raw'),
    'empty.qcow2': () => make('empty.qcow2', '0'),
    'lost.qcow2': () => make('lost.qcow2', '1M', '-u', '-b', 'nope', '-F', 'raw'),
    'flat.raw': () => img('create', '-q', '-f', 'raw', 'flat.raw', '1M'),
  };
  for (const [name, make] of Object.entries(makers)) if (only === undefined || only === name) make();
}
