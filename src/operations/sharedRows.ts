import { ExtentColumns, Kind } from '../disk/extents.js';
import { sameBytes } from '../disk/guestFile.js';
import { holdsData } from './rows.js';

/**
 * Both columns with zeros for every range that they take from the same bytes of the same host file (overlays of
 * one base, mostly): equal without being read. Both cover the same guest range; they are left as they are.
 */
export function blankShared(first: ExtentColumns, second: ExtentColumns): [ExtentColumns, ExtentColumns] {
  const common = new Set(first.files.map(({ host }) => host.identity));
  if (!second.files.some(({ host }) => common.has(host.identity))) return [first, second];
  const a = new ExtentColumns(first.count + second.count);
  const b = new ExtentColumns(first.count + second.count);
  for (let i = 0, j = 0; i < first.count && j < second.count; ) {
    const start = Math.max(first.start[i], second.start[j]);
    const endOfFirst = first.start[i] + first.length[i];
    const endOfSecond = second.start[j] + second.length[j];
    const length = Math.min(endOfFirst, endOfSecond) - start;
    const skipFirst = start - first.start[i];
    const skipSecond = start - second.start[j];
    if (samePlace(first, i, skipFirst, second, j, skipSecond)) {
      a.pushEmpty(Kind.zero, start, length, 0);
      b.pushEmpty(Kind.zero, start, length, 0);
    } else {
      a.appendPart(first, i, skipFirst, length, start);
      b.appendPart(second, j, skipSecond, length, start);
    }
    if (endOfFirst <= endOfSecond) i++;
    if (endOfSecond <= endOfFirst) j++;
  }
  return [a, b];
}

function samePlace(
  first: ExtentColumns,
  i: number,
  skipFirst: number,
  second: ExtentColumns,
  j: number,
  skipSecond: number,
): boolean {
  const kind = first.kind[i];
  if (!holdsData(kind) || kind !== second.kind[j]) return false;
  if (!sameBytes(first.files[first.file[i]], second.files[second.file[j]])) return false;
  if (kind === Kind.data) return first.offset[i] + skipFirst === second.offset[j] + skipSecond;
  return (
    first.offset[i] === second.offset[j] &&
    first.compressedLength[i] === second.compressedLength[j] &&
    first.unit[i] === second.unit[j] &&
    first.skip[i] + skipFirst === second.skip[j] + skipSecond
  );
}
