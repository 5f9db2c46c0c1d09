import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ResourceLimits } from 'node:worker_threads';
import { Piscina, queueOptionsSymbol } from 'piscina';
import { JobControl } from '../disk/control.js';
import { DiskImageError } from '../disk/errors.js';
import { applyEffort, checkSettings, type JobSettings } from '../operations/job.js';
import { ProgressReport } from '../operations/progressReport.js';
import { unpackError } from './errorTransport.js';
import { JobQueue, type Place } from './jobQueue.js';
import type { JobMessage, JobReply } from './protocol.js';
import { endJob, shareThreads } from './shares.js';

export interface PoolOptions {
  /** Engine threads shared out among the running jobs. Default: the machine's. */
  threads?: number;
  /** Jobs that run at once, each with a JavaScript thread of its own. Default: the machine's threads. */
  jobs?: number;
  /** Milliseconds an idle worker is kept. Default 10,000. One is always kept. */
  idleTimeout?: number;
  /** Of each worker (node:worker_threads). A worker that exceeds them fails its own job with WORKER_DIED. */
  resourceLimits?: ResourceLimits;
}

export interface PoolJobSettings extends JobSettings {
  /** Any number; higher runs first among the jobs that wait, equal ones in order. Default 0. */
  priority?: number;
}

interface PoolJob {
  message: JobMessage;
  control: JobControl;
  place: Place;
  settings: PoolJobSettings;
  report: ProgressReport;
  fail(error: DiskImageError): void;
  /** Settles with the job. */
  over: Promise<unknown>;
}

/** V8 would let each worker's young objects take tens of MiB before it looks: jobs make few, and live on typed arrays. */
const YOUNG_MB = 2;
const PROGRESS_INTERVAL_MS = 100;
/** What destroy() grants a cancelled job before its thread is ended. */
const DESTROY_GRACE_MS = 5000;

/** Runs jobs in the worker threads of one file (see serve.ts). Pool names its operations. */
export class JobPool {
  readonly #piscina: Piscina;
  readonly #queue = new JobQueue();
  readonly #jobs = new Set<PoolJob>();
  readonly #running = new SharedArrayBuffer(4);
  readonly #threads: number;
  #timer: NodeJS.Timeout | undefined;
  #tickets = 0;
  #lastDeath: Error | undefined;
  #closed: Promise<void> | undefined;

