import type { Writable } from 'node:stream';

/** What a verb gets from the program that runs it. */
export interface CliContext {
  /** Name the program was called by: the prefix of every message. */
  readonly programName: string;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

/** A verb's module. `run` gets the words after the verb and resolves to the exit code. */
export interface VerbModule {
  run(args: string[], ctx: CliContext): Promise<number>;
}
