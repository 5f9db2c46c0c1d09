import { requireArray, requireFunction } from '../disk/arguments.js';
import { JobControl } from '../disk/control.js';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { type HashOutcome, type HashRequest, hash } from './hash.js';
import { hashJoined } from './hashJoined.js';
import { checkHashRequest } from './hashRules.js';
import { type Effort, type Job, type JobSettings, runJob } from './job.js';

/** What became of one file: `outcome` or `error`. */
export interface HashedFile {
  path: string;
  outcome?: HashOutcome;
  error?: DiskImageError;
}

export interface HashFilesSettings extends JobSettings {
  /** Each file as soon as it and all before it are done. What it throws ends the operation. */
  onFile?: (file: HashedFile, index: number) => void;
}

/**
 * Digests many files at once, also whole files side by side on every thread; results are in the order of the requests. A
 * file that fails leaves the others alone. Progress is in bytes; what is no file of known size joins the total when it is
 * done.
 * @throws INVALID_ARGUMENT for a request that is none, before anything is read; CANCELLED.
 */
export function hashFiles(
  files: readonly HashRequest[],
  settings: HashFilesSettings = {},
): Promise<HashedFile[]> {
  return runJob('hash', settings, async (job) => {
    requireArray(files, 'files', 'hash');
    requireFunction(settings.onFile, 'onFile', 'hash');
    for (const file of files) checkHashRequest(file);
    const report = new InOrder(files, settings.onFile);
    const alone = await hashJoined(files, job, (index, file) => report.done(index, file));
    let next = 0;
    const lanes = Math.min(job.threads, alone.length);
    const effort = shareOf(settings, lanes);
    const lane = async () => {
      while (next < alone.length) {
        const index = alone[next++];
        const file = await hashOne(files[index], effort, job);
        const { done, total } = job.control.progress;
        job.control.total = Math.max(total, done + (file.outcome?.size ?? 0));
        job.control.advance(file.outcome?.size ?? 0);
        report.done(index, file);
      }
    };
    const stopping = async () => {
      try {
        await lane();
      } catch (error) {
        next = alone.length;
        throw error;
      }
    };
    // All lanes are over when this is.
    const ends = await Promise.allSettled(Array.from({ length: lanes }, stopping));
    const failed = ends.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    return report.files;
  });
}

/** Each lane's part of the rate; together they stay below it. */
function shareOf({ bytesPerSecond, ioPriority, niceness }: Effort, lanes: number): Effort {
  const part = bytesPerSecond && Math.max(1, Math.floor(bytesPerSecond / lanes));
  return { bytesPerSecond: part, ioPriority, niceness };
}

async function hashOne(request: HashRequest, effort: Effort, job: Job): Promise<HashedFile> {
  const { path } = request;
  job.throwIfCancelled();
  const control = new JobControl();
  const watch = setInterval(() => job.control.cancelled && control.cancel(), 20);
  try {
    return { path, outcome: await hash(request, { ...effort, threads: 1, control }) };
  } catch (error) {
    job.throwIfCancelled();
    return { path, error: toDiskImageError(error, { path, operation: 'hash' }) };
  } finally {
    clearInterval(watch);
  }
}

class InOrder {
  readonly files: HashedFile[];
  readonly #tell: HashFilesSettings['onFile'];
  #told = 0;

  constructor(requests: readonly HashRequest[], tell: HashFilesSettings['onFile']) {
    this.files = new Array(requests.length);
    this.#tell = tell;
  }

  done(index: number, file: HashedFile): void {
    this.files[index] = file;
    for (; this.files[this.#told]; this.#told++) {
      try {
        this.#tell?.(this.files[this.#told], this.#told);
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new DiskImageError('INVALID_ARGUMENT', `onFile failed: ${reason}`, {
          operation: 'hash',
          cause,
        });
      }
    }
  }
}