  constructor(worker: URL, options: PoolOptions = {}) {
    this.#threads = atLeastOne('threads', options.threads ?? availableParallelism());
    const jobs = atLeastOne('jobs', options.jobs ?? availableParallelism());
    this.#piscina = new Piscina({
      filename: fileURLToPath(worker),
      minThreads: 1,
      maxThreads: jobs,
      concurrentTasksPerWorker: 1,
      idleTimeout: milliseconds('idleTimeout', options.idleTimeout ?? 10_000),
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB, ...options.resourceLimits },
      // Loaders, inspectors and the like of the main thread are not the workers' affair; they start faster without.
      execArgv: [],
      taskQueue: this.#queue,
      // Piscina would let the thread sleep in Atomics.wait between jobs: nothing could be cleaned up meanwhile.
      atomics: 'disabled',
      recordTiming: false,
    });
    // Of a worker that dies without a job, at its start above all.
    this.#piscina.on('error', (error: Error) => {
      this.#lastDeath = error;
    });
    this.#piscina.on('workerDestroy', () => setImmediate(() => this.#failStranded()));
  }

  /** Jobs that run or wait. */
  get size(): number {
    return this.#jobs.size;
  }

  /** Jobs that wait for a thread. */
  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Runs one operation in a worker.
   * @throws what the operation throws, as DiskImageError; CANCELLED; WORKER_DIED; INVALID_ARGUMENT when the request
   * can't be sent to another thread (functions, such as gates, can't), the settings are none or the pool is closed.
   */
  async run(operation: string, request: unknown, settings: PoolJobSettings = {}): Promise<unknown> {
    checkSettings(settings, operation);
    const { priority = 0 } = settings;
    if (typeof priority !== 'number' || Number.isNaN(priority)) {
      throw refused(operation, `priority must be a number, not ${priority}`);
    }
    if (this.#closed) throw refused(operation, 'The pool is closed');
    if (settings.signal?.aborted) throw cancelled(operation, settings.signal);
    const control = settings.control ?? new JobControl();
    applyEffort(settings, control);
    const message: JobMessage = {
      operation,
      request,
      control: control.buffer,
      started: new SharedArrayBuffer(4),
      running: this.#running,
      poolThreads: this.#threads,
      threads: settings.threads,
    };
    const place: Place = { priority, ticket: this.#tickets++ };
    const report = new ProgressReport(operation, control, settings.onProgress);
    const job: PoolJob = {
      message,
      control,
      place,
      settings,
      report,
      fail: () => {},
      over: Promise.resolve(),
    };
    job.over = this.#perform(job);
    return job.over;
  }

  /** Waits for all jobs, then ends the threads. New jobs are refused from now on. */
  close(): Promise<void> {
    this.#closed ??= this.#end(this.#settled());
    return this.#closed;
  }

  /** Cancels all jobs, waits for them to clean up, and ends the threads. */
  destroy(): Promise<void> {
    for (const job of this.#jobs) this.#cancel(job);
    const grace = new Promise<void>((resolve) => setTimeout(resolve, DESTROY_GRACE_MS).unref());
    this.#closed = this.#end(Promise.race([this.#settled(), grace]));
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.destroy();
  }

  async #perform(job: PoolJob): Promise<unknown> {
    const { message, settings } = job;
    const onAbort = () => this.#cancel(job);
    settings.signal?.addEventListener('abort', onAbort, { once: true });
    this.#jobs.add(job);
    this.#watch();
    try {
      const reply = await this.#dispatch(job).catch((error: unknown) => {
        job.report.throwIfFailed();
        throw error;
      });
      if ('error' in reply) {
        job.report.throwIfFailed();
        throw unpackError(reply.error);
      }
      job.report.finish();
      return reply.value;
    } catch (error) {
      throw this.#failure(job, error);
    } finally {
      endJob(message);
      this.#share();
      settings.signal?.removeEventListener('abort', onAbort);
      this.#jobs.delete(job);
      this.#watch();
    }
  }

  #dispatch(job: PoolJob): Promise<JobReply> {
    return new Promise((resolve, reject) => {
      job.fail = reject;
      const task = { ...job.message, [queueOptionsSymbol]: job.place };
      this.#piscina.run(task).then(resolve, reject);
    });
  }

  #cancel(job: PoolJob): void {
    job.control.cancel();
    if (this.#queue.withdraw(job.place.ticket)) {
      job.fail(cancelled(job.message.operation, job.settings.signal));
    }
  }

  #failure(job: PoolJob, error: unknown): DiskImageError {
    const { operation } = job.message;
    if (error instanceof DiskImageError) return error;
    if (error instanceof Error && error.name === 'DataCloneError') {
      return refused(operation, `The request can't be sent to a worker: ${error.message}`, error);
    }
    return died(error, operation);
  }

  /** Piscina starts no new workers when they die before they are ready: jobs would wait for ever. */
  #failStranded(): void {
    if (this.#queue.size === 0 || this.#piscina.threads.length > 0) return;
    const error = died(this.#lastDeath ?? 'it ended before it was ready');
    for (const job of this.#jobs) if (this.#queue.withdraw(job.place.ticket)) job.fail(error);
  }

  /** The timer reports progress, and keeps the process alive while jobs are under way: piscina's threads do not. */
  #watch(): void {
    if (this.#jobs.size > 0) this.#timer ??= setInterval(() => this.#report(), PROGRESS_INTERVAL_MS);
    else {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #share(): void {
    shareThreads([...this.#jobs].map(({ message }) => message));
  }

  #report(): void {
    this.#share();
    for (const job of this.#jobs) {
      job.report.tell();
      // Cancelled through its control, or by its listener: while it waits nobody else looks.
      if (job.control.cancelled) this.#cancel(job);
    }
  }

  async #settled(): Promise<void> {
    await Promise.allSettled([...this.#jobs].map((job) => job.over));
  }

  async #end(settled: Promise<void>): Promise<void> {
    await settled;
    await this.#piscina.destroy();
  }
}

function atLeastOne(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value;
  throw new DiskImageError('INVALID_ARGUMENT', `${name} must be a whole number of at least 1, not ${value}`, {
    operation: 'pool',
  });
}

function milliseconds(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0) return value;
  throw new DiskImageError(
    'INVALID_ARGUMENT',
    `${name} must be a whole number of milliseconds, not ${value}`,
    {
      operation: 'pool',
    },
  );
}

function cancelled(operation: string, signal?: AbortSignal): DiskImageError {
  return new DiskImageError('CANCELLED', `${operation} was cancelled`, { operation, cause: signal?.reason });
}

function refused(operation: string, message: string, cause?: unknown): DiskImageError {
  return new DiskImageError('INVALID_ARGUMENT', message, { operation, cause });
}

function died(error: unknown, operation?: string): DiskImageError {
  const why = error instanceof Error ? error.message : String(error);
  const what = operation ? `The worker thread of ${operation}` : 'A worker thread';
  return new DiskImageError('WORKER_DIED', `${what} died: ${why}`, { operation, cause: error });
}
