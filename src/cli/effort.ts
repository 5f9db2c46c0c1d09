import { type IoPriority, ioPriorityValue } from '../disk/control.js';
import type { Effort } from '../operations/job.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { reportWarning } from './output.js';
import { sizeArgument } from './sizes.js';
import { longOptions } from './verbOptions.js';

/** `--rate-limit RATE`, `--io-priority CLASS`, `--nice N`. */
export const effortOptions = longOptions([
  ['rate-limit', 'rate-limit', 'required'],
  ['io-priority', 'io-priority', 'required'],
  ['nice', 'nice', 'required'],
]);

/** Takes one of the options above; false = it is none of them. @throws CliError */
export function takeEffort(effort: Effort, value: string, argument: string, ctx: CliContext): boolean {
  if (value === 'rate-limit') effort.bytesPerSecond = rateLimit(argument, ctx);
  else if (value === 'io-priority') effort.ioPriority = ioPriority(argument);
  else if (value === 'nice') effort.niceness = niceness(argument);
  else return false;
  return true;
}

/** 0 is no limit, and so is what no disk reaches. */
export function rateLimit(text: string, ctx: CliContext): number | undefined {
  const bytes = sizeArgument('rate limit', text, (message) => reportWarning(ctx, message));
  return bytes === 0n || bytes > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(bytes);
}

function ioPriority(text: string): IoPriority {
  if (ioPriorityValue(text) !== undefined) return text as IoPriority;
  throw new CliError(`Invalid I/O priority '${text}': idle, best-effort, best-effort:0 to best-effort:7`);
}

function niceness(text: string): number {
  if (/^\d{1,2}$/.test(text) && Number(text) <= 19) return Number(text);
  throw new CliError(`Invalid nice value '${text}': 0 to 19`);
}
