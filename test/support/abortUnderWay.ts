import { JobControl } from '#src/disk/control.js';
import type { JobSettings } from '#src/operations/job.js';

/** Settings whose signal aborts as soon as the job has moved its first bytes. */
export function abortUnderWay(): JobSettings {
  const control = new JobControl();
  const abort = new AbortController();
  const watch = setInterval(() => {
    if (control.progress.done === 0) return;
    clearInterval(watch);
    abort.abort();
  }, 1);
  watch.unref();
  return { control, signal: abort.signal, threads: 1 };
}
