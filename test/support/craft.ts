// Images with chosen bytes: a small whole qcow2 and patches on it.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { qemuImg, qemuIo } from './tools.js';

/** Offset in the file, and what is put there. */
export type Patch = readonly [offset: number, bytes: Buffer];

export const u8 = (value: number): Buffer => Buffer.from([value]);
export const u16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
};
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
export const u64 = (value: bigint | number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

/** A header extension: type, length, padded payload; `length` may lie. */
export function extension(type: number, payload: Buffer | string, length?: number): Buffer {
  const data = Buffer.from(payload as string);
  return Buffer.concat([u32(type), u32(length ?? data.length), data, Buffer.alloc(-data.length & 7)]);
}

export interface Sample {
  bytes: Buffer;
  clusterSize: number;
  /** Host offsets. */
  l1: number;
  l2: number;
  refcountTable: number;
  /** End of the header: where extensions begin. */
  extensions: number;
}

/** A 4 MiB image made by qemu-img with data, zero and compressed clusters: 0..64k data, 80k..88k zero, 1M compressed. */
export function sample(file: string, options = 'cluster_size=4096', version: 2 | 3 = 3): Sample {
  qemuImg(
    'create',
    '-q',
    '-f',
    'qcow2',
    '-o',
    `${options},compat=${version === 3 ? '1.1' : '0.10'}`,
    file,
    '4M',
  );
  qemuIo(file, 'qcow2', 'write -q -P 1 0 64k', 'write -q -c -P 2 1M 64k');
  if (version === 3) qemuIo(file, 'qcow2', 'write -q -z 80k 8k');
  const bytes = readFileSync(file);
  const l1 = Number(bytes.readBigUInt64BE(40));
  return {
    bytes,
    clusterSize: 2 ** bytes.readUInt32BE(20),
    l1,
    l2: Number(bytes.readBigUInt64BE(l1) & 0x00fffffffffffe00n),
    refcountTable: Number(bytes.readBigUInt64BE(48)),
    extensions: version === 3 ? bytes.readUInt32BE(100) : 72,
  };
}

/** A copy with patches, cut or grown to `size` bytes when given. */
export function patched(bytes: Buffer, patches: readonly Patch[], size = bytes.length): Buffer {
  const copy = Buffer.alloc(Math.max(size, bytes.length));
  bytes.copy(copy);
  for (const [offset, value] of patches) value.copy(copy, offset);
  return copy.subarray(0, size);
}

export function writeCrafted(file: string, bytes: Buffer): string {
  writeFileSync(file, bytes);
  return digest(file);
}

export function digest(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}
