import { CONTROL_BYTES } from '../native.js';

// Places in the control block (native/transfer/control.h).
const RATE = 3;
const CANCEL = 4;
const IO_PRIORITY = 5;
const NICE = 10;
const THREADS = 11;

export interface Progress {
  /** Bytes of guest range handled so far. */
  done: number;
  /** Bytes in all; 0 while unknown. */
  total: number;
}

/**
 * Class and level of a job's I/O, as ionice(1) has them: `idle` waits until nobody else wants the disk, `best-effort` (level
 * 4) competes, 0 the first and 7 the last.
 */
export type IoPriority = 'idle' | 'best-effort' | `best-effort:${0 | 1 | 2 | 3 | 4 | 5 | 6 | 7}`;

/** ioprio_set(2)'s value: class << 13 | level. Undefined for a text that is none. */
export function ioPriorityValue(priority: string): number | undefined {
  if (priority === 'idle') return 3 << 13;
  const found = /^best-effort(?::([0-7]))?$/.exec(priority);
  return found ? (2 << 13) | Number(found[1] ?? 4) : undefined;
}

/**
 * Progress, cancel, rate and priority of one job, over memory shared with the engine and with other threads: reading
 * progress or cancelling costs no message. The engine looks at `cancel` between steps (well under 50 ms).
 */
export class JobControl {
  readonly buffer: SharedArrayBuffer;
  readonly #amounts: Float64Array;
  readonly #flags: Int32Array;
  readonly #free: BigInt64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(CONTROL_BYTES)) {
    this.buffer = buffer;
    this.#amounts = new Float64Array(buffer, 0, 4);
    this.#flags = new Int32Array(buffer, 0, 12);
    this.#free = new BigInt64Array(buffer, 32, 1);
  }

  get progress(): Progress {
    return { done: this.#amounts[0], total: this.#amounts[1] };
  }

  set total(bytes: number) {
    this.#amounts[1] = bytes;
  }

  /** For steps done in JavaScript; the engine adds its own bytes itself. */
  advance(bytes: number): void {
    this.#amounts[0] += bytes;
  }

  get cancelled(): boolean {
    return Atomics.load(this.#flags, CANCEL) !== 0;
  }

  cancel(): void {
    Atomics.store(this.#flags, CANCEL, 1);
  }

  /** Bytes of data that may be moved in a second; 0 = no limit. May be changed while the job runs. */
  get bytesPerSecond(): number {
    return this.#amounts[RATE];
  }

  set bytesPerSecond(bytes: number) {
    this.#amounts[RATE] = bytes;
  }

  /** Of the engine threads that the job starts from now on. */
  set ioPriority(priority: IoPriority) {
    Atomics.store(this.#flags, IO_PRIORITY, ioPriorityValue(priority) ?? 0);
  }

  /** Added to the nice value of the engine threads that the job starts from now on. */
  set niceness(nice: number) {
    Atomics.store(this.#flags, NICE, nice);
  }

  /** Engine threads of the job that may work now; 0 = all it has. May be changed while the job runs. */
  get allowedThreads(): number {
    return Atomics.load(this.#flags, THREADS);
  }

  set allowedThreads(count: number) {
    Atomics.store(this.#flags, THREADS, count);
  }

  /**
   * For bytes moved in JavaScript, which share the rate with the engine's: books them and returns the milliseconds until
   * they may go. Time that nobody used is not saved up.
   */
  book(bytes: number): number {
    const rate = this.bytesPerSecond;
    if (!(rate > 0)) return 0;
    const needed = BigInt(Math.min(Math.round((bytes / rate) * 1e9), 1e15));
    for (;;) {
      const free = Atomics.load(this.#free, 0);
      // CLOCK_MONOTONIC, as in the engine.
      const now = process.hrtime.bigint();
      const begin = free > now ? free : now;
      if (Atomics.compareExchange(this.#free, 0, free, begin + needed) === free) {
        return Number(begin - now) / 1e6;
      }
    }
  }

  /** Cancels when `signal` aborts; returns the function that stops listening. */
  follow(signal: AbortSignal | undefined): () => void {
    if (!signal) return () => {};
    const cancel = () => this.cancel();
    if (signal.aborted) cancel();
    else signal.addEventListener('abort', cancel, { once: true });
    return () => signal.removeEventListener('abort', cancel);
  }
}
