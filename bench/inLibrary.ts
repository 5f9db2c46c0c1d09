import { fileURLToPath } from 'node:url';
import type { Sample } from '#src/bench/model.js';
import { type Bench, TIME_LIMIT } from './entry.js';
import type { LibraryCall } from './library.js';

const LIBRARY = fileURLToPath(new URL('library.js', import.meta.url));

/** A call of the library in a process of its own, without that process's start; memory is the whole process's. */
export const inLibrary =
  ({ meter, signal }: Bench, call: LibraryCall, env?: Record<string, string>) =>
  async (): Promise<Sample & { digests?: { md5?: string } }> => {
    const { stdout } = await meter.run([process.execPath, LIBRARY, JSON.stringify(call)], {
      signal,
      env,
      timeLimit: TIME_LIMIT,
    });
    return JSON.parse(stdout);
  };
