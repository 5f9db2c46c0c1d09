import type { Progress } from '../disk/control.js';

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

/** Tells a listener about steps and keeps their times. */
export class Steps {
  readonly times: StepTime[] = [];
  readonly #listener: ProvisionListener | undefined;

  constructor(listener?: ProvisionListener) {
    this.#listener = listener;
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
    this.#listener?.({ type: 'step', step, state: 'start' });
    const result = await body({
      progress: (progress) => {
        this.#listener?.({ type: 'step', step, state: 'progress', ...progress });
      },
      detail: (text, bytes) => {
        found = { detail: text, ...(bytes !== undefined && { total: bytes }) };
      },
    });
    const ms = performance.now() - begin;
    this.times.push({ step, ms });
    this.#listener?.({ type: 'step', step, state: 'done', ...found, ms });
    return result;
  }
}
