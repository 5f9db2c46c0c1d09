// `info` for people, line by line as qemu-img prints it (block/qapi.c, bdrv_image_info_dump).
import type { DiskInfo, FormatSpecificValue, SnapshotInfo } from '../disk/disk.js';
import { qdictOrder } from './qdict.js';
import { sizeText } from './sizes.js';

export function infoText(disk: DiskInfo): string {
  const lines = [
    `image: ${disk.filename}`,
    `file format: ${disk.format}`,
    `virtual size: ${sizeText(disk.virtualSize)} (${disk.virtualSize} bytes)`,
    `disk size: ${sizeText(disk.actualSize)}`,
  ];
  if (disk.encrypted) lines.push('encrypted: yes');
  if (disk.clusterSize) lines.push(`cluster_size: ${disk.clusterSize}`);
  if (disk.dirtyFlag) lines.push('cleanly shut down: no');
  if (disk.backingFilename !== undefined) lines.push(backingLine(disk, disk.backingFilename));
  if (disk.backingFilenameFormat !== undefined) {
    lines.push(`backing file format: ${disk.backingFilenameFormat}`);
  }
  lines.push(...snapshotList(disk.snapshots ?? []));
  if (disk.formatSpecific) {
    lines.push('Format specific information:', ...members(disk.formatSpecific.data, 1));
  }
  return lines.map((line) => `${line}\n`).join('');
}

function backingLine(disk: DiskInfo, stored: string): string {
  const full = disk.fullBackingFilename;
  if (full === undefined) return `backing file: ${stored} (cannot determine actual path)`;
  return `backing file: ${stored}${full === stored ? '' : ` (actual path: ${full})`}`;
}

/** Lines of `snapshot -l`; none without snapshots. */
export function snapshotList(snapshots: readonly SnapshotInfo[]): string[] {
  return snapshots.length === 0 ? [] : ['Snapshot list:', SNAPSHOT_HEAD, ...snapshots.map(snapshotLine)];
}

const SNAPSHOT_HEAD =
  `${'ID'.padEnd(10)}${'TAG'.padEnd(17)}${'VM SIZE'.padStart(8)}${'DATE'.padStart(20)}` +
  `${'VM CLOCK'.padStart(13)}${'ICOUNT'.padStart(11)}`;

function snapshotLine(snapshot: SnapshotInfo): string {
  return (
    `${snapshot.id.padEnd(9)} ${snapshot.name.padEnd(16)} ${sizeText(snapshot.vmStateSize).padStart(8)}` +
    `${localTime(snapshot.dateSec).padStart(20)}${clockText(snapshot.vmClockNsec).padStart(13)}` +
    `${(snapshot.icount?.toString() ?? '').padStart(11)}`
  );
}

const two = (value: number | bigint) => value.toString().padStart(2, '0');

function localTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  );
}

function clockText(nanoseconds: bigint): string {
  const seconds = nanoseconds / 1_000_000_000n;
  const milliseconds = ((nanoseconds / 1_000_000n) % 1000n).toString().padStart(3, '0');
  return `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}.${milliseconds}`;
}

function members(value: { readonly [key: string]: FormatSpecificValue }, depth: number): string[] {
  return qdictOrder(Object.keys(value)).flatMap((key) => entry(key.replaceAll('-', ' '), value[key], depth));
}

function entry(name: string, value: FormatSpecificValue, depth: number): string[] {
  const head = `${'    '.repeat(depth)}${name}:`;
  if (Array.isArray(value)) {
    return [head, ...value.flatMap((item, index) => entry(`[${index}]`, item, depth + 1))];
  }
  if (typeof value === 'object') return [head, ...members(value, depth + 1)];
  return [`${head} ${value}`];
}
