import { DiskImageError } from '../disk/errors.js';
import type { CliContext, ProgramContext } from './context.js';
import { CliError, EarlyEnd } from './errors.js';
import { Getopt } from './getopt.js';
import { print, reportCliError, reportError, reportWarning } from './output.js';
import { HelpRequest, usageError } from './verbOptions.js';
import { absentVerbs, verbs } from './verbs.js';

const spec = {
  short: '+hVT:',
  long: [
    { name: 'help', argument: 'none', value: 'h' },
    { name: 'version', argument: 'none', value: 'V' },
    { name: 'trace', argument: 'required', value: 'T' },
  ],
} as const;

/**
 * Runs one command line (`words`: what follows the program's name) and resolves to its exit code, or to `cancelled`
 * when the context's signal ended it. Every failure is reported on stderr, one clear line, with a stack only when
 * BASECOW_DEBUG=1.
 */
export async function runProgram(
  words: readonly string[],
  program: ProgramContext,
): Promise<number | 'cancelled'> {
  const ctx: CliContext = { ...program, secrets: new Map(), addObject: await objectMaker(words) };
  try {
    return await dispatch(words, ctx);
  } catch (error) {
    return report(error, ctx);
  }
}

/** Objects are rare: what makes them is loaded for words that may have some, before a verb reads them one by one. */
async function objectMaker(words: readonly string[]): Promise<CliContext['addObject']> {
  if (!words.some((word) => /^--o(b|=|$)/.test(word))) return undefined;
  return (await import('./objects.js')).addObject;
}

async function dispatch(words: readonly string[], ctx: CliContext): Promise<number> {
  if (words.length === 0) throw usageError(ctx, 'Not enough arguments');
  const options = new Getopt([ctx.programName, ...words], spec);
  for (let parsed = options.next(); parsed; parsed = options.next()) {
    if (parsed.kind === 'missing') throw usageError(ctx, `missing argument for option '${parsed.word}'`);
    if (parsed.kind === 'unknown') throw usageError(ctx, `unrecognized option '${parsed.word}'`);
    if (parsed.value === 'h') throw new HelpRequest('');
    if (parsed.value === 'T')
      reportWarning(ctx, `there are no trace events: '${parsed.argument}' is ignored`);
    if (parsed.value === 'V') {
      const { versionText } = await import('./version.js');
      print(ctx, versionText(ctx.programName));
      return 0;
    }
  }
  const [verb, ...args] = options.operands;
  if (verb === undefined) return 0;
  if (verb === 'help') throw new HelpRequest(args[0] ?? '');
  if (!Object.hasOwn(verbs, verb)) {
    if (absentVerbs.includes(verb)) throw new CliError(`'${verb}' is not supported yet`);
    throw usageError(ctx, `Command not found: ${verb}`);
  }
  const { run } = await verbs[verb]();
  return run(args, ctx);
}

async function report(error: unknown, ctx: CliContext): Promise<number | 'cancelled'> {
  if (error instanceof HelpRequest) {
    const { helpText } = await import('./help.js');
    print(ctx, helpText(ctx.programName, error.verb));
    return 0;
  }
  if (error instanceof EarlyEnd) {
    print(ctx, error.output);
    return 0;
  }
  if (ctx.signal.aborted && isCancelled(error)) return 'cancelled';
  if (error instanceof CliError) reportCliError(ctx, error);
  else reportError(ctx, await sentence(error));
  if (process.env.BASECOW_DEBUG === '1' && error instanceof Error) ctx.stderr.write(`${debugText(error)}\n`);
  return error instanceof CliError ? error.exitCode : 1;
}

function isCancelled(error: unknown): boolean {
  return error instanceof DiskImageError && error.code === 'CANCELLED';
}

/** Failed system calls are told as the C library tells them, not in Node's words. */
async function sentence(error: unknown): Promise<string> {
  if (error instanceof DiskImageError && error.errno && error.message.startsWith(`${error.errno}: `)) {
    const { systemText } = await import('./messages.js');
    const { path = error.path } = (error.cause ?? {}) as NodeJS.ErrnoException;
    return path === undefined ? systemText(error) : `'${path}': ${systemText(error)}`;
  }
  return error instanceof Error ? error.message : String(error);
}

function debugText(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${debugText(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}
