import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import { toDiskImageError } from '../disk/errors.js';

/** Replaces a small text file at once: `temporary`, fsync, rename. The folder must exist. */
export async function replaceTextFile(path: string, text: string, temporary = `${path}.tmp`): Promise<void> {
  try {
    const file = await fs.open(temporary, 'w', 0o644);
    try {
      await file.writeFile(text);
      await file.datasync();
    } finally {
      await file.close();
    }
    await fs.rename(temporary, path);
  } catch (error) {
    await fs.rm(temporary, { force: true }).catch(() => {});
    throw toDiskImageError(error, { path, operation: 'write' });
  }
}

/** Text of a small file; undefined when there is none. At most `limit` bytes are read. */
export async function readTextFile(path: string, limit = 2 ** 20): Promise<string | undefined> {
  let file: fs.FileHandle;
  try {
    file = await fs.open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw toDiskImageError(error, { path, operation: 'read' });
  }
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, limit));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    throw toDiskImageError(error, { path, operation: 'read' });
  } finally {
    await file.close();
  }
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await fs.open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Filesystems without it answer EINVAL; their names are as durable as they get.
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw toDiskImageError(error, { path: folder });
  } finally {
    await handle.close();
  }
}

/** Renames and makes the new name durable. */
export async function renameDurably(from: string, to: string): Promise<void> {
  try {
    await fs.rename(from, to);
    await syncFolder(dirname(to));
  } catch (error) {
    throw toDiskImageError(error, { path: to, operation: 'rename' });
  }
}
