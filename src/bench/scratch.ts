// A folder of our own that is gone afterwards.
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Runs `use` with a new folder in `parent` and removes it, whatever happens. @throws what making it throws. */
export async function inScratch<T>(parent: string, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(await realpath(parent), 'basecow-bench-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
