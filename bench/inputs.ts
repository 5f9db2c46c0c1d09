// Benchmark inputs: a disk image holding a real ext4 filesystem of this machine's own files.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { run } from './process.js';

const MiB = 2 ** 20;
export const VIRTUAL_SIZE = 4096 * MiB;
const WANTED = 1024 * MiB;
const SOURCES = ['/usr/bin', '/usr/sbin', '/usr/lib', '/usr/share', '/usr/include', '/usr/local', '/opt'];

export interface Inputs {
  folder: string;
  /** Sparse raw disk, 4 GiB. */
  raw: string;
  /** The same as qcow2 (made by qemu-img): plain, zlib and zstd compressed. */
  qcow2: string;
  zlib: string;
  zstd: string;
  /** qcow2, 1 TiB, nothing in it. */
  empty: string;
  /** Bytes of files put into the filesystem. */
  dataBytes: number;
}

/** Makes what is missing below `folder`; later runs reuse it. */
export function makeInputs(folder: string): Inputs {
  fs.mkdirSync(folder, { recursive: true });
  const at = (name: string): string => join(folder, name);
  const inputs = {
    folder,
    raw: at('disk.raw'),
    qcow2: at('disk.qcow2'),
    zlib: at('disk.zlib.qcow2'),
    zstd: at('disk.zstd.qcow2'),
    empty: at('empty.qcow2'),
    dataBytes: 0,
  };
  if (!fs.existsSync(inputs.raw)) {
    const files = at('files');
    fs.rmSync(files, { recursive: true, force: true });
    fs.mkdirSync(files);
    collect(files);
    const made = at('disk.raw.part');
    fs.rmSync(made, { force: true });
    run('mke2fs', '-q', '-t', 'ext4', '-d', files, made, `${VIRTUAL_SIZE / MiB}M`);
    // mke2fs -d writes file tails and tables sparsely; cp settles the holes for good.
    run('cp', '--sparse=always', made, `${made}.sparse`);
    fs.renameSync(`${made}.sparse`, inputs.raw);
    fs.rmSync(made);
    fs.rmSync(files, { recursive: true });
  }
  const make = (path: string, ...args: string[]): void => {
    if (!fs.existsSync(path)) {
      run('qemu-img', ...args, `${path}.part`, ...(args[0] === 'create' ? ['1T'] : []));
      fs.renameSync(`${path}.part`, path);
    }
  };
  const convert = ['convert', '-f', 'raw', '-O', 'qcow2'];
  make(inputs.qcow2, ...convert, inputs.raw);
  make(inputs.zlib, ...convert, '-c', inputs.raw);
  make(inputs.zstd, ...convert, '-c', '-o', 'compression_type=zstd', inputs.raw);
  make(inputs.empty, 'create', '-q', '-f', 'qcow2');
  inputs.dataBytes = fs.statSync(inputs.raw).blocks * 512;
  return inputs;
}

/** Copies real files, in a fixed order, until there is about 1 GiB of them. */
function collect(into: string): number {
  let bytes = 0;
  let count = 0;
  const walk = (folder: string): void => {
    for (const entry of fs
      .readdirSync(folder, { withFileTypes: true })
      .sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (bytes >= WANTED) return;
      const path = join(folder, entry.name);
      try {
        if (entry.isDirectory()) walk(path);
        else if (entry.isFile()) {
          const { size } = fs.statSync(path);
          if (size > 256 * MiB) continue;
          // A thousand files to a folder, as a package cache would have them.
          const target = join(into, String(Math.floor(count / 1000)));
          fs.mkdirSync(target, { recursive: true });
          fs.copyFileSync(path, join(target, `${count}-${entry.name}`));
          bytes += size;
          count++;
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
      }
    }
  };
  for (const source of SOURCES) if (fs.existsSync(source)) walk(source);
  return bytes;
}
