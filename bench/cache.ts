// The page cache: where inputs are when the time starts.
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { isRoot, run } from './programs.js';

/** How `makeCold` works here. */
export const coldBy = (): string => (isRoot() ? 'drop_caches' : 'posix_fadvise(DONTNEED)');

/** Nothing of `paths` is in the page cache any more. Root empties all caches; others can ask for clean pages of theirs. */
export function makeCold(...paths: string[]): void {
  run('sync');
  if (isRoot()) writeFileSync('/proc/sys/vm/drop_caches', '3');
  // dd with a count of 0 does nothing but posix_fadvise(2) of the whole file.
  else for (const path of paths) run('dd', `if=${path}`, 'iflag=nocache', 'count=0', 'status=none');
}

/** Reads all of `path` once. */
export function makeWarm(path: string): void {
  const buffer = Buffer.alloc(2 ** 20);
  const fd = openSync(path, 'r');
  try {
    while (readSync(fd, buffer) > 0);
  } finally {
    closeSync(fd);
  }
}
