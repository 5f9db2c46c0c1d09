/**
 * A detector is a generator: it yields the bytes it needs next and is resumed with them. The same detector so
 * runs on a file, by positioned reads, and on a stream, as the bytes pass.
 */
export type Steps<T = void> = Generator<Need, T, Answer>;

export type Need =
  /** Bytes [offset, offset + length); with `fold` they are handed over in pieces and not kept. */
  | { kind: 'bytes'; offset: number; length: number; fold?: (piece: Buffer) => void }
  /** The last `length` bytes, which a stream knows only when it has ended. */
  | { kind: 'tail'; length: number };

export interface Answer {
  /** What was asked for, shorter where the file ends; empty for a fold. */
  bytes: Buffer;
  /** Bytes seen. */
  length: number;
  /** The stream had passed the offset before it was asked for. */
  missed: boolean;
  /** Bytes in the file; only with an answer to `tail`. */
  fileSize: number;
}

/** Start of the file that a stream keeps, so that anything in it can be asked for at any time. */
export const HEAD_BYTES = 64 * 1024;
/** End of the file that a stream keeps. */
export const TAIL_BYTES = 4096;
/** Most bytes that one need may capture; larger structures are folded. */
export const MAX_CAPTURE = 2 ** 20;

/** Bytes [offset, offset + length), fewer where the file ends; undefined when the stream had passed them. */
export function* tryBytes(offset: number, length: number): Steps<Buffer | undefined> {
  if (length > MAX_CAPTURE) throw new RangeError(`capture of ${length} bytes exceeds ${MAX_CAPTURE}`);
  const answer = yield { kind: 'bytes', offset, length };
  return answer.missed ? undefined : answer.bytes;
}

/** Bytes of the kept head: never missed. */
export function* headBytes(offset: number, length: number): Steps<Buffer> {
  const bytes = yield* tryBytes(offset, length);
  if (bytes === undefined) throw new RangeError(`bytes at ${offset} are not in the head`);
  return bytes;
}

/** Hands [offset, offset + length) to `fold` in pieces of any size; false when the stream had passed them. */
export function* foldBytes(offset: number, length: number, fold: (piece: Buffer) => void): Steps<boolean> {
  const answer = yield { kind: 'bytes', offset, length, fold };
  return !answer.missed;
}

/** The file's last bytes and its size. */
export function* tailBytes(length: number): Steps<{ bytes: Buffer; fileSize: number }> {
  if (length > TAIL_BYTES) throw new RangeError(`tail of ${length} bytes exceeds ${TAIL_BYTES}`);
  const { bytes, fileSize } = yield { kind: 'tail', length };
  return { bytes, fileSize };
}

/** The file's size, bytes. */
export function* fileEnd(): Steps<number> {
  return (yield { kind: 'tail', length: 0 }).fileSize;
}
