// A cloud image as a distribution would publish one: a bootable disk with a real filesystem, as compressed qcow2.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { bootSector } from '../../test/support/bootDisk.js';
import { run } from '../../test/support/tools.js';

const MiB = 2 ** 20;
const DISK = 1024 * MiB;
const PARTITION = MiB;
const WANTED = 192 * MiB;

/** Boot sector + ext4 holding this machine's own files, compressed by qemu-img so that basecow reads a stranger's work. */
export function makeCloudImage(folder: string): string {
  const image = join(folder, 'cloud.qcow2');
  const raw = join(folder, 'cloud.raw');
  const files = join(folder, 'files');
  fs.mkdirSync(files);
  copyFiles('/usr', files);
  fs.closeSync(fs.openSync(raw, 'w'));
  fs.truncateSync(raw, DISK);
  const blocks = (DISK - PARTITION) / 4096;
  run('mke2fs', [
    '-q',
    '-F',
    '-t',
    'ext4',
    '-b',
    '4096',
    '-E',
    `offset=${PARTITION}`,
    '-d',
    files,
    raw,
    String(blocks),
  ]);
  const fd = fs.openSync(raw, 'r+');
  fs.writeSync(fd, bootSector(undefined, DISK / 512), 0, 512, 0);
  fs.closeSync(fd);
  run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '-c', raw, image]);
  fs.rmSync(raw);
  fs.rmSync(files, { recursive: true });
  return image;
}

function copyFiles(from: string, to: string): void {
  let bytes = 0;
  let count = 0;
  const walk = (folder: string): void => {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      if (bytes >= WANTED) return;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile() && fs.statSync(path).size < 16 * MiB) {
        fs.copyFileSync(path, join(to, `${count++}-${entry.name}`));
        bytes += fs.statSync(path).size;
      }
    }
  };
  walk(from);
}
