// Backing chains for the verbs that change them.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from './random.js';
import { remembered } from './remembered.js';
import { run } from './tools.js';

const KiB = 1024;

/**
 * base.qcow2 (1 MiB, data) <- mid.qcow2 (2 MiB) <- top.qcow2 (3 MiB), each of its own cluster size; flat.raw <- over.qcow2;
 * v2.qcow2, of version 2, and sub.qcow2, with subclusters, over base.qcow2; short.qcow2 ends before base.qcow2 does.
 */
export const makeChains = remembered(makeAll);

function makeAll(dir: string): void {
  const img = (...args: string[]) => run('qemu-img', args, { cwd: dir });
  const io = (file: string, ...commands: string[]) =>
    run('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), file], { cwd: dir });
  const overlay = (file: string, backing: string, format: string, size: string, options = 'compat=1.1') =>
    img('create', '-q', '-f', 'qcow2', '-o', options, '-b', backing, '-F', format, file, size);
  img('create', '-q', '-f', 'qcow2', 'base.qcow2', '1M');
  io('base.qcow2', 'write -P 1 0 200k', 'write -P 2 500k 300k', 'write -P 3 1000k 24k');
  overlay('mid.qcow2', 'base.qcow2', 'qcow2', '2M', 'cluster_size=4k');
  io('mid.qcow2', 'write -P 4 100k 30k', 'write -z 520k 40k', 'write -P 5 1500k 10k');
  overlay('top.qcow2', 'mid.qcow2', 'qcow2', '3M', 'cluster_size=32k');
  io('top.qcow2', 'write -P 6 110k 5k', 'write -P 7 600k 100k', 'write -z 1490k 20k', 'write -P 8 2500k 512');
  writeFileSync(join(dir, 'flat.raw'), new Random(11).bytes(700 * KiB));
  overlay('over.qcow2', 'flat.raw', 'raw', '1M');
  io('over.qcow2', 'write -P 9 64k 64k', 'write -z 256k 128k', 'write -P 10 700k 100k');
  overlay('v2.qcow2', 'base.qcow2', 'qcow2', '1M', 'compat=0.10');
  io('v2.qcow2', 'write -P 11 300k 400k');
  overlay('sub.qcow2', 'base.qcow2', 'qcow2', '1M', 'extended_l2=on,cluster_size=128k');
  io('sub.qcow2', 'write -P 12 130k 2k', 'write -z 640k 64k', 'write -P 13 4k 4k');
  overlay('short.qcow2', 'base.qcow2', 'qcow2', '512k');
  io('short.qcow2', 'write -P 14 0 10k');
  overlay('tall.qcow2', 'short.qcow2', 'qcow2', '1M');
  io('tall.qcow2', 'write -P 15 64k 10k');
  img('create', '-q', '-f', 'qcow2', 'alone.qcow2', '1M');
  img('create', '-q', '-f', 'raw', 'zero.raw', '1M');
  img('convert', '-c', '-O', 'qcow2', '-o', 'cluster_size=8k', 'base.qcow2', 'packed.qcow2');
}
