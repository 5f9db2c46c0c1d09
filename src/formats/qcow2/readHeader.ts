import type { HostFile } from '../../disk/hostFile.js';
import type { Limits } from '../../disk/limits.js';
import { MAX_CLUSTER_BITS } from './constants.js';
import { parseHeader, type Qcow2Header } from './header.js';

const FIRST_READ = 65536;

/**
 * Reads the first 64 KiB, and the rest of the first cluster only when the cluster is larger than that.
 * @throws what parseHeader throws; IO.
 */
export async function readHeader(
  file: HostFile,
  limits: Readonly<Limits>,
  options: { check?: boolean } = {},
): Promise<Qcow2Header> {
  let bytes = await readStart(file, FIRST_READ);
  const clusterBits = bytes.length >= 24 ? bytes.readUInt32BE(20) : 0;
  if (clusterBits <= MAX_CLUSTER_BITS && 2 ** clusterBits > FIRST_READ) {
    bytes = await readStart(file, 2 ** clusterBits);
  }
  return parseHeader(bytes, file.size, limits, file.path, options);
}

async function readStart(file: HostFile, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(Math.min(length, file.size));
  return bytes.subarray(0, await file.read(bytes, 0));
}
