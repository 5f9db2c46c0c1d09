import { DiskImageError } from '../disk/errors.js';
import { Session, type Task } from './session.js';
import { HEAD_BYTES, TAIL_BYTES } from './steps.js';
import type { Inspection, InspectOptions } from './types.js';

/** Bytes after which a stream's first verdict is given: every magic number but ISO's and VHD's trailer lies there. */
const EARLY_BYTES = 512;

/** A task, and the bytes it has been given of what it waits for. */
interface Waiting {
  task: Task;
  offset: number;
  end: number;
  fold?: (piece: Buffer) => void;
  parts: Buffer[];
  seen: number;
}

/** The last bytes of a stream. */
class Tail {
  #bytes = Buffer.alloc(0);

  push(chunk: Buffer): void {
    const joined = chunk.length >= TAIL_BYTES ? chunk : Buffer.concat([this.#bytes, chunk]);
    this.#bytes = Buffer.from(joined.subarray(Math.max(0, joined.length - TAIL_BYTES)));
  }

  last(length: number): Buffer {
    return this.#bytes.subarray(Math.max(0, this.#bytes.length - length));
  }
}

/**
 * Judges an image while its bytes pass, in order, in chunks of any size. The verdict equals `inspectFile`'s but for
 * `unchecked`: checks of tables that lie before what points to them. Keeps at most 2 MiB.
 */
export class StreamInspector {
  readonly #session: Session;
  #waiting: Waiting[] = [];
  #forEnd: Task[] = [];
  readonly #headStore = Buffer.alloc(HEAD_BYTES);
  readonly #tail = new Tail();
  #position = 0;
  #ended: Inspection | undefined;

  /** @throws UNKNOWN_FORMAT for a claim that is no known format; INVALID_ARGUMENT for a limit that is none. */
  constructor(options: InspectOptions = {}) {
    this.#session = new Session(options);
    this.#adopt();
  }

  /** Bytes seen so far. */
  get position(): number {
    return this.#position;
  }

  /** The next bytes of the image; they are not kept. @throws INVALID_ARGUMENT after end(), and for what is no bytes. */
  push(chunk: Uint8Array): void {
    if (this.#ended || !(chunk instanceof Uint8Array)) {
      const what = this.#ended
        ? 'The image has ended: nothing can be pushed any more'
        : 'push takes a Uint8Array';
      throw new DiskImageError('INVALID_ARGUMENT', what, { operation: 'inspect' });
    }
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    this.#tail.push(bytes);
    let at = 0;
    while (at < bytes.length) {
      const room = this.#nextStop() - this.#position;
      const piece = bytes.subarray(at, at + Math.min(room, bytes.length - at));
      this.#take(piece);
      at += piece.length;
    }
  }

  /**
   * The verdict of the bytes so far; undefined before the first 512. Any violation in it is final, so that the rest
   * need not be fetched; `safe` is never true in it.
   */
  earlyVerdict(): Inspection | undefined {
    if (this.#ended) return this.#ended;
    return this.#position < EARLY_BYTES ? undefined : this.#session.verdict(this.#position, false);
  }

  /** No more bytes: the verdict. */
  end(): Inspection {
    if (this.#ended) return this.#ended;
    while (this.#waiting.length > 0 || this.#forEnd.length > 0) {
      for (const waiting of this.#waiting.splice(0)) this.#resume(waiting);
      for (const task of this.#forEnd.splice(0)) {
        const length = task.need.kind === 'tail' ? task.need.length : 0;
        const bytes = Buffer.from(this.#tail.last(length));
        const answer = { bytes, length: bytes.length, missed: false, fileSize: this.#position };
        if (this.#session.answer(task, answer)) this.#wait(task);
      }
      this.#adopt();
    }
    this.#ended = this.#session.verdict(this.#position, true);
    return this.#ended;
  }

  /** The next place where a task gets all it waits for, and may ask for what follows directly. */
  #nextStop(): number {
    let stop = Number.POSITIVE_INFINITY;
    for (const { end } of this.#waiting) if (end > this.#position && end < stop) stop = end;
    return stop;
  }

  #take(piece: Buffer): void {
    const start = this.#position;
    if (start < HEAD_BYTES) piece.copy(this.#headStore, start);
    this.#position += piece.length;
    for (const waiting of this.#waiting) this.#give(waiting, piece, start);
    for (;;) {
      const done = this.#waiting.filter(({ end }) => end <= this.#position);
      if (done.length === 0) return;
      this.#waiting = this.#waiting.filter(({ end }) => end > this.#position);
      for (const waiting of done) this.#resume(waiting);
      this.#adopt();
    }
  }

  #give(waiting: Waiting, piece: Buffer, start: number): void {
    const from = Math.max(waiting.offset, start);
    const to = Math.min(waiting.end, start + piece.length);
    if (from >= to) return;
    const wanted = piece.subarray(from - start, to - start);
    if (waiting.fold) waiting.fold(wanted);
    else waiting.parts.push(Buffer.from(wanted));
    waiting.seen += wanted.length;
  }

  #resume({ task, parts, seen }: Waiting): void {
    const answer = { bytes: Buffer.concat(parts), length: seen, missed: false, fileSize: this.#position };
    if (this.#session.answer(task, answer)) this.#wait(task);
  }

  #adopt(): void {
    for (let begun = this.#session.takeBegun(); begun.length > 0; begun = this.#session.takeBegun()) {
      for (const task of begun) this.#wait(task);
    }
  }

  /** Queues a task by what it waits for; what has passed comes from the head, or is missed. */
  #wait(task: Task): void {
    for (;;) {
      const { need } = task;
      if (need.kind === 'tail') {
        this.#forEnd.push(task);
        return;
      }
      const { offset, fold } = need;
      const end = offset + need.length;
      const waiting: Waiting = { task, offset, end, fold, parts: [], seen: 0 };
      const head = this.#headStore.subarray(0, Math.min(this.#position, HEAD_BYTES));
      const kept = offset < head.length ? head.subarray(offset, end) : undefined;
      const missed = offset < this.#position && offset + (kept?.length ?? 0) < Math.min(end, this.#position);
      if (!missed && kept) this.#give(waiting, kept, offset);
      if (!missed && end > this.#position) {
        this.#waiting.push(waiting);
        return;
      }
      const bytes = Buffer.concat(waiting.parts);
      if (!this.#session.answer(task, { bytes, length: waiting.seen, missed, fileSize: this.#position }))
        return;
    }
  }
}
