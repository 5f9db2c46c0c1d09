import type { Disk } from '../disk/disk.js';

/** Guest bytes per thread step: large enough to amortise a system call, small enough for many threads. */
const SEGMENT = 2 ** 20;

/** Every layer of a chain, top first. */
export function layers(disk: Disk): Disk[] {
  const found: Disk[] = [];
  for (let layer: Disk | undefined = disk; layer; layer = layer.backing) found.push(layer);
  return found;
}

/**
 * Bytes: 1 MiB, or the largest cluster of the disks and `alignment` when that is larger (2 MiB at most in
 * qcow2). All are powers of two, so it is a multiple of each.
 */
export function segmentSize(disks: readonly Disk[], alignment = 512): number {
  let segment = Math.max(SEGMENT, alignment <= 2 ** 24 ? alignment : 0);
  for (const disk of disks) {
    for (const layer of layers(disk)) segment = Math.max(segment, layer.clusterSize ?? 0);
  }
  return segment;
}
