// Images that qemu-img and qemu-io make from a seed.
import { join } from 'node:path';
import type { Random } from './random.js';
import { qemuImg, qemuIo } from './tools.js';

/** qemu-io commands that write, zero and discard at random places of a disk of `size` bytes. */
export function randomWrites(random: Random, size: number, count: number): string[] {
  const commands: string[] = [];
  for (let i = 0; i < count; i++) {
    const start = random.integer(0, size / 512 - 1) * 512;
    const length = Math.min(size - start, random.integer(1, 512) * 512);
    const what = random.integer(0, 9);
    if (what < 6) commands.push(`write -P ${random.integer(1, 255)} ${start} ${length}`);
    else if (what < 8) commands.push(`write -z ${start} ${length}`);
    else commands.push(`write -P 0 ${start} ${length}`);
  }
  return commands;
}

/** A raw image with data at random places. */
export function randomRaw(path: string, random: Random, size: number, writes = 12): string {
  qemuImg('create', '-q', '-f', 'raw', path, String(size));
  qemuIo(path, 'raw', ...randomWrites(random, size, writes));
  return path;
}

export interface ChainOptions {
  /** Layers; the lowest is raw. */
  depth: number;
  /** Bytes; each layer may be larger by 64 KiB multiples or smaller. */
  size: number;
  /** `-o` of every qcow2 layer. */
  options?: string;
  /** Sizes of the layers differ. */
  uneven?: boolean;
}

/** A chain of `depth` layers with random content in each; returns the layers' paths, lowest first. */
export function randomChain(
  dir: string,
  random: Random,
  { depth, size, options, uneven }: ChainOptions,
): string[] {
  const paths = [randomRaw(join(dir, 'layer0.raw'), random, size)];
  for (let layer = 1; layer < depth; layer++) {
    const path = join(dir, `layer${layer}.qcow2`);
    const own = uneven ? size + random.integer(-4, 8) * 65536 + 512 * random.integer(0, 3) : size;
    const backing = [`-b`, paths[layer - 1], '-F', layer === 1 ? 'raw' : 'qcow2'];
    const extra = options ? ['-o', options] : [];
    qemuImg('create', '-q', '-f', 'qcow2', ...backing, ...extra, path, String(own));
    qemuIo(path, 'qcow2', ...randomWrites(random, own, 6));
    paths.push(path);
  }
  return paths;
}
