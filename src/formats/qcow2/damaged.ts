import { JobControl } from '../../disk/control.js';
import { DiskImageError } from '../../disk/errors.js';
import { Qcow2Disk, type Qcow2Parts } from './disk.js';
import type { Qcow2Header } from './header.js';
import { readHeader } from './readHeader.js';
import { readSnapshots } from './snapshots.js';

/**
 * A corrupt image is refused to writers, whole and untouched, until a repair has been asked for by name.
 * @throws CORRUPT_IMAGE saying which bit is set and what to do.
 */
export function refuseCorrupt(header: Qcow2Header, path: string): void {
  if (!header.corrupt) return;
  throw new DiskImageError(
    'CORRUPT_IMAGE',
    `Image '${path}' is marked corrupt (incompatible feature bit 1); it cannot be opened for writing before a repair: ` +
      `run 'qemu-img check -r all' on it, or convert it to a new image`,
    { path, offset: 72, operation: 'open' },
  );
}

/**
 * A dirty image (lazy refcounts and no clean end: its refcounts may be wrong) is repaired before anything is written to
 * it, as QEMU does. What the repair said is added to the warnings.
 * @throws CORRUPT_IMAGE when it cannot be repaired; IO.
 */
export async function repairDirty(parts: Qcow2Parts): Promise<Qcow2Parts> {
  const { file, limits, header } = parts;
  if (!header.dirty) return parts;
  const { checkQcow2 } = await import('./check/index.js');
  const found = await checkQcow2(new Qcow2Disk(parts), new JobControl(), { repair: 'all' });
  if (found.failure !== undefined || found.checkErrors > 0) {
    throw new DiskImageError(
      'CORRUPT_IMAGE',
      `Could not repair dirty image '${file.path}': ${found.messages.at(-1) ?? found.failure}`,
      { path: file.path, offset: 72, operation: 'open' },
    );
  }
  await file.refresh();
  const repaired = await readHeader(file, limits);
  return {
    ...parts,
    header: repaired,
    snapshotTable: await readSnapshots(file, repaired, limits),
    warnings: [...parts.warnings, ...found.messages],
  };
}
