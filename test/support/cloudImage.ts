// Small images that are what clouds hand out: a partitioned disk in a compressed qcow2 file.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { bootSector } from './bootDisk.js';
import type { Random } from './random.js';
import { qemuImg, run } from './tools.js';

const MiB = 2 ** 20;

export interface CloudImage {
  /** Compressed qcow2. */
  path: string;
  /** The same disk, raw. */
  raw: string;
  /** Bytes of guest disk. */
  size: number;
}

/** A disk of `size` bytes with a partition table and `data` bytes of random content here and there. */
export function cloudImage(folder: string, random: Random, size = 24 * MiB, data = 3 * MiB): CloudImage {
  fs.mkdirSync(folder, { recursive: true });
  const raw = join(folder, 'cloud.raw');
  const path = join(folder, 'cloud.qcow2');
  const fd = fs.openSync(raw, 'w');
  fs.ftruncateSync(fd, size);
  fs.writeSync(fd, bootSector(undefined, size / 512), 0, 512, 0);
  for (let done = 0; done < data; done += MiB / 4) {
    const offset = random.integer(1, size / (MiB / 4) - 1) * (MiB / 4);
    // Half random, half text: compressed clusters of both kinds, plain and deflated.
    const piece = Buffer.concat([random.bytes(MiB / 8), Buffer.alloc(MiB / 8, `block ${offset} `)]);
    fs.writeSync(fd, piece, 0, piece.length, offset);
  }
  fs.closeSync(fd);
  qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, path);
  return { path, raw, size };
}

export const digestOf = (program: 'md5sum' | 'sha256sum' | 'sha512sum', path: string): string =>
  run(program, ['--', path]).split(' ')[0];

/** Every file and folder below `folder`, relative, sorted; folders end with a slash. */
export function tree(folder: string): string[] {
  if (!fs.existsSync(folder)) return [];
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .map(
      (entry) =>
        join(entry.parentPath, entry.name).slice(folder.length + 1) + (entry.isDirectory() ? '/' : ''),
    )
    .sort();
}
