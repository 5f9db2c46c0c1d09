// Our map in the form of `qemu-img map --output=json` (7.2, which has no `compressed`), to compare the two.
import type { Disk } from '#src/disk/disk.js';
import { type MapEntry, statusEntries } from '#src/operations/map.js';
import { qemuImg } from './tools.js';

export interface QemuMapEntry {
  start: number;
  length: number;
  depth: number;
  present: boolean;
  zero: boolean;
  data: boolean;
  offset?: number;
}

export function qemuMap(file: string, format: string): QemuMapEntry[] {
  return JSON.parse(qemuImg('map', '-f', format, '--output=json', file));
}

/** Neighbours merge as qemu-img merges them: same flags and depth, and host offsets that go on. */
export async function ourMap(disk: Disk): Promise<QemuMapEntry[]> {
  const entries: QemuMapEntry[] = [];
  for await (const entry of statusEntries(disk, 0, disk.virtualSize)) {
    const next = toQemu(entry);
    const last = entries.at(-1);
    if (last && mergeable(last, next)) last.length += next.length;
    else entries.push(next);
  }
  return entries;
}

function toQemu({ start, length, depth, present, zero, data, offset }: MapEntry): QemuMapEntry {
  return { start, length, depth, present, zero, data, ...(offset !== undefined && { offset }) };
}

function mergeable(a: QemuMapEntry, b: QemuMapEntry): boolean {
  return (
    a.depth === b.depth &&
    a.present === b.present &&
    a.zero === b.zero &&
    a.data === b.data &&
    (a.offset === undefined) === (b.offset === undefined) &&
    (a.offset === undefined || a.offset + a.length === b.offset)
  );
}
