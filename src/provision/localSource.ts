import * as fs from 'node:fs/promises';
import { DiskImageError } from '../disk/errors.js';
import { HostFile } from '../disk/hostFile.js';
import { LockModes } from '../disk/lock.js';
import type { Effort } from '../operations/job.js';
import { throwIfAborted } from './abort.js';
import { algorithmsFor, type Digests, verifyDigests } from './digests.js';
import { FollowingDigest } from './followingDigest.js';
import type { Obtained } from './source.js';

/**
 * A local file is used where it lies: it is digested by the engine while it is inspected and converted, and its
 * owner is kept from changing it (QEMU's lock) or found out (times and size).
 * @throws IO, LOCKED
 */
export async function openLocal(
  path: string,
  expected: Digests,
  effort: Effort = {},
  signal?: AbortSignal,
): Promise<Obtained> {
  throwIfAborted(signal, 'fetch');
  const file = await HostFile.open(path);
  const digest = new FollowingDigest(algorithmsFor(expected), effort, signal);
  let before: string;
  try {
    file.lock(LockModes.read);
    before = await stamp(path);
    digest.follow(file, file.size);
  } catch (error) {
    await digest.abort();
    await file.close();
    throw error;
  }
  return {
    path,
    size: file.size,
    owned: false,
    async settled() {
      const found = await digest.finish(file, file.size);
      if ((await stamp(path)) !== before) {
        throw new DiskImageError('SOURCE_CHANGED', `'${path}' was changed while it was read`, {
          path,
          operation: 'fetch',
        });
      }
      verifyDigests(expected, found, `'${path}'`, path);
      return found;
    },
    async release() {
      await digest.abort();
      await file.close();
    },
  };
}

/** Changes when the file is replaced or written to. */
async function stamp(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await fs.stat(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}
