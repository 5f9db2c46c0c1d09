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

/** Pool side, so that it happens even when the worker died: counts the job as over if it ever began. */
export function endJob(message: JobMessage): void {
  if (Atomics.load(new Int32Array(message.started), 0) === 1)
    Atomics.sub(new Int32Array(message.running), 0, 1);
}
