/** Where a verb's words go. Any stream is one. */
export interface TextSink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  /** Of a sink that is no stream itself: for what must have one, such as a bar on a terminal. */
  readonly stream?: NodeJS.WritableStream;
}

/** Where a command line is run. */
export interface ProgramContext {
  /** Name the program was called by: the prefix of every message. */
  readonly programName: string;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

/** What a verb gets from the program that runs it. */
export interface CliContext extends ProgramContext {
  /** What `--object secret,id=ID,…` gave so far, by id: fed by VerbOptions while a verb reads its words. */
  readonly secrets: Map<string, Buffer>;
  /** Makes an `--object`; there where the words have one. */
  readonly addObject?: (ctx: CliContext, text: string, exitCode?: number) => void;
}

/** A verb's module. `run` gets the words after the verb and resolves to the exit code. */
export interface VerbModule {
  run(args: string[], ctx: CliContext): Promise<number>;
}
