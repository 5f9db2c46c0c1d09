import type { JobControl, Progress } from '../disk/control.js';
import { DiskImageError } from '../disk/errors.js';

export type ProgressListener = (progress: Progress) => void;

/**
 * Tells a job's listener how far it is. A listener that throws cancels the job, which then fails with what it threw as
 * the cause: out of a timer it would end the process.
 */
export class ProgressReport {
  readonly #operation: string;
  readonly #control: JobControl;
  readonly #listener: ProgressListener | undefined;
  #failure: { error: unknown } | undefined;

  constructor(operation: string, control: JobControl, listener: ProgressListener | undefined) {
    this.#operation = operation;
    this.#control = control;
    this.#listener = listener;
  }

  tell(): void {
    if (!this.#listener || this.#failure) return;
    try {
      this.#listener(this.#control.progress);
    } catch (error) {
      this.#failure = { error };
      this.#control.cancel();
    }
  }

  /** @throws CANCELLED when the listener threw while the job ran, which ended it. */
  throwIfFailed(): void {
    if (this.#failure) throw this.#error('CANCELLED', 'was cancelled, because its onProgress threw');
  }

  /** The last report, of a job that is done. @throws INVALID_ARGUMENT when the listener throws or threw. */
  finish(): void {
    this.tell();
    if (this.#failure) throw this.#error('INVALID_ARGUMENT', 'is complete, but its onProgress threw');
  }

  #error(code: 'CANCELLED' | 'INVALID_ARGUMENT', what: string): DiskImageError {
    const cause = this.#failure?.error;
    const said = cause instanceof Error ? cause.message : String(cause);
    const operation = this.#operation;
    return new DiskImageError(code, `${operation} ${what}: ${said}`, { operation, cause });
  }
}
