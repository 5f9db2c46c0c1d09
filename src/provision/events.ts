import type { Progress } from '../disk/control.js';
import { DiskImageError } from '../disk/errors.js';

/** What a provisioning does, in this order; steps that are not needed do not appear. */
export type StepName = 'lock' | 'fetch' | 'inspect' | 'convert' | 'verify' | 'resize' | 'overlay';

export interface StepEvent {
  type: 'step';
  step: StepName;
  state: 'start' | 'progress' | 'done';
  /** Bytes handled so far, on progress. */
  done?: number;
  /** Bytes: of the whole step on progress (0 while unknown), of what it was about when it is done. */
  total?: number;
  /** Milliseconds the step took, when it is done. */
  ms?: number;
  /** For people: what the step found. */
  detail?: string;
}

export type ProvisionListener = (event: StepEvent) => void;

export interface StepTime {
  step: StepName;
  ms: number;
}

/**
 * Tells a listener about steps and keeps their times. A listener that throws aborts `signal`: out of the middle of a step
 * its exception would leave open what the step has opened.
 */
export class Steps {
  readonly times: StepTime[] = [];
  readonly #listener: ProvisionListener | undefined;
  readonly #stop = new AbortController();
  readonly #unfollow: () => void;
  #failure: { error: unknown } | undefined;

  /** `signal`: the caller's; Steps.signal aborts with it. Call end() when all is over. */
  constructor(listener?: ProvisionListener, signal?: AbortSignal) {
    this.#listener = listener;
    const follow = (): void => this.#stop.abort(signal?.reason);
    if (signal?.aborted) follow();
    else signal?.addEventListener('abort', follow, { once: true });
    this.#unfollow = () => signal?.removeEventListener('abort', follow);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  end(): void {
    this.#unfollow();
  }

  /** @throws CANCELLED, or INVALID_ARGUMENT when all was done already, once the listener has thrown. */
  throwIfFailed(complete = false): void {
    if (!this.#failure) return;
    const { error: cause } = this.#failure;
    const said = cause instanceof Error ? cause.message : String(cause);
    const what = complete ? 'is complete, but its onEvent threw' : 'was cancelled, because its onEvent threw';
    throw new DiskImageError(complete ? 'INVALID_ARGUMENT' : 'CANCELLED', `provision ${what}: ${said}`, {
      operation: 'provision',
      cause,
    });
  }

  #tell(event: StepEvent): void {
    if (this.#failure) return;
    try {
      this.#listener?.(event);
    } catch (error) {
      this.#failure = { error };
      this.#stop.abort(error);
    }
  }

  /** Runs a step. `body` may call `progress` as often as it likes; its `detail` goes into the last event. */
  async run<T>(
    step: StepName,
    body: (step: {
      progress: (progress: Progress) => void;
      detail: (text: string, bytes?: number) => void;
    }) => Promise<T>,
  ): Promise<T> {
    const begin = performance.now();
    let found: { detail?: string; total?: number } = {};
    this.throwIfFailed();
    this.#tell({ type: 'step', step, state: 'start' });
    const result = await body({
      progress: (progress) => {
        this.#tell({ type: 'step', step, state: 'progress', ...progress });
      },
      detail: (text, bytes) => {
        found = { detail: text, ...(bytes !== undefined && { total: bytes }) };
      },
    });
    const ms = performance.now() - begin;
    this.times.push({ step, ms });
    this.#tell({ type: 'step', step, state: 'done', ...found, ms });
    return result;
  }
}
