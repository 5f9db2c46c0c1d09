import { availableParallelism } from 'node:os';
import { requireFunction, requireObject } from '../disk/arguments.js';
import { type IoPriority, ioPriorityValue, JobControl } from '../disk/control.js';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { type ProgressListener, ProgressReport } from './progressReport.js';

/** How much of the machine a long operation may take. */
export interface Effort {
  /**
   * Bytes of data that the job may move (copy, digest, compare, download) in a second, 1 to 2^53 - 1; holes and zeros that
   * need no reading are free, and so are shared blocks (reflink). Default: no limit. `control.bytesPerSecond` changes it.
   */
  bytesPerSecond?: number;
  /**
   * Class of the engine threads' I/O, as with ionice(1). It counts where the disk's scheduler knows classes (BFQ,
   * mq-deadline), for reads and direct or synced writes; the kernel's own writing back has none. Default: as the process.
   */
  ioPriority?: IoPriority;
  /** Added to the nice value of the engine threads, 0 to 19: they yield the processor to others. Default 0. */
  niceness?: number;
}

/** How a long operation is watched and stopped. Every operation takes these as its second argument. */
export interface JobSettings extends Effort {
  /** Aborting cancels the operation: it fails with CANCELLED within 50 ms and leaves nothing behind. */
  signal?: AbortSignal;
  /**
   * Called about ten times a second while the operation runs, and once at its end. Bytes. When it throws, the operation
   * is cancelled and fails with what it threw as the cause.
   */
  onProgress?: ProgressListener;
  /** Progress and cancel in shared memory, for a caller that watches from another thread. */
  control?: JobControl;
  /** Engine threads, 1 to 16. Default: the machine's, at most 8. */
  threads?: number;
}

const PROGRESS_INTERVAL_MS = 100;
const MAX_THREADS = 16;
const DEFAULT_MAX_THREADS = 8;

/** What an operation's body works with. */
export interface Job {
  readonly control: JobControl;
  readonly threads: number;
  /** @throws CANCELLED once cancel was asked for. */
  throwIfCancelled(): void;
}

/**
 * Runs the body of an operation under its settings: signal into control, control into onProgress, and every
 * error as a DiskImageError that names the operation.
 */
export async function runJob<T>(
  operation: string,
  settings: JobSettings,
  body: (job: Job) => Promise<T>,
): Promise<T> {
  checkSettings(settings, operation);
  const control = settings.control ?? new JobControl();
  applyEffort(settings, control);
  const threads = threadCount(settings.threads, operation);
  const unfollow = control.follow(settings.signal);
  const report = new ProgressReport(operation, control, settings.onProgress);
  const timer = settings.onProgress && setInterval(() => report.tell(), PROGRESS_INTERVAL_MS);
  const cancelled = (cause?: unknown) =>
    new DiskImageError('CANCELLED', `${operation} was cancelled`, { operation, cause });
  const job: Job = {
    control,
    threads,
    throwIfCancelled() {
      if (control.cancelled) throw cancelled();
    },
  };
  try {
    job.throwIfCancelled();
    const result = await body(job).catch((error: unknown) => {
      report.throwIfFailed();
      throw error;
    });
    report.finish();
    return result;
  } catch (error) {
    if (control.cancelled && !(error instanceof DiskImageError)) throw cancelled(error);
    throw toDiskImageError(error, { operation });
  } finally {
    clearInterval(timer);
    unfollow();
  }
}

/** @throws INVALID_ARGUMENT for settings that are none, before anything is begun. */
export function checkSettings(settings: JobSettings, operation: string): void {
  requireObject(settings, 'the settings', operation);
  const { signal, onProgress, control, bytesPerSecond: rate, ioPriority, niceness } = settings;
  const refuse = (what: string): never => {
    throw new DiskImageError('INVALID_ARGUMENT', what, { operation });
  };
  if (signal !== undefined && typeof signal?.addEventListener !== 'function')
    refuse('signal must be an AbortSignal');
  requireFunction(onProgress, 'onProgress', operation);
  if (control !== undefined && !(control instanceof JobControl)) refuse('control must be a JobControl');
  if (rate !== undefined && !(Number.isSafeInteger(rate) && rate > 0))
    refuse(`bytesPerSecond must be a whole number from 1 to 2^53 - 1, not ${rate}`);
  if (ioPriority !== undefined && ioPriorityValue(ioPriority) === undefined)
    refuse(`ioPriority must be idle, best-effort or best-effort:0 to best-effort:7, not ${ioPriority}`);
  if (niceness !== undefined && !(Number.isInteger(niceness) && niceness >= 0 && niceness <= 19))
    refuse(`niceness must be a whole number from 0 to 19, not ${niceness}`);
}

/** What the engine is to know of the settings. */
export function applyEffort(effort: Effort, control: JobControl): void {
  const { bytesPerSecond, ioPriority, niceness } = effort;
  if (bytesPerSecond !== undefined) control.bytesPerSecond = bytesPerSecond;
  if (ioPriority !== undefined) control.ioPriority = ioPriority;
  if (niceness !== undefined) control.niceness = niceness;
}

function threadCount(threads: number | undefined, operation: string): number {
  if (threads === undefined) return Math.min(availableParallelism(), DEFAULT_MAX_THREADS);
  if (Number.isInteger(threads) && threads >= 1 && threads <= MAX_THREADS) return threads;
  throw new DiskImageError(
    'INVALID_ARGUMENT',
    `threads must be a whole number from 1 to ${MAX_THREADS}, not ${threads}`,
    { operation },
  );
}
