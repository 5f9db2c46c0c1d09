import { JobControl } from '../disk/control.js';
import type { JobMessage } from './protocol.js';

/** Most engine threads of one job: more would only add memory. */
const MAX_SHARE = 8;

const RUNNING = 1;
const OVER = 2;

/**
 * Worker side: counts the job as running and says how many engine threads it may have. How many of them may work is a
 * fair share of the pool's, now and whenever another job begins or ends.
 */
export function beginJob(message: JobMessage): number {
  Atomics.store(new Int32Array(message.started), 0, RUNNING);
  const running = Atomics.add(new Int32Array(message.running), 0, 1) + 1;
  if (message.threads !== undefined) return message.threads;
  // Until the pool looks, which has all jobs in sight.
  new JobControl(message.control).allowedThreads = Math.max(1, Math.floor(message.poolThreads / running));
  return Math.min(MAX_SHARE, message.poolThreads);
}

/**
 * Counts the job as over, once. The worker does it before it answers, so that the next job gets a full share; the
 * pool does it again when the job has settled, because the worker may have died.
 */
export function endJob(message: JobMessage): void {
  const began = Atomics.compareExchange(new Int32Array(message.started), 0, RUNNING, OVER) === RUNNING;
  if (began) Atomics.sub(new Int32Array(message.running), 0, 1);
}

/** Pool side: shares the pool's threads out anew among the jobs that run, the odd ones to the oldest. */
export function shareThreads(jobs: readonly JobMessage[]): void {
  const running = jobs.filter(({ started }) => Atomics.load(new Int32Array(started), 0) === RUNNING);
  for (const [i, { control, threads, poolThreads }] of running.entries()) {
    if (threads !== undefined) continue;
    const share = Math.floor(poolThreads / running.length) + (i < poolThreads % running.length ? 1 : 0);
    new JobControl(control).allowedThreads = Math.max(1, share);
  }
}
