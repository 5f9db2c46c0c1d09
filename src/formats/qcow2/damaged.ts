import { DiskImageError } from '../../disk/errors.js';
import type { Qcow2Header } from './header.js';

/**
 * What stands between a damaged image and a writer. QEMU repairs a dirty image (refcounts that may be wrong) when it
 * opens it for writing, and refuses a corrupt one; here both are refused, whole and untouched, until a repair has been
 * asked for by name.
 * @throws CORRUPT_IMAGE saying which bit is set and what to do.
 */
export function refuseDamaged(header: Qcow2Header, path: string): void {
  if (!header.corrupt && !header.dirty) return;
  const why = header.corrupt
    ? 'is marked corrupt (incompatible feature bit 1)'
    : 'is marked dirty (incompatible feature bit 0): its refcounts may be wrong';
  throw new DiskImageError(
    'CORRUPT_IMAGE',
    `Image '${path}' ${why}; it cannot be opened for writing before a repair: ` +
      `run 'qemu-img check -r all' on it, or convert it to a new image`,
    { path, offset: 72, operation: 'open' },
  );
}
