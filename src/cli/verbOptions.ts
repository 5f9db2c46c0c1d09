import type { CliContext } from './context.js';
import { UsageError } from './errors.js';
import { Getopt, type LongOption, type OptionSpec } from './getopt.js';

/** `['format', 'f', 'required']` and so on: long options in a compact table. */
export function longOptions(
  table: readonly (readonly [name: string, value: string, argument?: 'required'])[],
): LongOption[] {
  return table.map(([name, value, argument]) => ({ name, value, argument: argument ?? 'none' }));
}

/** `--progress` alone is `-p`; `--progress json` prints lines for programs. */
export const progressOption: LongOption = {
  name: 'progress',
  value: 'p',
  argument: 'keyword',
  keywords: ['json'],
};

const helpOption: LongOption = { name: 'help', argument: 'none', value: 'h' };

export interface VerbOption {
  value: string;
  /** '' for an option without one. */
  argument: string;
}

export interface VerbSpec extends OptionSpec {
  /** Exit code for an `--object` that cannot be made. Default 1. */
  objectExitCode?: number;
}

/**
 * The options of one verb, in order, with qemu-img's complaints: `for (const option of options)`, then
 * `options.operands`. `-h` and `--help` print the verb's help and end it. `--object` is dealt with here: its secrets are in
 * the context afterwards.
 */
export class VerbOptions implements Iterable<VerbOption> {
  readonly #ctx: CliContext;
  readonly #verb: string;
  readonly #getopt: Getopt;
  readonly #objectExitCode: number | undefined;

  constructor(ctx: CliContext, verb: string, args: readonly string[], spec: VerbSpec) {
    this.#ctx = ctx;
    this.#verb = verb;
    this.#objectExitCode = spec.objectExitCode;
    this.#getopt = new Getopt([verb, ...args], {
      ...spec,
      long: [helpOption, ...spec.long],
    });
  }

  get operands(): string[] {
    return this.#getopt.operands;
  }

  *[Symbol.iterator](): Iterator<VerbOption> {
    for (let parsed = this.#getopt.next(); parsed; parsed = this.#getopt.next()) {
      if (parsed.kind === 'missing') {
        throw usageError(this.#ctx, `missing argument for option '${parsed.word}'`);
      }
      if (parsed.kind === 'unknown') throw usageError(this.#ctx, `unrecognized option '${parsed.word}'`);
      if (parsed.value === 'h') throw new HelpRequest(this.#verb);
      if (parsed.value === 'object') {
        this.#ctx.addObject?.(this.#ctx, parsed.argument ?? '', this.#objectExitCode);
        continue;
      }
      yield { value: parsed.value, argument: parsed.argument ?? '' };
    }
  }
}

/** `-h` was given: main prints the help of `verb` and exits with 0. */
export class HelpRequest extends Error {
  readonly verb: string;

  constructor(verb: string) {
    super(`help for ${verb}`);
    this.verb = verb;
  }
}

/** qemu-img's error_exit: the sentence and where the help is. */
export function usageError(ctx: CliContext, message: string): UsageError {
  return new UsageError(message, { hint: `Try '${ctx.programName} --help' for more information\n` });
}
