import { HostFile } from '../disk/hostFile.js';
import { Session } from './session.js';
import type { Answer, Need } from './steps.js';
import type { Inspection, InspectOptions } from './types.js';

const PIECE_BYTES = 256 * 1024;

async function readFold(
  file: HostFile,
  offset: number,
  end: number,
  fold: (piece: Buffer) => void,
): Promise<number> {
  const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - offset));
  let at = offset;
  while (at < end) {
    const got = await file.read(buffer.subarray(0, Math.min(buffer.length, end - at)), at);
    if (got === 0) break;
    fold(buffer.subarray(0, got));
    at += got;
  }
  return at - offset;
}

async function serve(file: HostFile, need: Need): Promise<Answer> {
  const size = file.size;
  const start = need.kind === 'tail' ? Math.max(0, size - need.length) : Math.min(need.offset, size);
  const end = need.kind === 'tail' ? size : Math.min(need.offset + need.length, size);
  if (need.kind === 'bytes' && need.fold) {
    const length = start < end ? await readFold(file, start, end, need.fold) : 0;
    return { bytes: Buffer.alloc(0), length, missed: false, fileSize: size };
  }
  const bytes = Buffer.alloc(Math.max(0, end - start));
  const length = await file.read(bytes, start);
  return { bytes: bytes.subarray(0, length), length, missed: false, fileSize: size };
}

/** Judges an open file; it stays open and is only read. */
export async function inspectHostFile(file: HostFile, options: InspectOptions = {}): Promise<Inspection> {
  const session = new Session(options);
  for (let tasks = session.takeBegun(); tasks.length > 0; tasks = session.takeBegun()) {
    for (const task of tasks) {
      while (session.answer(task, await serve(file, task.need)));
    }
  }
  return session.verdict(file.size, true);
}

/**
 * Judges an untrusted image: which format its bytes are, whether that is the claimed one, and everything that makes
 * it unsafe to hand to a disk image tool. Reads headers and tables only, opens no other file that the image names,
 * takes no lock, keeps at most 2 MiB.
 * @param path regular file or block device
 * @throws UNKNOWN_FORMAT for an unknown claim; IO, INVALID_ARGUMENT when the file can't be read. An unsafe image is no error.
 */
export async function inspectFile(path: string, options: InspectOptions = {}): Promise<Inspection> {
  const file = await HostFile.open(path);
  try {
    return await inspectHostFile(file, options);
  } finally {
    await file.close();
  }
}
