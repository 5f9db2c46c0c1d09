import { type ExtentColumns, Kind } from '../disk/extents.js';

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
