import { DiskImageError } from '../disk/errors.js';
import type { Checkpoint } from '../disk/format.js';
import { nativeBatch } from '../disk/view.js';
import { type BatchResult, type JobOptions, type JobTotals, type NativeBatch, native } from '../native.js';
import type { MapBatch } from './batches.js';
import type { Job } from './job.js';

/** Batches the engine has at once: one it works on, one ready, one being planned meanwhile. */
const IN_FLIGHT = 3;

/** What a transfer does around its engine job. */
export interface Transfer<B extends MapBatch> {
  options: Omit<JobOptions, 'control' | 'threads'>;
  /** The next batch in guest order; undefined at the end. */
  next(): Promise<B | undefined>;
  /** What goes to the engine besides the batch's own columns. */
  extra?(batch: B): Promise<Partial<NativeBatch>>;
  /** When it is due, all results are accepted before the next batch is asked for. */
  checkpoint?: Checkpoint;
  /** Each result, in order. True: stop here, the rest is not wanted. */
  accept(result: BatchResult, batch: B): Promise<boolean | undefined>;
}

/**
 * Runs one engine job over all batches, a few in flight, results accepted in guest order. Whatever goes wrong,
 * the job is over when this returns. Undefined when `accept` stopped it early.
 */
export async function runTransfer<B extends MapBatch>(
  job: Job,
  transfer: Transfer<B>,
): Promise<JobTotals | undefined> {
  const engine = native.createJob({ ...transfer.options, control: job.control.buffer, threads: job.threads });
  const inFlight: { batch: B; result: Promise<BatchResult> }[] = [];
  const { checkpoint } = transfer;
  const acceptOldest = async () => {
    const { batch, result } = inFlight.shift()!;
    return transfer.accept(await result, batch);
  };
  try {
    for (;;) {
      job.throwIfCancelled();
      if (checkpoint?.due) {
        while (inFlight.length > 0) {
          if (await acceptOldest()) {
            await engine.abort();
            return undefined;
          }
        }
        await checkpoint.reach();
      }
      const batch = await transfer.next();
      if (batch) {
        const extra = await transfer.extra?.(batch);
        const result = engine.submit({ ...nativeBatch(batch.columns, batch.start, batch.end), ...extra });
        // It is awaited below, in order; until then a failure must not count as unhandled.
        result.catch(() => {});
        inFlight.push({ batch, result });
      } else if (inFlight.length === 0) {
        return await engine.finish();
      }
      if (!batch || inFlight.length === IN_FLIGHT) {
        if (await acceptOldest()) {
          await engine.abort();
          return undefined;
        }
      }
    }
  } catch (error) {
    await engine.abort();
    if (job.control.cancelled && !(error instanceof DiskImageError)) job.throwIfCancelled();
    throw error;
  }
}
