// What goes between a pool and its workers.
import type { PackedError } from './errorTransport.js';

/** One job as it is sent to a worker. */
export interface JobMessage {
  operation: string;
  request: unknown;
  /** Control block: progress out; cancel, rate, priority and share of threads in. */
  control: SharedArrayBuffer;
  /** Int32 [0]: 0 = waits, 1 = runs, 2 = over. */
  started: SharedArrayBuffer;
  /** Int32 [0]: jobs that run now, over all workers of the pool. */
  running: SharedArrayBuffer;
  /** Engine threads the pool has to share out. */
  poolThreads: number;
  /** Engine threads the caller asked for; undefined = a fair share. */
  threads?: number;
}

export type JobReply = { value: unknown } | { error: PackedError };
