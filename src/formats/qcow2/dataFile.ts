import type { JobControl } from '../../disk/control.js';
import { DiskImageError } from '../../disk/errors.js';
import type { Gate } from '../../disk/gate.js';
import { resolveStoredName } from '../../disk/names.js';
import type { NewFile } from '../../disk/newFile.js';
import { createNewFile } from '../publish.js';
import { extendFile, firstBlock } from '../raw/create.js';
import type { Geometry } from './layout.js';
import type { Qcow2Options } from './options.js';

interface DataFileRequest {
  gate: Gate;
  lock: boolean;
  control: JobControl;
}

/**
 * The external data file of a new image, sized like the disk (preallocated without subclusters: like its clusters, as
 * QEMU does) and not yet published. The gate says where the name points, as it will when the image is opened.
 * @throws BACKING_DENIED, LOCKED, IO.
 */
export async function createDataFile(
  imagePath: string,
  options: Qcow2Options,
  shape: Geometry,
  request: DataFileRequest,
): Promise<NewFile | undefined> {
  const { dataFile, preallocation } = options;
  if (dataFile === undefined) return undefined;
  if (dataFile === '') {
    throw new DiskImageError('IO', "Could not create '': No such file or directory", {
      path: imagePath,
      operation: 'create',
      errno: 'ENOENT',
      syscall: 'open',
    });
  }
  const verdict = await request.gate({
    kind: 'data-file',
    storedName: dataFile,
    resolvedPath: resolveStoredName(dataFile, imagePath),
    imagePath,
    depth: 1,
  });
  if (!verdict.allow) {
    throw new DiskImageError(verdict.code, verdict.reason, { path: imagePath, operation: 'create' });
  }
  const target = await createNewFile(verdict.path, request.lock, options.hints);
  try {
    const whole = preallocation !== 'off' && !options.extendedL2;
    const size = whole ? shape.guestClusters * shape.clusterSize : shape.virtualSize;
    if (preallocation === 'falloc' || preallocation === 'full') {
      await extendFile(target.file, 0, size, preallocation, request.control.buffer);
    } else {
      await target.file.truncate(size);
      await target.file.write(firstBlock(size), 0);
    }
    return target;
  } catch (error) {
    await target.discard();
    throw error;
  }
}
