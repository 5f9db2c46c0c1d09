import type { StepEvent, StepName } from '../provision/events.js';
import type { CliContext } from './context.js';
import { ProgressDisplay } from './progress.js';
import { fixedDecimals, sizeText } from './sizes.js';

export interface StepWishes {
  /** `-p`. */
  progress: boolean;
  /** `--progress json`: every step event as one JSON object a line on stderr. */
  json: boolean;
  quiet: boolean;
  /** One line on stdout for every step that is done. */
  lines: boolean;
}

/** Shows the steps of a provisioning: a bar (or percents) while one runs, a line when it is done. */
export class StepDisplay {
  readonly #ctx: CliContext;
  readonly #verb: string;
  readonly #wishes: StepWishes;
  #current: { step: StepName; display: ProgressDisplay } | undefined;

  constructor(ctx: CliContext, verb: string, wishes: StepWishes) {
    this.#ctx = ctx;
    this.#verb = verb;
    this.#wishes = wishes;
  }

  readonly onEvent = (event: StepEvent): void => {
    const { step, state, done = 0, total = 0 } = event;
    if (this.#wishes.json) {
      this.#ctx.stderr.write(`${JSON.stringify({ verb: this.#verb, ...event })}\n`);
    } else if (state === 'progress' && total > 0) {
      this.#display(step).onProgress({ done, total });
    }
    if (state !== 'done') return;
    this.#finish(true);
    if (this.#wishes.lines) this.#ctx.stdout.write(stepLine(event));
  };

  /** Whatever still runs has failed. */
  end(): void {
    this.#finish(false);
  }

  #display(step: StepName): ProgressDisplay {
    if (this.#current?.step !== step) {
      const { progress, quiet } = this.#wishes;
      const display = new ProgressDisplay(this.#ctx, step, { progress, quiet, own: true }).start();
      this.#current = { step, display };
    }
    return this.#current.display;
  }

  #finish(finished: boolean): void {
    if (finished) this.#current?.display.finish(true);
    this.#current?.display.end();
    this.#current = undefined;
  }
}

/** `fetch      1.203 s    600 MiB  http://host/image` */
function stepLine({ step, ms = 0, total, detail = '' }: StepEvent): string {
  const size = total === undefined ? '' : sizeText(total);
  const line = `${step.padEnd(8)}${fixedDecimals(ms / 1000, 3).padStart(9)} s  ${size.padStart(10)}  ${detail}`;
  return `${line.trimEnd()}\n`;
}
