import * as fs from 'node:fs';

/** Opens a file for the length of a test. */
export function openFile(t: { teardown(handler: () => void): void }, path: string, flags = 'r+'): number {
  const fd = fs.openSync(path, flags);
  t.teardown(() => fs.closeSync(fd));
  return fd;
}

/** Bytes of storage a file occupies. */
export const allocated = (path: string): number => fs.statSync(path).blocks * 512;

export const newControl = (): SharedArrayBuffer => new SharedArrayBuffer(64);
