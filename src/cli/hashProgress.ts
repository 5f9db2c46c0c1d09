// Progress of many files that are digested some at a time, as of one job.
import { stat } from 'node:fs/promises';
import type { ProgressListener } from '../operations/progressReport.js';
import type { HashWords } from './hashOptions.js';

export class JoinedProgress {
  readonly #sizes: readonly number[];
  readonly #listener: ProgressListener | undefined;
  #next = 0;
  /** Bytes of the parts before the present one. */
  #before = 0;
  #present = 0;

  private constructor(sizes: readonly number[], listener: ProgressListener | undefined) {
    this.#sizes = sizes;
    this.#listener = listener;
  }

  /** With the sizes of the files as far as they can be told without opening them. */
  static async of(words: HashWords, listener: ProgressListener | undefined): Promise<JoinedProgress> {
    const tellable = words.progress && !words.guest && !words.blkhash;
    const sizes: number[] = [];
    for (const path of tellable ? words.files : []) {
      sizes.push(path === '-' ? 0 : ((await stat(path).catch(() => undefined))?.size ?? 0));
    }
    return new JoinedProgress(sizes, listener);
  }

  /** For the job that digests the next `count` files. */
  part(count: number): ProgressListener | undefined {
    this.#next += count;
    this.#before += this.#present;
    this.#present = 0;
    const listener = this.#listener;
    if (!listener) return undefined;
    const before = this.#before;
    const after = this.#sizes.slice(this.#next).reduce((sum, size) => sum + size, 0);
    return (progress) => {
      this.#present = progress.done;
      listener({ ...progress, done: before + progress.done, total: before + progress.total + after });
    };
  }
}
