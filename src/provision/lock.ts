// Named locks between processes, the ones Nova takes (oslo.concurrency, lock(external=True)): a write lock on the
// whole of a file that is opened for append and never unlinked. Nova's are POSIX record locks, ours belong to the
// open file description (fcntl_locking(2), "Open file description locks"); the kernel lets the two kinds conflict.
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { native } from '../native.js';
import { throwIfAborted } from './abort.js';

const FIRST_POLL_MS = 10;
const LAST_POLL_MS = 100;
/** fcntl(2): a length of 0 means to the end of the file, however large it grows. */
const WHOLE_FILE = 0;

export interface LockOptions {
  signal?: AbortSignal;
  /** Milliseconds to wait at most; default without limit, as Nova waits. */
  timeout?: number;
  /** Called once when the lock is not free at once. */
  onWait?: () => void;
}

export interface HeldLock {
  release(): Promise<void>;
}

/** The locks of one folder. Within a process callers of one LockFolder are served in order. */
export class LockFolder {
  readonly folder: string;
  readonly #tails = new Map<string, Promise<void>>();

  constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Waits for the lock.
   * @throws CANCELLED when `signal` aborts; LOCKED after `timeout`; IO.
   */
  async acquire(name: string, options: LockOptions = {}): Promise<HeldLock> {
    const deadline = options.timeout === undefined ? Infinity : performance.now() + options.timeout;
    let leave = (): void => {};
    try {
      throwIfAborted(options.signal, 'lock');
      leave = await this.#enter(name, options, deadline);
      const file = await this.#open(name);
      try {
        await this.#poll(file.fd, name, options, deadline);
      } catch (error) {
        await file.close();
        throw error;
      }
      return {
        release: async () => {
          await file.close();
          leave();
        },
      };
    } catch (error) {
      leave();
      throw toDiskImageError(error, { path: join(this.folder, name), operation: 'lock' });
    }
  }

  /** The lock if it is free now. */
  async tryAcquire(name: string): Promise<HeldLock | undefined> {
    try {
      return await this.acquire(name, { timeout: 0 });
    } catch (error) {
      if (error instanceof DiskImageError && error.code === 'LOCKED') return undefined;
      throw error;
    }
  }

  /** Waits until this process's earlier callers are done; returns how to let the next one in. */
  async #enter(name: string, options: LockOptions, deadline: number): Promise<() => void> {
    const before = this.#tails.get(name);
    let leave = (): void => {};
    const own = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const tail = (before ?? Promise.resolve()).then(() => own);
    this.#tails.set(name, tail);
    void tail.then(() => {
      if (this.#tails.get(name) === tail) this.#tails.delete(name);
    });
    if (before) {
      options.onWait?.();
      try {
        await this.#within(before, name, options, deadline);
      } catch (error) {
        leave();
        throw error;
      }
    }
    return leave;
  }

  /** Waits for `turn`, but not beyond the signal or the deadline. */
  async #within(turn: Promise<void>, name: string, options: LockOptions, deadline: number): Promise<void> {
    const stop = new AbortController();
    const follow = (): void => stop.abort();
    options.signal?.addEventListener('abort', follow, { once: true });
    // A timer can't be set for longer than 2^31 - 1 ms, some 24 days; nobody asks for more.
    const patience = Math.min(Math.max(0, deadline - performance.now()), 2 ** 31 - 1);
    const limit = sleep(patience, 'late' as const, { signal: stop.signal, ref: Number.isFinite(deadline) });
    try {
      const first = await Promise.race([turn, limit]);
      if (first === 'late') throw this.#busy(name, options);
    } finally {
      options.signal?.removeEventListener('abort', follow);
      limit.catch(() => {}); // stopping the timer rejects it; nobody waits for it any more
      stop.abort();
    }
  }

  async #open(name: string): Promise<fs.FileHandle> {
    const path = join(this.folder, name);
    try {
      return await fs.open(path, 'a');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    await fs.mkdir(this.folder, { recursive: true });
    return fs.open(path, 'a');
  }

  async #poll(fd: number, name: string, options: LockOptions, deadline: number): Promise<void> {
    let told = false;
    for (let pause = FIRST_POLL_MS; ; pause = Math.min(pause * 2, LAST_POLL_MS)) {
      throwIfAborted(options.signal, 'lock');
      if (native.ofdLock(fd, 0, WHOLE_FILE, 'write')) return;
      if (!told) options.onWait?.();
      told = true;
      const left = deadline - performance.now();
      if (left <= 0) throw this.#busy(name, options);
      await sleep(Math.min(pause, left), undefined, { signal: options.signal });
    }
  }

  #busy(name: string, options: LockOptions): DiskImageError {
    const path = join(this.folder, name);
    const waited = options.timeout ? ` after ${options.timeout} ms` : '';
    return new DiskImageError('LOCKED', `Another process holds the lock '${path}'${waited}`, {
      path,
      operation: 'lock',
    });
  }
}
