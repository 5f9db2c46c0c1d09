// A disk in memory, and random changes to it that say of every sector which change wrote it.
import type { WritableDisk } from '#src/disk/disk.js';
import type { Random } from './random.js';

export type Change =
  | { kind: 'write'; start: number; bytes: Buffer }
  | { kind: 'zero'; start: number; length: number; unmap: boolean }
  | { kind: 'discard'; start: number; length: number };

export interface ChangeRules {
  /** Bytes. */
  size: number;
  clusterSize: number;
  /** Starts and lengths are multiples of it. */
  alignment: number;
  /** Longest write, bytes. */
  most: number;
  /** Discards cover whole clusters only. */
  alignedDiscards?: boolean;
}

/** Bytes that tell change and sector apart from all others: a swapped cluster is seen. */
export function marked(change: number, start: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 8 <= length; at += 8) {
    bytes.writeUInt32LE(change + 1, at);
    bytes.writeUInt32LE(Math.floor((start + at) / 8), at + 4);
  }
  for (let at = length & ~7; at < length; at++) bytes[at] = (change % 255) + 1;
  return bytes;
}

export function randomChange(random: Random, number: number, rules: ChangeRules): Change {
  const { size, clusterSize, alignment, most } = rules;
  const start = alignment * random.integer(0, Math.floor((size - 1) / alignment));
  const longest = random.next() < 0.15 ? most : Math.min(most, 3 * clusterSize);
  const wanted = alignment * random.integer(1, Math.max(1, Math.floor(longest / alignment)));
  const length = Math.min(size - start, wanted);
  const kind = random.next();
  if (kind < 0.6) return { kind: 'write', start, bytes: marked(number, start, length) };
  if (kind < 0.82) return { kind: 'zero', start, length, unmap: random.next() < 0.5 };
  if (!rules.alignedDiscards) return { kind: 'discard', start, length };
  const from = Math.floor(start / clusterSize) * clusterSize;
  return { kind: 'discard', start: from, length: Math.min(clusterSize, size - from) };
}

/** What discarding does to what the guest reads. `ignored`: version 2 over a backing file. */
export interface DiscardRule {
  clusterSize: number;
  ignored: boolean;
}

export function applyToModel(model: Buffer, change: Change, rule: DiscardRule): void {
  const { start } = change;
  if (change.kind === 'write') {
    change.bytes.copy(model, start);
    return;
  }
  const end = start + change.length;
  if (change.kind === 'zero') {
    model.fill(0, start, end);
    return;
  }
  if (rule.ignored) return;
  const from = Math.ceil(start / rule.clusterSize) * rule.clusterSize;
  const to = end === model.length ? end : Math.floor(end / rule.clusterSize) * rule.clusterSize;
  if (to > from) model.fill(0, from, to);
}

export function applyToDisk(disk: WritableDisk, change: Change): Promise<void> {
  const { kind, start } = change;
  if (kind === 'write') return disk.write(change.bytes, start);
  if (kind === 'zero') return disk.zero(start, change.length, { unmap: change.unmap });
  return disk.discard(start, change.length);
}

/** The same for qemu-io; `file` holds the bytes of a write. */
export function qemuIoCommand(change: Change, file: string): string {
  const { start } = change;
  if (change.kind === 'write') return `write -q -s ${file} ${start} ${change.bytes.length}`;
  if (change.kind === 'zero') return `write -q -z ${change.unmap ? '-u ' : ''}${start} ${change.length}`;
  return `discard -q ${start} ${change.length}`;
}
