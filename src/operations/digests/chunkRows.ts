// The chunks of a report as the rows that list formats have.
import type { ChunkDigests } from '../hash.js';
import { digestBytes } from '../hashAlgorithms.js';
import { emptyDigest } from './algorithms.js';
import { chunkLists, type DigestReport } from './report.js';

const PIECE = 65_536;

/** Joins lines into larger pieces. */
export function* joined(lines: Iterable<string>): Generator<string> {
  let text = '';
  for (const line of lines) {
    text += line;
    if (text.length < PIECE) continue;
    yield text;
    text = '';
  }
  if (text !== '') yield text;
}

export interface ChunkRow {
  start: number;
  length: number;
  /** Hexadecimal, one for every algorithm. */
  digests: string[];
}

/** The chunks of a report row by row; an empty file has one empty chunk, as md5deep has it. */
export function* chunkRows(report: DigestReport): Generator<ChunkRow> {
  const { size } = report;
  const chunks = chunkLists(report);
  if (chunks.length === 0) return;
  if (size === 0) {
    yield { start: 0, length: 0, digests: chunks.map(({ algorithm }) => emptyDigest(algorithm)) };
    return;
  }
  const columns = chunks.map(hexDigests);
  const step = chunks[0].size;
  for (let index = 0, start = 0; start < size; index++, start += step) {
    const length = Math.min(step, size - start);
    yield { start, length, digests: columns.map((column) => column(index)) };
  }
}

function hexDigests({ algorithm, digests }: ChunkDigests): (index: number) => string {
  const width = digestBytes[algorithm];
  const bytes = Buffer.from(digests.buffer, digests.byteOffset, digests.byteLength);
  return (index) => bytes.toString('hex', index * width, (index + 1) * width);
}

/** ` offset START-END`, the end inclusive; `0-0` for nothing. */
export const pieceSuffix = ({ start, length }: ChunkRow): string =>
  ` offset ${start}-${Math.max(start, start + length - 1)}`;

export function* eachOf<T>(rows: Iterable<T>, line: (row: T) => string): Generator<string> {
  for (const row of rows) yield line(row);
}
