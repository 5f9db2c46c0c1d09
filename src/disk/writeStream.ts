import { Writable } from 'node:stream';
import { requireRange } from './arguments.js';
import type { WritableDisk, WriteStreamOptions } from './disk.js';
import { DiskImageError } from './errors.js';

const DEFAULT_BYTES = 4 * 2 ** 20;

/**
 * A stream into `disk` from guest byte `start` on. Chunks that came while a write was under way are written together:
 * the source waits when `highWaterMark` bytes are pending, so at most twice that is in memory.
 * @throws INVALID_ARGUMENT for a start outside the disk and a highWaterMark that is none.
 */
export function createWriteStream(disk: WritableDisk, options: WriteStreamOptions = {}): Writable {
  const { start = 0, highWaterMark = DEFAULT_BYTES, flush = true, signal } = options;
  const details = { path: disk.path, operation: 'write' };
  requireRange(start, disk.virtualSize, disk.virtualSize, details);
  if (!Number.isSafeInteger(highWaterMark) || highWaterMark < 1) {
    throw new DiskImageError(
      'INVALID_ARGUMENT',
      `highWaterMark must be 1 byte or more, not ${highWaterMark}`,
      details,
    );
  }
  let at = start;
  const put = (bytes: Uint8Array, done: (error?: Error | null) => void) => {
    const from = at;
    at += bytes.length;
    disk.write(bytes, from).then(() => done(), done);
  };
  return new Writable({
    highWaterMark,
    signal,
    decodeStrings: true,
    write: (chunk: Buffer, _encoding, done) => put(chunk, done),
    writev: (chunks, done) => put(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)), done),
    final: (done) => {
      if (!flush) done();
      else disk.flush().then(() => done(), done);
    },
  });
}
