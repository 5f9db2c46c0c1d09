import { DiskImageError } from '../disk/errors.js';
import type { Effort } from '../operations/job.js';
import { rebase } from '../operations/rebase.js';
import { cacheMode, sourceCacheMode } from './cacheModes.js';
import type { CliContext } from './context.js';
import { effortOptions, takeEffort } from './effort.js';
import { errnoText } from './errno.js';
import { CliError } from './errors.js';
import { openCause, systemText } from './messages.js';
import { type Operand, openErrorOf, resolveOperand } from './operand.js';
import { warnProbedRaw } from './probedRaw.js';
import { ProgressDisplay } from './progress.js';
import { longOptions, progressOption, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'hf:F:b:upt:T:qU',
  long: longOptions([
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
    ['force-share', 'U'],
  ]),
  extra: [
    ...longOptions([
      ['format', 'f', 'required'],
      ['cache', 't', 'required'],
      ['source-cache', 'T', 'required'],
      ['backing', 'b', 'required'],
      ['backing-format', 'F', 'required'],
      ['backing-unsafe', 'u'],
      ['compress', 'compress'],
      ['quiet', 'q'],
    ]),
    ...effortOptions,
    progressOption,
  ],
};

interface RebaseWords {
  filename: string;
  format?: string;
  backing?: string;
  backingFormat?: string;
  unsafe: boolean;
  cache: string;
  sourceCache: string;
  imageOpts: boolean;
  forceShare: boolean;
  progress: boolean;
  json: boolean;
  quiet: boolean;
  effort: Effort;
}

/** `rebase [-f FMT | --image-opts] [-t CACHE] [-T CACHE] [-U] [-u] [-p] [-q] -b BACKING [-F FMT] FILE`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const words = parse(args, ctx);
  const { progress, json, quiet, unsafe } = words;
  const display = new ProgressDisplay(ctx, 'rebase', { progress, json, quiet });
  const cache = cacheMode(words.cache);
  sourceCacheMode(words.sourceCache);
  const operand = await resolveOperand(ctx, words.filename, {
    format: words.format,
    imageOpts: words.imageOpts,
  });
  warnProbedRaw(ctx, operand);
  // No -b, and an empty name, take the backing file away.
  const backing = words.backing ? { path: words.backing, format: words.backingFormat } : undefined;
  try {
    display.start();
    const lockBacking = words.forceShare ? false : undefined;
    await rebase(
      { ...operand, backing, unsafe, cache, lockBacking },
      { ...words.effort, signal: ctx.signal, onProgress: display.onProgress },
    );
    display.finish(true);
  } catch (error) {
    throw rebaseError(error, operand, words);
  } finally {
    display.end();
  }
  return 0;
}

function parse(args: string[], ctx: CliContext): RebaseWords {
  const words: RebaseWords = {
    filename: '',
    unsafe: false,
    cache: 'writeback',
    sourceCache: 'writeback',
    imageOpts: false,
    forceShare: false,
    progress: false,
    json: false,
    quiet: false,
    effort: {},
  };
  const options = new VerbOptions(ctx, 'rebase', args, spec);
  for (const { value, argument } of options) {
    if (value === 'f') words.format = argument;
    else if (value === 'F') words.backingFormat = argument;
    else if (value === 'b') words.backing = argument;
    else if (value === 'u') words.unsafe = true;
    else if (value === 't') words.cache = argument;
    else if (value === 'T') words.sourceCache = argument;
    else if (value === 'p') [words.progress, words.json] = [true, argument === 'json'];
    else if (value === 'q') words.quiet = true;
    else if (value === 'U') words.forceShare = true;
    else if (value === 'image-opts') words.imageOpts = true;
    else if (value === 'compress') {
      throw new CliError('rebase --compress is not supported: clusters that are copied are stored plain');
    } else takeEffort(words.effort, value, argument, ctx);
  }
  if (options.operands.length !== 1) throw usageError(ctx, 'Expecting one image file name');
  words.filename = options.operands[0];
  if (!words.unsafe && words.backing === undefined) {
    throw usageError(ctx, 'Must specify backing file (-b) or use unsafe mode (-u)');
  }
  return words;
}

function rebaseError(error: unknown, operand: Operand, words: RebaseWords): unknown {
  if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') return error;
  const name = words.backing ?? '';
  const fail = (message: string) => new CliError(message, { cause: error });
  if (error.operation === 'open new backing file') {
    if (error.code === 'BACKING_FORMAT_UNSUPPORTED')
      return fail(`Invalid format name: '${words.backingFormat}'`);
    const cause =
      error.code === 'BACKING_CYCLE'
        ? `Failed to get shared "write" lock\nIs another process using the image [${operand.path}]?`
        : openCause(error, error.path ?? name);
    return fail(`Could not open new backing file '${name}': ${cause}`);
  }
  const changing = `Could not change the backing file to '${name}'`;
  if (error.code === 'UNSUPPORTED_OPERATION') return fail(`${changing}: ${errnoText('EOPNOTSUPP')}`);
  if (error.code === 'BACKING_FORMAT_MISSING' && error.operation === 'rebase') {
    return fail(`${changing}: backing format must be specified`);
  }
  if (error.code === 'INVALID_ARGUMENT' && error.operation === 'rebase') {
    if (error.errno === 'ENOSPC') return fail(`${changing}: No space left in the file header`);
    return fail(error.errno ? `${changing}: ${systemText(error)}` : error.message);
  }
  const opened = openErrorOf(error, operand);
  return opened === error ? fail(systemText(error)) : opened;
}
