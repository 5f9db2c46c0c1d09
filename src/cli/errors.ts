/**
 * Ends a verb with an exit code and, unless `lines` is empty, lines on stderr: each gets the program's name in
 * front, `hint` follows as it is.
 */
export class CliError extends Error {
  readonly lines: readonly string[];
  /** Printed after the lines without the program's name; the caller puts line ends where qemu-img has them. */
  readonly hint: string;
  readonly exitCode: number;

  constructor(
    lines: string | readonly string[],
    options: { hint?: string; exitCode?: number; cause?: unknown } = {},
  ) {
    const all = typeof lines === 'string' ? [lines] : lines;
    super(all.join('\n'), options.cause === undefined ? undefined : { cause: options.cause });
    this.lines = all;
    this.hint = options.hint ?? '';
    this.exitCode = options.exitCode ?? 1;
  }
}

/** A misuse of words and options: qemu-img's error_exit, which points to the help. */
export class UsageError extends CliError {}

/** What was asked for is told, and nothing else is to be done: `output` is printed and the exit code is 0. */
export class EarlyEnd extends Error {
  readonly output: string;

  constructor(output: string) {
    super('told');
    this.output = output;
  }
}
