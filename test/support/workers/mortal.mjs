// A pool worker with operations that a test needs: one that dies, one that waits, one that says how it was run.
import { DiskImageError } from '#src/disk/errors.js';
import { serve } from '#src/pool/serve.js';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export default serve({
  exit: { run: async ({ code }) => process.exit(code) },
  crash: {
    run: () =>
      new Promise(() => {
        setTimeout(() => {
          throw new Error('thrown outside of any promise');
        }, 1);
      }),
  },
  exhaust: {
    run: async () => {
      const kept = [];
      for (;;) kept.push(new Array(10_000).fill(kept.length));
    },
  },
  threads: {
    run: async (_request, { threads, control }) => control.allowedThreads || threads,
  },
  // How many threads it has, once they are `wanted`.
  grow: {
    run: async ({ begun, wanted }, { control }) => {
      Atomics.add(new Int32Array(begun), 0, 1);
      while (control.allowedThreads !== wanted) await sleep(2);
      return control.allowedThreads;
    },
  },
  // Waits until `count` jobs have begun.
  gather: {
    run: async ({ begun, count }, { threads, control }) => {
      const share = control.allowedThreads || threads;
      const seen = new Int32Array(begun);
      Atomics.add(seen, 0, 1);
      while (Atomics.load(seen, 0) < count) await sleep(2);
      return share;
    },
  },
  order: {
    run: async ({ name, log }) => {
      const written = new Int32Array(log);
      Atomics.store(written, Atomics.add(written, 0, 1) + 1, name);
    },
  },
  wait: {
    run: async (_request, { control }) => {
      control.total = 1000;
      while (!control.cancelled) {
        control.advance(1);
        await sleep(2);
      }
      throw new DiskImageError('CANCELLED', 'wait was cancelled', { operation: 'wait' });
    },
  },
  fail: {
    run: async () => {
      const cause = new DiskImageError('TRUNCATED', 'inner', { path: '/inner', offset: 7 });
      throw new DiskImageError('IO', 'outer', {
        path: '/outer',
        errno: 'ENOSPC',
        syscall: 'write',
        operation: 'fail',
        cause: new AggregateError([cause]),
      });
    },
  },
});
