import { JobControl } from '../disk/control.js';
import { ExtentColumns, Kind } from '../disk/extents.js';
import type { HostFile } from '../disk/hostFile.js';
import { nativeBatch } from '../disk/view.js';
import { type NativeJob, native } from '../native.js';
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
  readonly #control = new JobControl();
  #jobs: NativeJob[] = [];
  #position = 0;
  #failure: { error: unknown } | undefined;

  constructor(algorithms: readonly SourceAlgorithm[]) {
    this.#algorithms = algorithms;
  }

  /** Bytes that have been given to the engine. */
  get position(): number {
    return this.#position;
  }

  /** The file's first `end` bytes are there. Returns at once. */
  follow(file: HostFile, end: number): void {
    if (end - this.#position < STEP) return;
    this.#submit(file, end - (end % SEGMENT));
  }

  /** The file has exactly `size` bytes: resolves to its digests. */
  async finish(file: HostFile, size: number): Promise<Digests> {
    this.#submit(file, size);
    const digests: Digests = {};
    const jobs = this.#jobs;
    for (let i = 0; i < jobs.length; i++) {
      const totals = await jobs[i].finish();
      const algorithm = this.#algorithms[i];
      digests[algorithm] = Buffer.from(totals.digests?.[algorithm] ?? []).toString('hex');
    }
    this.#jobs = [];
    if (this.#failure) throw this.#failure.error;
    return digests;
  }

  /** Stops and forgets everything. Safe at any time. */
  async abort(): Promise<void> {
    const jobs = this.#jobs;
    this.#jobs = [];
    this.#position = 0;
    this.#failure = undefined;
    await Promise.all(jobs.map((job) => job.abort()));
  }

  #submit(file: HostFile, end: number): void {
    if (this.#jobs.length === 0) this.#jobs = this.#algorithms.map((algorithm) => this.#start(algorithm));
    if (end <= this.#position) return;
    const columns = new ExtentColumns(1);
    columns.pushPlaced(Kind.data, this.#position, end - this.#position, 0, file, this.#position);
    for (const job of this.#jobs) {
      job.submit(nativeBatch(columns, this.#position, end)).catch((error: unknown) => {
        // finish() fails with the same error; it may also come after abort(), when nobody cares.
        this.#failure ??= { error };
      });
    }
    this.#position = end;
  }

  #start(algorithm: SourceAlgorithm): NativeJob {
    return native.createJob({
      sink: { type: 'digest', algorithms: [algorithm], chunkSize: 0 },
      control: this.#control.buffer,
      threads: 1,
      segment: SEGMENT,
      shortRead: 'error',
    });
  }
}
