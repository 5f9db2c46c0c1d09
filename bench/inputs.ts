// Inputs, made when a row needs them and kept for the next run. The main one is a disk image that holds a real ext4
// filesystem of this machine's own files.
import { createCipheriv } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { run } from './programs.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const TiB = 2 ** 40;
const SOURCES = ['/usr/bin', '/usr/sbin', '/usr/lib', '/usr/share', '/usr/include', '/usr/local', '/opt'];

export const EMPTY_SIZE = TiB;
/** Of the layers that have a piece every other one. */
export const PIECE = 4096;
export const CLUSTER = 65536;

export type InputName =
  /** Sparse raw disk of real files, four times as large as its data. */
  | 'raw'
  /** The same as qcow2, made by qemu-img: plain, compressed. */
  | 'qcow2'
  | 'zlib'
  | 'zstd'
  /** qcow2, 1 TiB, nothing in it. */
  | 'empty'
  /** Raw, all of it data that can't be compressed. */
  | 'dense'
  /** Raw, 1 TiB, the bytes of `dense` spread over it. */
  | 'sparse'
  /** Raw, every other 4 KiB a hole. */
  | 'every4k'
  /** qcow2, every other cluster of the guest unallocated. */
  | 'everyCluster'
  /** qcow2, four times the data in clusters of 4 KiB that lie in a shuffled order: for 1 GiB, a million extents. */
  | 'scattered'
  /** qcow2, 64 times the data, a sixteenth of it in clusters that lie in a shuffled order, over `spreadBase`. */
  | 'spread'
  /** The same guest disk, its clusters in another order. */
  | 'spreadTwin'
  /** qcow2 of that size, nothing in it. */
  | 'spreadBase'
  /** qcow2, 16 TiB, nothing in it. */
  | 'huge';

/** Bytes between pieces of `dense` in `sparse`. */
const SPREAD_PIECE = 16 * MiB;

export class Inputs {
  readonly folder: string;
  /** Bytes of real data in `raw`, about; and exactly in `dense`. */
  readonly dataBytes: number;

  /** `dataBytes`: a power of two, at least 64 MiB. */
  constructor(folder: string, dataBytes: number) {
    this.folder = folder;
    this.dataBytes = dataBytes;
    fs.mkdirSync(folder, { recursive: true });
  }

  path(name: InputName): string {
    return join(this.folder, `${name}.${QCOW2.has(name) ? 'qcow2' : 'raw'}`);
  }

  /** A name for what rows make. */
  scratch(name: string): string {
    return join(this.folder, name);
  }

  /** Guest bytes of `raw`. */
  get virtualSize(): number {
    return 4 * this.dataBytes;
  }

  /** Bytes that `raw` really holds. Made when it is not there. */
  get allocated(): number {
    this.make('raw');
    return fs.statSync(this.path('raw')).blocks * 512;
  }

  /** Makes those that are missing. */
  make(...names: InputName[]): void {
    for (const name of names) {
      const path = this.path(name);
      if (fs.existsSync(path)) continue;
      const part = `${path}.part`;
      fs.rmSync(part, { force: true });
      this.#recipes[name](part);
      // What is written back later would be in the way of what is measured.
      run('sync', part);
      fs.renameSync(part, path);
    }
  }

