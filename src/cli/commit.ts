import { DiskImageError } from '../disk/errors.js';
import { commit } from '../operations/commit.js';
import type { Effort } from '../operations/job.js';
import { cacheMode } from './cacheModes.js';
import type { CliContext } from './context.js';
import { effortOptions, rateLimit, takeEffort } from './effort.js';
import { CliError } from './errors.js';
import { systemText } from './messages.js';
import { type Operand, openErrorOf, resolveOperand } from './operand.js';
import { print } from './output.js';
import { warnProbedRaw } from './probedRaw.js';
import { ProgressDisplay } from './progress.js';
import { longOptions, progressOption, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'f:ht:b:dpqr:',
  long: longOptions([
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
  ]),
  extra: [
    ...longOptions([
      ['format', 'f', 'required'],
      ['cache', 't', 'required'],
      ['base', 'b', 'required'],
      ['drop', 'd'],
      ['quiet', 'q'],
    ]),
    ...effortOptions,
    progressOption,
  ],
};

/** `commit [-f FMT | --image-opts] [-t CACHE] [-b BASE] [-d] [-r RATE] [-p] [-q] FILE`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  let format: string | undefined;
  let cacheText = 'writeback';
  let base: string | undefined;
  let drop = false;
  let imageOpts = false;
  let quiet = false;
  let progress = false;
  let json = false;
  const effort: Effort = {};
  const options = new VerbOptions(ctx, 'commit', args, spec);
  for (const { value, argument } of options) {
    if (value === 'f') format = argument;
    else if (value === 't') cacheText = argument;
    else if (value === 'b') [base, drop] = [argument, true];
    else if (value === 'd') drop = true;
    else if (value === 'r') effort.bytesPerSecond = rateLimit(argument, ctx);
    else if (value === 'p') [progress, json] = [true, argument === 'json'];
    else if (value === 'q') quiet = true;
    else if (value === 'image-opts') imageOpts = true;
    else takeEffort(effort, value, argument, ctx);
  }
  const { operands } = options;
  if (operands.length !== 1) throw usageError(ctx, 'Expecting one image file name');
  const cache = cacheMode(cacheText);
  const operand = await resolveOperand(ctx, operands[0], { format, imageOpts });
  warnProbedRaw(ctx, operand);
  const display = new ProgressDisplay(ctx, 'commit', { progress, json, quiet });
  try {
    display.start();
    const request = { ...operand, base, keepOverlay: drop, cache };
    await commit(request, { ...effort, signal: ctx.signal, onProgress: display.onProgress });
    display.finish(true);
  } catch (error) {
    throw commitError(error, operand);
  } finally {
    display.end();
  }
  print(ctx, 'Image committed.\n', quiet);
  return 0;
}

function commitError(error: unknown, operand: Operand): unknown {
  if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') return error;
  if (error.code === 'INVALID_ARGUMENT' && error.operation === 'commit') {
    return new CliError(error.message.replace(`of '${operand.path}'`, `of '${operand.name}'`), {
      cause: error,
    });
  }
  // The base is opened for reading at first, and could be.
  const later = error.layer === undefined || (error.layer > 0 && error.message.includes('get "write" lock'));
  if (error.code === 'LOCKED' && later) return new CliError(error.message, { cause: error });
  const opened = openErrorOf(error, operand);
  return opened === error ? new CliError(systemText(error), { cause: error }) : opened;
}
