import { JobControl } from '../disk/control.js';
import { toDiskImageError } from '../disk/errors.js';
import { ExtentColumns, Kind } from '../disk/extents.js';
import type { HostFile } from '../disk/hostFile.js';
import { nativeBatch } from '../disk/view.js';
import { type NativeJob, native } from '../native.js';
import { applyEffort, type Effort } from '../operations/job.js';
import type { Digests, SourceAlgorithm } from './digests.js';

/** Bytes the engine digests at a time; batches end at multiples of it. */
const SEGMENT = 2 ** 20;
/** Bytes that are worth a call. */
const STEP = 8 * SEGMENT;

/**
 * Digests a file that is still growing, behind its writer's back: the engine reads what has been written (it is in
 * the page cache) on one thread per algorithm, so neither the download nor the event loop waits.
 */
export class FollowingDigest {
  readonly #algorithms: readonly SourceAlgorithm[];
  readonly #effort: Effort;
  readonly #signal: AbortSignal | undefined;
  #jobs: NativeJob[] = [];
  #position = 0;
  #failure: { error: unknown } | undefined;
  #unfollow = (): void => {};

  constructor(algorithms: readonly SourceAlgorithm[], effort: Effort = {}, signal?: AbortSignal) {
    this.#algorithms = algorithms;
    this.#effort = effort;
    this.#signal = signal;
  }

  /** The file's first `end` bytes are there. Returns at once. */
  follow(file: HostFile, end: number): void {
    if (end - this.#position < STEP) return;
    this.#submit(file, end - (end % SEGMENT));
  }

  /** The file has exactly `size` bytes: resolves to its digests. */
  async finish(file: HostFile, size: number): Promise<Digests> {
    this.#submit(file, size);
    try {
      const digests: Digests = {};
      for (const [i, algorithm] of this.#algorithms.entries()) {
        const totals = await this.#jobs[i].finish();
        digests[algorithm] = Buffer.from(totals.digests?.[algorithm] ?? []).toString('hex');
      }
      if (this.#failure) throw this.#failure.error;
      this.#jobs = [];
      return digests;
    } catch (error) {
      throw toDiskImageError(error, { path: file.path, operation: 'digest' });
    } finally {
      await this.abort();
    }
  }

  /** Stops and forgets everything. Safe at any time. */
  async abort(): Promise<void> {
    const jobs = this.#jobs;
    this.#jobs = [];
    this.#position = 0;
    this.#failure = undefined;
    this.#unfollow();
    await Promise.all(jobs.map((job) => job.abort()));
  }

  #submit(file: HostFile, end: number): void {
    if (this.#jobs.length === 0) this.#start();
    if (end <= this.#position) return;
    const columns = new ExtentColumns(1);
    columns.pushPlaced(Kind.data, this.#position, end - this.#position, 0, file, this.#position);
    const jobs = this.#jobs;
    for (const job of jobs) {
      job.submit(nativeBatch(columns, this.#position, end)).catch((error: unknown) => {
        // For finish(). After abort() nobody cares, and the jobs that came after have nothing to do with it.
        if (this.#jobs === jobs) this.#failure ??= { error };
      });
    }
    this.#position = end;
  }

  #start(): void {
    const control = new JobControl();
    this.#unfollow = control.follow(this.#signal);
    applyEffort(this.#effort, control);
    // Each job reads everything, but only the first to come to a byte may have to fetch it.
    control.bytesPerSecond *= this.#algorithms.length;
    this.#jobs = this.#algorithms.map((algorithm) =>
      native.createJob({
        sink: { type: 'digest', algorithms: [algorithm], chunkSize: 0 },
        control: control.buffer,
        threads: 1,
        segment: SEGMENT,
        shortRead: 'error',
      }),
    );
  }
}
