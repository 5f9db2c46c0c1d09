import type { SingleBar } from 'cli-progress';
import type { Progress } from '../disk/control.js';
import type { CliContext, TextSink } from './context.js';
import { fixedDecimals, sizeText } from './sizes.js';

export type ProgressStyle =
  /** qemu-img's `    (12.34/100%)` and a carriage return. */
  | 'percent'
  /** A bar on the terminal behind stderr. */
  | 'bar'
  /** One JSON object a line on stderr: verb, done, total (bytes), elapsed (seconds). */
  | 'json'
  | 'none';

export interface ProgressWishes {
  /** `-p`. */
  progress?: boolean;
  /** `--progress json`. */
  json?: boolean;
  /** `-q`. */
  quiet?: boolean;
  /** The verb is not one of qemu-img's: its stdout is its own, and a terminal gets a bar without being asked. */
  own?: boolean;
  /** Percent between two lines of the percent style; qemu-img's own: 1 for convert, 2 for compare. */
  step?: number;
}

/** A bar that would be gone at once is not drawn. */
const BAR_DELAY_MS = 300;

/** Shows how far a long verb is. `onProgress` goes to the operation; `start` before it, `end` after it. */
export class ProgressDisplay {
  readonly #ctx: CliContext;
  readonly #verb: string;
  readonly #style: ProgressStyle;
  readonly #percentOut: TextSink;
  readonly #step: number;
  readonly #started = performance.now();
  #latest: Progress = { done: 0, total: 0 };
  #printed = Number.NaN;
  #over = false;
  #bar: SingleBar | undefined;
  #barTimer: NodeJS.Timeout | undefined;
  readonly #onSignal = () => this.#ctx.stderr.write(`    (${percentText(this.#latest)}/100%)\n`);

  constructor(ctx: CliContext, verb: string, wishes: ProgressWishes) {
    this.#ctx = ctx;
    this.#verb = verb;
    this.#style = progressStyle(ctx, wishes);
    this.#percentOut = wishes.own ? ctx.stderr : ctx.stdout;
    this.#step = wishes.step ?? 1;
  }

  get style(): ProgressStyle {
    return this.#style;
  }

  /** SIGUSR1 prints one line on stderr from now on, whatever the style. */
  start(): this {
    process.on('SIGUSR1', this.#onSignal);
    if (this.#style === 'percent') this.#percent(0);
    if (this.#style === 'json') this.#json();
    if (this.#style === 'bar') {
      this.#barTimer = setTimeout(() => void this.#draw(), BAR_DELAY_MS);
      this.#barTimer.unref();
    }
    return this;
  }

  /** For JobSettings. Bytes; a total of 0 is not known yet. */
  readonly onProgress = (progress: Progress): void => {
    const { done, total } = this.#latest;
    if (progress.done === done && progress.total === total) return;
    this.#latest = { done: progress.done, total: progress.total };
    if (this.#style === 'percent') this.#percent(percentOf(this.#latest));
    if (this.#style === 'json') this.#json();
    if (this.#bar) {
      this.#bar.setTotal(Math.max(progress.total, 1));
      this.#bar.update(Math.min(progress.done, progress.total), this.#payload());
    }
  };

  /** The operation is over, its result about to be printed; `complete`: the display goes to 100 %. */
  finish(complete: boolean): void {
    this.#settle();
    if (complete) this.#latest.done = this.#latest.total;
    if (this.#style === 'percent' && complete) this.#percent(100);
    if (this.#style === 'json' && complete) this.#json();
    this.#stopBar();
  }

  /** Ends the display, whatever became of the operation. To be called once, after finish() if there is a result. */
  end(): void {
    this.#settle();
    this.#stopBar();
    if (this.#style === 'percent') this.#percentOut.write('\n');
  }

  #settle(): void {
    this.#over = true;
    process.off('SIGUSR1', this.#onSignal);
    clearTimeout(this.#barTimer);
  }

  #stopBar(): void {
    if (!this.#bar) return;
    this.#bar.update(this.#latest.done, this.#payload());
    this.#bar.stop();
    this.#bar = undefined;
  }

  #percent(percent: number): void {
    const settled = percent === 0 || percent === 100;
    if (!settled && !(percent > this.#printed + this.#step || percent < this.#printed)) return;
    this.#printed = percent;
    this.#percentOut.write(`    (${fixedDecimals(percent, 2)}/100%)\r`);
  }

  #json(): void {
    const { done, total } = this.#latest;
    const elapsed = Number(((performance.now() - this.#started) / 1000).toFixed(3));
    this.#ctx.stderr.write(`${JSON.stringify({ verb: this.#verb, done, total, elapsed })}\n`);
  }

  async #draw(): Promise<void> {
    const { default: progress } = await import('cli-progress');
    if (this.#over) return;
    const bar = new progress.SingleBar({
      format: '{verb} [{bar}] {percentage}% | {amount} | {rate} | {eta_formatted} left',
      stream: this.#ctx.stderr.stream ?? (this.#ctx.stderr as NodeJS.WritableStream),
      hideCursor: true,
      clearOnComplete: false,
      gracefulExit: false,
    });
    bar.start(Math.max(this.#latest.total, 1), this.#latest.done, this.#payload());
    this.#bar = bar;
  }

  #payload() {
    const seconds = (performance.now() - this.#started) / 1000;
    return {
      verb: this.#verb,
      amount: `${sizeText(Math.floor(this.#latest.done))} of ${sizeText(Math.floor(this.#latest.total))}`,
      rate: `${sizeText(Math.floor(this.#latest.done / Math.max(seconds, 0.001)))}/s`,
    };
  }
}

function progressStyle(ctx: CliContext, wishes: ProgressWishes): ProgressStyle {
  if (wishes.json) return 'json';
  if (wishes.quiet) return 'none';
  if (wishes.own) return ctx.stderr.isTTY ? 'bar' : wishes.progress ? 'percent' : 'none';
  if (wishes.progress) return 'percent';
  return ctx.programName === 'basecow' && ctx.stderr.isTTY ? 'bar' : 'none';
}

function percentOf({ done, total }: Progress): number {
  return total === 0 ? 0 : Math.min(100, (done / total) * 100);
}

function percentText(progress: Progress): string {
  return fixedDecimals(percentOf(progress), 2);
}
