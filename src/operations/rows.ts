import { type ExtentColumns, Kind, type KindCode, NO_FILE } from '../disk/extents.js';

/**
 * Appends the `length` bytes of `from`'s row that begin `skip` bytes into it, as guest bytes at `at`.
 * A part of a compressed unit stays a row of that unit.
 */
export function appendPart(
  into: ExtentColumns,
  from: ExtentColumns,
  row: number,
  skip: number,
  length: number,
  at: number,
): void {
  const kind = from.kind[row] as KindCode;
  const depth = from.depth[row];
  const index = from.file[row];
  if (index === NO_FILE) {
    into.pushEmpty(kind, at, length, depth);
    return;
  }
  const file = from.files[index];
  if (kind === Kind.deflate || kind === Kind.zstd) {
    into.pushCompressed(
      kind,
      at,
      length,
      depth,
      file,
      from.offset[row],
      from.compressedLength[row],
      from.skip[row] + skip,
      from.unit[row],
    );
    return;
  }
  into.pushPlaced(kind, at, length, depth, file, from.offset[row] + skip);
}

/** Drops everything from guest offset `end` on, which lies inside the columns. */
export function cutColumns(columns: ExtentColumns, end: number): void {
  let count = columns.count;
  while (count > 0 && columns.start[count - 1] >= end) count--;
  columns.count = count;
  if (count > 0)
    columns.length[count - 1] = Math.min(columns.length[count - 1], end - columns.start[count - 1]);
}

/** True for rows whose bytes have to be read. */
export function holdsData(kind: number): boolean {
  return kind >= Kind.data;
}