  readonly #recipes: Readonly<Record<InputName, (part: string) => void>> = {
    raw: (part) => this.#filesystem(part),
    qcow2: (part) => this.#converted(part),
    zlib: (part) => this.#converted(part, '-c'),
    zstd: (part) => this.#converted(part, '-c', '-o', 'compression_type=zstd'),
    empty: (part) => void run('qemu-img', 'create', '-q', '-f', 'qcow2', part, String(EMPTY_SIZE)),
    dense: (part) => writeNoise(part, this.dataBytes, this.dataBytes, this.dataBytes, 0),
    sparse: (part) =>
      writeNoise(part, this.dataBytes, TiB, SPREAD_PIECE, TiB / (this.dataBytes / SPREAD_PIECE)),
    every4k: (part) => writeNoise(part, this.dataBytes, 2 * this.dataBytes, PIECE, 2 * PIECE),
    everyCluster: (part) => this.#layered(part, CLUSTER, 2 * CLUSTER),
    scattered: (part) => this.#shuffled(part, 4 * this.dataBytes, PIECE, 1, 0x9e3779b1),
    spread: (part) => this.#spread(part, 0x9e3779b1),
    spreadTwin: (part) => this.#spread(part, 0x85ebca6b),
    spreadBase: (part) => void run('qemu-img', 'create', '-q', '-f', 'qcow2', part, String(this.spreadSize)),
    huge: (part) => void run('qemu-img', 'create', '-q', '-f', 'qcow2', part, '16T'),
  };

  /** Guest bytes of `spread`. */
  get spreadSize(): number {
    return 64 * this.dataBytes;
  }

  #spread(part: string, stride: number): void {
    this.make('spreadBase');
    const backing = ['-b', this.path('spreadBase'), '-F', 'qcow2'];
    this.#shuffled(part, this.spreadSize, CLUSTER, 16, stride, backing);
  }

  #converted(part: string, ...words: string[]): void {
    this.make('raw');
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', ...words, this.path('raw'), part);
  }

  #filesystem(part: string): void {
    const files = this.scratch('files');
    fs.rmSync(files, { recursive: true, force: true });
    fs.mkdirSync(files);
    collectFiles(files, this.dataBytes);
    const made = `${part}.ext4`;
    fs.rmSync(made, { force: true });
    run('mke2fs', '-q', '-t', 'ext4', '-d', files, made, `${this.virtualSize / MiB}M`);
    // mke2fs -d leaves zeros here and there; cp settles the holes for good.
    run('cp', '--sparse=always', made, part);
    fs.rmSync(made);
    fs.rmSync(files, { recursive: true });
  }

  /** qcow2 whose pieces of `piece` bytes, one each `step` bytes, are allocated. */
  #layered(part: string, piece: number, step: number): void {
    const raw = `${part}.raw`;
    writeNoise(raw, this.dataBytes, (this.dataBytes / piece) * step, piece, step);
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, part);
    fs.rmSync(raw);
  }

  /**
   * A qcow2 of `size` bytes of which every `step`th piece of `piece` bytes is data: one cluster each. Clusters are placed in
   * the order in which they are written, so they are written in a shuffled one, which `stride` (odd) makes. qemu-io takes
   * all commands on one line of input each, in one process.
   */
  #shuffled(
    part: string,
    size: number,
    piece: number,
    step: number,
    stride: number,
    backing: readonly string[] = [],
  ): void {
    const options = ['-o', `cluster_size=${piece}`, ...backing];
    run('qemu-img', 'create', '-q', '-f', 'qcow2', ...options, part, String(size));
    const pieces = size / piece / step;
    const commands: string[] = [];
    for (let i = 0; i < pieces; i++) {
      // Multiplying by a number that has no divisor in common with a power of two visits every piece once.
      const at = Number((BigInt(i) * BigInt(stride)) % BigInt(pieces)) * step;
      commands.push(`write -q -P ${1 + (at % 255)} ${at * piece} ${piece}\n`);
    }
    feedQemuIo(part, commands);
  }
}

/** qemu-io does all commands, each a line, in one process. */
function feedQemuIo(image: string, commands: readonly string[]): void {
  const list = `${image}.commands`;
  fs.writeFileSync(list, commands.join(''));
  run('sh', '-c', 'qemu-io -t unsafe -f qcow2 "$0" < "$1" > /dev/null', image, list);
  fs.rmSync(list);
}

const QCOW2: ReadonlySet<InputName> = new Set([
  'qcow2',
  'zlib',
  'zstd',
  'empty',
  'everyCluster',
  'scattered',
  'spread',
  'spreadTwin',
  'spreadBase',
  'huge',
]);

/**
 * A sparse file of `size` bytes with `data` bytes of the same noise every time (AES-128-CTR of zeros), in pieces of
 * `piece` bytes that begin `step` bytes apart (0: without a gap).
 */
function writeNoise(path: string, data: number, size: number, piece: number, step: number): void {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16));
  const zeros = Buffer.alloc(Math.min(piece, 4 * MiB));
  const fd = fs.openSync(path, 'wx');
  try {
    fs.ftruncateSync(fd, size);
    let at = 0;
    let inPiece = 0;
    for (let written = 0; written < data; written += zeros.length) {
      fs.writeSync(fd, cipher.update(zeros), 0, zeros.length, at + inPiece);
      inPiece += zeros.length;
      if (step > 0 && inPiece === piece) {
        at += step;
        inPiece = 0;
      }
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** Copies real files, in a fixed order, until there is about `wanted` bytes of them. */
function collectFiles(into: string, wanted: number): void {
  let bytes = 0;
  let count = 0;
  const copy = (path: string, name: string): void => {
    const { size } = fs.statSync(path);
    if (size > Math.min(wanted, GiB) / 4) return;
    // A thousand files to a folder, as a package cache would have them.
    const target = join(into, String(Math.floor(count / 1000)));
    fs.mkdirSync(target, { recursive: true });
    fs.copyFileSync(path, join(target, `${count}-${name}`));
    bytes += size;
    count++;
  };
  const walk = (folder: string): void => {
    const entries = fs.readdirSync(folder, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (bytes >= wanted) return;
      const path = join(folder, entry.name);
      try {
        if (entry.isDirectory()) walk(path);
        else if (entry.isFile()) copy(path, entry.name);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
      }
    }
  };
  for (const source of SOURCES) if (fs.existsSync(source)) walk(source);
}
