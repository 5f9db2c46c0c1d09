// Images of every kind that the command line has something to say about.
import { closeSync, copyFileSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from './random.js';
import { run } from './tools.js';

function poke(path: string, offset: number, bytes: number[]): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Uint8Array.from(bytes), 0, bytes.length, offset);
  closeSync(fd);
}

const REFCOUNT_BLOCK = 0x20000;

/** Fills `dir`; deterministic but for the times of the snapshots. */
export function makeCliImages(dir: string): void {
  const img = (...args: string[]) => run('qemu-img', args, { cwd: dir });
  const io = (file: string, ...commands: string[]) =>
    run('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), file], { cwd: dir });
  const overlay = (file: string, backing: string, format: string) =>
    img('create', '-q', '-f', 'qcow2', '-u', '-b', backing, '-F', format, file, '1M');
  img('create', '-q', '-f', 'qcow2', 'a.qcow2', '10M');
  io('a.qcow2', 'write -P 5 1M 100k');
  img('create', '-q', '-f', 'raw', 'r.raw', '1M');
  img('create', '-q', '-f', 'raw', 'grow.raw', '1M');
  writeFileSync(join(dir, 'odd.raw'), new Random(7).bytes(100_000));
  writeFileSync(join(dir, 'empty'), '');
  writeFileSync(join(dir, 'short.qcow2'), 'hi\n');
  img('create', '-q', '-f', 'qcow2', '-b', 'a.qcow2', '-F', 'qcow2', 'o.qcow2');
  io('o.qcow2', 'write -P 7 3M 64k', 'write -z 1M 64k');
  img('convert', '-c', '-O', 'qcow2', 'a.qcow2', 'comp.qcow2');
  img('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k,lazy_refcounts=on', 's.qcow2', '1M');
  img('snapshot', '-c', 'snap1', 's.qcow2');
  img('snapshot', '-c', 'other name', 's.qcow2');
  img('bitmap', '--add', 's.qcow2', 'bm1');
  img('create', '-q', '-f', 'qcow2', '-o', 'compat=0.10', 'v2.qcow2', '1M');
  img('create', '-q', '-f', 'qcow2', '-o', 'data_file=df.raw,data_file_raw=on', 'd.qcow2', '1M');
  overlay('parent.qcow2', 'dir/../a.qcow2', 'qcow2');
  overlay('lost.qcow2', '/nonexist/a.qcow2', 'raw');
  overlay('liar.qcow2', 'r.raw', 'qcow2');
  overlay('loop1.qcow2', 'loop2.qcow2', 'qcow2');
  overlay('loop2.qcow2', 'loop1.qcow2', 'qcow2');
  copyFileSync(join(dir, 'a.qcow2'), join(dir, 'corrupt.qcow2'));
  poke(join(dir, 'corrupt.qcow2'), REFCOUNT_BLOCK + 8, [0, 0]);
  copyFileSync(join(dir, 'a.qcow2'), join(dir, 'leak.qcow2'));
  poke(join(dir, 'leak.qcow2'), REFCOUNT_BLOCK + 8, [0, 2]);
  copyFileSync(join(dir, 'a.qcow2'), join(dir, 'v9.qcow2'));
  poke(join(dir, 'v9.qcow2'), 4, [0, 0, 0, 9]);
}
