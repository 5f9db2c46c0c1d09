import { CONTROL_BYTES } from '../native.js';

export interface Progress {
  /** Bytes of guest range handled so far. */
  done: number;
  /** Bytes in all; 0 while unknown. */
  total: number;
}

/**
 * Progress and cancel of one job, over memory shared with the engine and with other threads: reading progress
 * or cancelling costs no message. The engine looks at `cancel` between steps (well under 50 ms).
 */
export class JobControl {
  readonly buffer: SharedArrayBuffer;
  readonly #amounts: Float64Array;
  readonly #flags: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(CONTROL_BYTES)) {
    this.buffer = buffer;
    this.#amounts = new Float64Array(buffer, 0, 2);
    this.#flags = new Int32Array(buffer, 16, 1);
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
    return Atomics.load(this.#flags, 0) !== 0;
  }

  cancel(): void {
    Atomics.store(this.#flags, 0, 1);
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
