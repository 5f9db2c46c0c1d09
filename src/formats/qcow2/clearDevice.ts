import type { HostFile } from '../../disk/hostFile.js';
import { native } from '../../native.js';
import type { Layout } from './layout.js';

const CHUNK = 2 ** 20;

/**
 * A block device keeps what was on it: the tables' room must read as zeros, and preallocated clusters must not show a
 * guest somebody else's data.
 */
export async function clearDevice(file: HostFile, layout: Layout): Promise<void> {
  const zeros = Buffer.alloc(CHUNK);
  for (let at = 0; at < layout.l2Offset; at += CHUNK) {
    await file.write(zeros.subarray(0, Math.min(CHUNK, layout.l2Offset - at)), at);
  }
  const data = layout.fileLength - layout.dataOffset;
  if (layout.dataClusters > 0) await native.fallocatePunch(file.fd, file.path, layout.dataOffset, data);
}
