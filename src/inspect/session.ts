import { requireBytes, requireObject } from '../disk/arguments.js';
import { parseClaim } from './claims.js';
import { conclude } from './conclude.js';
import { detectors } from './formats/index.js';
import { Report } from './report.js';
import type { Answer, Need, Steps } from './steps.js';
import type { FormatName, Inspection, InspectOptions } from './types.js';
import type { Inquiry } from './weigh.js';

/** One generator at work, and what it waits for. */
export interface Task {
  steps: Steps;
  need: Need;
}

/** All detectors on one image; whoever has the bytes answers the needs of `waiting` tasks. */
export class Session {
  readonly options: InspectOptions;
  readonly #claimed: FormatName | undefined;
  readonly #inquiries: Inquiry[];
  /** Tasks begun since the last look, each with its first need. */
  #begun: Task[] = [];

  /** @throws UNKNOWN_FORMAT for a claim that is no known format; INVALID_ARGUMENT for a limit that is none. */
  constructor(options: InspectOptions = {}) {
    requireObject(options, 'the options', 'inspect');
    requireBytes(options.maxVirtualSize ?? 0, 'maxVirtualSize', 'inspect');
    this.options = options;
    this.#claimed = options.claimed === undefined ? undefined : parseClaim(options.claimed);
    this.#inquiries = detectors.map((detector) => {
      const report = new Report(options, (steps) => this.#begin(steps));
      const inquiry: Inquiry = { detector, report, finished: false };
      this.#begin(this.#run(inquiry));
      return inquiry;
    });
  }

  /** Tasks that have begun since the last call and wait for their first bytes. */
  takeBegun(): Task[] {
    const begun = this.#begun;
    this.#begun = [];
    return begun;
  }

  /** Gives a task what it waits for; false when it has finished. */
  answer(task: Task, answer: Answer): boolean {
    const next = task.steps.next(answer);
    if (next.done) return false;
    task.need = next.value;
    return true;
  }

  verdict(position: number, ended: boolean): Inspection {
    return conclude({ claimed: this.#claimed, options: this.options, position, ended }, this.#inquiries);
  }

  *#run(inquiry: Inquiry): Steps {
    yield* inquiry.detector.inspect(inquiry.report);
    inquiry.finished = true;
  }

  #begin(steps: Steps): void {
    const first = steps.next();
    if (!first.done) this.#begun.push({ steps, need: first.value });
  }
}
