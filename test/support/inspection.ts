// One image, judged as a file and as a stream: the two verdicts are the same, and the file is as it was.
import { createHash } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type t from 'tap';
import { type Inspection, type InspectOptions, inspectFile, StreamInspector } from '#src/inspect/index.js';
import type { Random } from './random.js';

/** What is needed of tap's test object. */
type Test = Pick<typeof t, 'equal' | 'same'>;

/** Overwrites bytes in the middle of a file. */
export function patch(path: string, offset: number, bytes: Buffer | number[]): void {
  const fd = openSync(path, 'r+');
  try {
    writeSync(fd, Buffer.from(bytes), 0, bytes.length, offset);
  } finally {
    closeSync(fd);
  }
}

export function cutFile(path: string, size: number): void {
  const fd = openSync(path, 'r+');
  ftruncateSync(fd, size);
  closeSync(fd);
}

export function u32be(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function u64be(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

export function u32le(value: number): Buffer {
  return u32be(value).reverse();
}

export function u64le(value: bigint): Buffer {
  return u64be(value).reverse();
}

/** Feeds `bytes` in chunks of 1 to 9,999 bytes, now and then a large one. */
export function inspectStream(bytes: Buffer, options: InspectOptions, random: Random): Inspection {
  const inspector = new StreamInspector(options);
  for (let at = 0; at < bytes.length; ) {
    const length = random.integer(0, 9) === 0 ? random.integer(1, 300_000) : random.integer(1, 9999);
    inspector.push(bytes.subarray(at, at + length));
    at += length;
  }
  return inspector.end();
}

/** The file's verdict, after making sure that the stream's is the same and that nothing was written. */
export async function judge(
  t: Test,
  path: string,
  options: InspectOptions,
  random: Random,
): Promise<Inspection> {
  const bytes = readFileSync(path);
  const digest = createHash('sha256').update(bytes).digest('hex');
  const { mtimeMs } = statSync(path);
  const file = await inspectFile(path, options);
  const stream = inspectStream(bytes, options, random);
  t.same({ ...stream, unchecked: [] }, { ...file, unchecked: [] }, 'the stream has the same verdict');
  t.same(file.unchecked, [], 'a file leaves nothing unchecked');
  t.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), digest, 'bytes unchanged');
  t.equal(statSync(path).mtimeMs, mtimeMs, 'not written to');
  return file;
}

export function codes(verdict: Inspection): string[] {
  return [...new Set(verdict.violations.map(({ code }) => code))].sort();
}

export interface PartitionEntry {
  boot?: number;
  type: number;
  chs?: [number, number, number];
  lba?: number;
  sectors?: number;
}

/** A boot sector with these partitions. `chs` is head, sector, cylinder as stored. */
export function mbrSector(entries: PartitionEntry[]): Buffer {
  const sector = Buffer.alloc(512);
  entries.forEach(({ boot = 0, type, chs = [0, 2, 0], lba = 1, sectors = 1 }, index) => {
    const at = 446 + index * 16;
    sector[at] = boot;
    sector.set(chs, at + 1);
    sector[at + 4] = type;
    sector.writeUInt32LE(lba, at + 8);
    sector.writeUInt32LE(sectors, at + 12);
  });
  sector.set([0x55, 0xaa], 510);
  return sector;
}

/** An ISO 9660 primary volume descriptor at byte 32768 of an otherwise empty file. */
export function isoBytes(size = 65536, blocks = size / 2048): Buffer {
  const bytes = Buffer.alloc(size);
  bytes[32768] = 1;
  bytes.write('CD001\x01', 32769, 'latin1');
  bytes.writeUInt32LE(blocks, 32768 + 80);
  bytes.writeUInt32BE(blocks, 32768 + 84);
  bytes.writeUInt16LE(2048, 32768 + 128);
  bytes.writeUInt16BE(2048, 32768 + 130);
  return bytes;
}

export function writeBytes(path: string, ...parts: Buffer[]): void {
  writeFileSync(path, Buffer.concat(parts));
}
