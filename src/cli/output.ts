import type { CliContext } from './context.js';
import { CliError } from './errors.js';

/** qemu-img's qprintf. */
export function print(ctx: CliContext, text: string, quiet = false): void {
  if (!quiet) ctx.stdout.write(text);
}

/** `NAME: message` on stderr. */
export function reportError(ctx: CliContext, message: string): void {
  ctx.stderr.write(`${ctx.programName}: ${message}\n`);
}

/** `NAME: warning: message` on stderr. */
export function reportWarning(ctx: CliContext, message: string): void {
  ctx.stderr.write(`${ctx.programName}: warning: ${message}\n`);
}

export function reportCliError(ctx: CliContext, error: CliError): void {
  for (const line of error.lines) reportError(ctx, line);
  if (error.hint !== '') ctx.stderr.write(error.hint);
}

export type OutputFormat = 'human' | 'json';

/** @throws CliError with qemu-img's sentence. */
export function outputFormat(text: string | undefined): OutputFormat {
  if (text === undefined || text === 'human') return 'human';
  if (text === 'json') return 'json';
  throw new CliError('--output must be used with human or json as argument.');
}
