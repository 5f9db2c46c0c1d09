import { DiskImageError } from '../disk/errors.js';
import { type CompareOutcome, compare } from '../operations/compare.js';
import { sourceCacheMode } from './cacheModes.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { isOpenFailure, openError, systemText } from './messages.js';
import { type Operand, resolveOperand } from './operand.js';
import { print } from './output.js';
import { ProgressDisplay } from './progress.js';
import { longOptions, progressOption, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'hf:F:T:pqsU',
  long: longOptions([
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
    ['force-share', 'U'],
  ]),
  extra: [
    ...longOptions([
      ['a-format', 'f', 'required'],
      ['b-format', 'F', 'required'],
      ['cache', 'T', 'required'],
      ['quiet', 'q'],
      ['strict', 's'],
    ]),
    progressOption,
  ],
};

const EXIT_OPEN = 2;
const EXIT_STATUS = 3;
const EXIT_READ = 4;

/** `compare [-f FMT] [-F FMT] [--image-opts] [-s] [-T CACHE] [-U] [-p] [-q] FILE1 FILE2`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  let formatA: string | undefined;
  let formatB: string | undefined;
  let cacheText = 'writeback';
  let strict = false;
  let imageOpts = false;
  let forceShare = false;
  let quiet = false;
  let progress = false;
  let json = false;
  const options = new VerbOptions(ctx, 'compare', args, { ...spec, objectExitCode: EXIT_OPEN });
  for (const { value, argument } of options) {
    if (value === 'f') formatA = argument;
    else if (value === 'F') formatB = argument;
    else if (value === 'T') cacheText = argument;
    else if (value === 'p') [progress, json] = [true, argument === 'json'];
    else if (value === 'q') quiet = true;
    else if (value === 's') strict = true;
    else if (value === 'U') forceShare = true;
    else if (value === 'image-opts') imageOpts = true;
  }
  const { operands } = options;
  if (operands.length !== 2) throw usageError(ctx, 'Expecting two image file names');
  const display = new ProgressDisplay(ctx, 'compare', { progress, json, quiet, step: 2 });
  try {
    const cache = sourceCacheMode(cacheText, EXIT_OPEN);
    const common = { imageOpts, forceShare, exitCode: EXIT_OPEN };
    const first = await resolveOperand(ctx, operands[0], { ...common, format: formatA });
    const second = await resolveOperand(ctx, operands[1], { ...common, format: formatB });
    display.start();
    const settings = { signal: ctx.signal, onProgress: display.onProgress };
    const outcome = await compare({ first, second, strict, cache }, settings).catch((error: unknown) => {
      throw explained(error, first, second);
    });
    display.finish(outcome.identical);
    print(ctx, outcomeText(outcome), quiet);
    return outcome.identical ? 0 : 1;
  } finally {
    display.end();
  }
}

function outcomeText(outcome: CompareOutcome): string {
  if (!outcome.identical && outcome.reason === 'size') return 'Strict mode: Image size mismatch!\n';
  if (!outcome.identical && outcome.reason === 'status') {
    return `Strict mode: Offset ${outcome.offset} block status mismatch!\n`;
  }
  const warning = outcome.sizeMismatch ? 'Warning: Image size mismatch!\n' : '';
  if (outcome.identical) return `${warning}Images are identical.\n`;
  return `${warning}Content mismatch at offset ${outcome.offset}!\n`;
}

/** Exit 2: could not be opened; 3: its map could not be read; 4: its data could not be read. */
function explained(error: unknown, first: Operand, second: Operand): unknown {
  if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') return error;
  const about = (error.image ?? error.path) === second.path && first.path !== second.path ? second : first;
  if (isOpenFailure(error)) return openError(about.name, about.path, error, EXIT_OPEN);
  if (error.code === 'CORRUPT_IMAGE' && error.operation === 'map') {
    return new CliError(`Sector allocation test failed for ${about.name}: ${error.message}`, {
      exitCode: EXIT_STATUS,
      cause: error,
    });
  }
  const where =
    error.offset === undefined ? 'Error while reading' : `Error while reading offset ${error.offset} of`;
  return new CliError(`${where} ${about.name}: ${systemText(error)}`, { exitCode: EXIT_READ, cause: error });
}
