import type { JobControl } from '../../disk/control.js';
import type { HostFile } from '../../disk/hostFile.js';
import type { Layout } from './layout.js';

/**
 * A block device keeps what was on it: the tables' room must read as zeros, and preallocated clusters must not show a
 * guest somebody else's data.
 */
export async function clearDevice(file: HostFile, layout: Layout, control: JobControl): Promise<void> {
  await file.zero(0, layout.l2Offset, control.buffer);
  if (layout.dataClusters > 0) {
    await file.zero(layout.dataOffset, layout.fileLength - layout.dataOffset, control.buffer);
  }
}
