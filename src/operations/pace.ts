import { setTimeout as sleep } from 'node:timers/promises';
import type { JobControl } from '../disk/control.js';

/** Cancel is answered within this time, whatever has still to be waited for. */
const SLICE_MS = 20;

/**
 * For bytes that JavaScript moves itself: waits until the job's rate lets `bytes` go. Returns early when the job is
 * cancelled, which the caller sees for itself. The engine does the same for its own (native/transfer/control.cc).
 */
export async function pace(control: JobControl, bytes: number): Promise<void> {
  const until = performance.now() + control.book(bytes);
  for (;;) {
    const left = until - performance.now();
    if (left <= 0 || control.cancelled) return;
    await sleep(Math.min(left, SLICE_MS));
  }
}
