import { DiskImageError } from '../disk/errors.js';
import { formatNames } from '../formats/registry.js';
import { amend, amendOptionSpecs } from '../operations/amend.js';
import { cacheMode } from './cacheModes.js';
import type { CliContext } from './context.js';
import { OptionLists, optionTable } from './createOptions.js';
import { CliError } from './errors.js';
import { type Operand, openErrorOf, resolveOperand } from './operand.js';
import { print } from './output.js';
import { warnProbedRaw } from './probedRaw.js';
import { ProgressDisplay } from './progress.js';
import { longOptions, progressOption, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'ho:f:t:pq',
  long: longOptions([
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
    ['force', 'force'],
  ]),
  extra: [
    ...longOptions([
      ['options', 'o', 'required'],
      ['format', 'f', 'required'],
      ['cache', 't', 'required'],
      ['quiet', 'q'],
    ]),
    progressOption,
  ],
};

/** `amend -o OPTS [-f FMT | --image-opts] [-t CACHE] [--force] [-p] [-q] FILE`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const lists = new OptionLists();
  let format: string | undefined;
  let cacheText = 'writeback';
  let imageOpts = false;
  let quiet = false;
  let progress = false;
  let json = false;
  const options = new VerbOptions(ctx, 'amend', args, spec);
  for (const { value, argument } of options) {
    if (value === 'o') lists.add(argument);
    else if (value === 'f') format = argument;
    else if (value === 't') cacheText = argument;
    else if (value === 'p') [progress, json] = [true, argument === 'json'];
    else if (value === 'q') quiet = true;
    else if (value === 'image-opts') imageOpts = true;
  }
  if (!lists.given) throw usageError(ctx, 'Must specify options (-o)');
  const { operands } = options;
  if (lists.wantsHelp && format !== undefined) return printHelp(ctx, format);
  if (operands.length !== 1) throw new CliError('Expecting one image file name');
  cacheMode(cacheText);
  const operand = await resolveOperand(ctx, operands[0], { format, imageOpts });
  warnProbedRaw(ctx, operand);
  if (lists.wantsHelp) return printHelp(ctx, operand.format);
  const display = new ProgressDisplay(ctx, 'amend', { progress, json, quiet });
  try {
    display.start();
    const settings = { signal: ctx.signal, onProgress: display.onProgress };
    await amend({ ...operand, options: lists.values }, settings);
    display.finish(true);
  } catch (error) {
    throw amendError(error, operand);
  } finally {
    display.end();
  }
  return 0;
}

function printHelp(ctx: CliContext, format: string): number {
  if (!formatNames().includes(format)) throw new CliError(`Unknown file format '${format}'`);
  try {
    print(ctx, `Amend options for '${format}':\n${optionTable(amendOptionSpecs(format))}`);
  } catch (error) {
    throw error instanceof DiskImageError ? new CliError(error.message, { cause: error }) : error;
  }
  return 0;
}

function amendError(error: unknown, operand: Operand): unknown {
  if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') return error;
  // Options, too, are judged in create's words.
  if (error.operation === 'amend' || error.operation === 'create' || error.operation === 'resize') {
    return new CliError(error.message, { cause: error });
  }
  return openErrorOf(error, operand);
}
