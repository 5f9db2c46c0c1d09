// Small reads without a job: what the map says, read where it says.
import type { Disk } from './disk.js';
import { toDiskImageError } from './errors.js';
import { ExtentColumns, Kind, NO_FILE } from './extents.js';
import { engineRead } from './view.js';

/** Reads of this many bytes and more move off the JavaScript thread, into a job of the engine. */
const ENGINE_BYTES = 2 * 2 ** 20;
/** The same where bytes have to be decrypted. */
const ENGINE_DECRYPTS = 2 ** 16;
const ROWS = 16;
const spare: ExtentColumns[] = [];

/**
 * Fills `buffer` from guest byte `start` on; the caller has checked the range.
 * @throws CORRUPT_IMAGE, IO, SOURCE_CHANGED.
 */
export async function readInto(
  disk: Pick<Disk, 'map' | 'path'>,
  buffer: Uint8Array,
  start: number,
): Promise<void> {
  if (buffer.length >= ENGINE_BYTES) return engineRead(disk, buffer, start);
  const columns = spare.pop() ?? new ExtentColumns(ROWS);
  const end = start + buffer.length;
  try {
    for (let at = start; at < end; ) {
      columns.clear();
      columns.capacity = ROWS;
      const next = await disk.map(columns, at, end);
      // Compressed rows are the engine's to inflate.
      const compressed = columns.kind.subarray(0, columns.count).some((kind) => kind > Kind.data);
      if (compressed || (next - at > ENGINE_DECRYPTS && columns.files.some((file) => file.cipher))) {
        await engineRead(disk, buffer.subarray(at - start, next - start), at);
      } else await readRows(columns, buffer, start);
      at = next;
    }
  } catch (error) {
    throw toDiskImageError(error, { path: disk.path, operation: 'read' });
  } finally {
    columns.clear();
    if (spare.length < ROWS) spare.push(columns);
  }
}

async function readRows(columns: ExtentColumns, buffer: Uint8Array, start: number): Promise<void> {
  const reads: Promise<void>[] = [];
  for (let row = 0; row < columns.count; row++) {
    const from = columns.start[row] - start;
    const part = buffer.subarray(from, from + columns.length[row]);
    if (columns.kind[row] !== Kind.data || columns.file[row] === NO_FILE) part.fill(0);
    else reads.push(readPart(columns, row, part));
  }
  if (reads.length === 1) await reads[0];
  else if (reads.length > 1) await Promise.all(reads);
}

/** A cluster that the end of the file cuts short goes on with zeros. */
function readPart(columns: ExtentColumns, row: number, part: Uint8Array): Promise<void> {
  return columns.files[columns.file[row]].readGuest(part, columns.offset[row], columns.start[row]);
}
