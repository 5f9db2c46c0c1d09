import type { JobMessage } from './protocol.js';

/** Most engine threads of one job: more would only add memory. */
const MAX_SHARE = 8;

/**
 * Worker side: counts the job as running and says how many engine threads it may use. A job keeps what it got at
 * its start; jobs that come while it runs get less.
 */
export function beginJob(message: JobMessage): number {
  Atomics.store(new Int32Array(message.started), 0, 1);
  const running = Atomics.add(new Int32Array(message.running), 0, 1) + 1;
  return message.threads ?? Math.min(MAX_SHARE, Math.max(1, Math.floor(message.poolThreads / running)));
}

/**
 * Counts the job as over, once. The worker does it before it answers, so that the next job gets a full share; the
 * pool does it again when the job has settled, because the worker may have died.
 */
export function endJob(message: JobMessage): void {
  const began = Atomics.compareExchange(new Int32Array(message.started), 0, 1, 2) === 1;
  if (began) Atomics.sub(new Int32Array(message.running), 0, 1);
}
