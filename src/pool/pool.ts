import { JobPool, type PoolJobSettings, type PoolOptions } from './jobPool.js';
import { type PoolOperations, poolOperations } from './operations.js';

type Method<Name extends keyof PoolOperations> = (
  request: PoolOperations[Name][0],
  settings?: PoolJobSettings,
) => Promise<PoolOperations[Name][1]>;

/**
 * Runs operations as jobs, each in a JavaScript thread of its own (piscina), with the engine's threads shared out
 * fairly: of n running jobs each has threads / n of them, and the last one that runs has all.
 *
 * Every job has its progress, priority and cancel (PoolJobSettings). A worker that dies fails its own job with
 * WORKER_DIED; the process and the other jobs go on. Small operations (info, creating an overlay) are faster without
 * a pool: call the functions.
 */
export class Pool extends JobPool {
  readonly convert = this.#method('convert');
  readonly compare = this.#method('compare');
  readonly commit = this.#method('commit');
  readonly rebase = this.#method('rebase');
  readonly copyRange = this.#method('copyRange');
  readonly hash = this.#method('hash');
  readonly hashRanges = this.#method('hashRanges');
  readonly hashFiles = this.#method('hashFiles');
  readonly check = this.#method('check');
  readonly info = this.#method('info');
  readonly infoChain = this.#method('infoChain');
  readonly map = this.#method('map');
  readonly copyImage = this.#method('copyImage');
  readonly create = this.#method('create');
  readonly measure = this.#method('measure');
  readonly resize = this.#method('resize');
  readonly createOverlays = this.#method('createOverlays');

  constructor(options: PoolOptions = {}) {
    super(new URL('./worker.js', import.meta.url), options);
  }

  #method<Name extends keyof PoolOperations>(name: Name): Method<Name> {
    const unpack = poolOperations[name].unpack as ((value: unknown) => PoolOperations[Name][1]) | undefined;
    return async (request, settings) => {
      const value = await this.run(name, request, settings);
      return unpack ? unpack(value) : (value as PoolOperations[Name][1]);
    };
  }
}
