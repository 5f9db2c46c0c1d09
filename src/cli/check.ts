import { DiskImageError } from '../disk/errors.js';
import { type CheckOutcome, type CheckRequest, check } from '../operations/check.js';
import { sourceCacheMode } from './cacheModes.js';
import type { CliContext } from './context.js';
import { errnoText } from './errno.js';
import { CliError } from './errors.js';
import { isOpenFailure, openError, systemText } from './messages.js';
import { resolveOperand } from './operand.js';
import { outputFormat, print } from './output.js';
import { ProgressDisplay } from './progress.js';
import { qemuJson } from './qdict.js';
import { fixedDecimals } from './sizes.js';
import { longOptions, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'hf:r:T:qU',
  long: longOptions([
    ['format', 'f', 'required'],
    ['repair', 'r', 'required'],
    ['output', 'output', 'required'],
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
    ['force-share', 'U'],
  ]),
  extra: longOptions([
    ['cache', 'T', 'required'],
    ['quiet', 'q'],
  ]),
};

const EXIT_CORRUPT = 2;
const EXIT_LEAKS = 3;
const EXIT_UNSUPPORTED = 63;

/** `check [-f FMT | --image-opts] [-r leaks|all] [-T CACHE] [-U] [-q] [--output human|json] FILE`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  let format: string | undefined;
  let output: string | undefined;
  let cacheText = 'writeback';
  let repair: CheckRequest['repair'];
  let quiet = false;
  let imageOpts = false;
  let forceShare = false;
  const options = new VerbOptions(ctx, 'check', args, spec);
  for (const { value, argument } of options) {
    if (value === 'f') format = argument;
    else if (value === 'r') repair = repairMode(ctx, argument);
    else if (value === 'output') output = argument;
    else if (value === 'T') cacheText = argument;
    else if (value === 'q') quiet = true;
    else if (value === 'U') forceShare = true;
    else if (value === 'image-opts') imageOpts = true;
  }
  const { operands } = options;
  if (operands.length !== 1) throw usageError(ctx, 'Expecting one image file name');
  const human = outputFormat(output) === 'human';
  sourceCacheMode(cacheText);
  const operand = await resolveOperand(ctx, operands[0], { format, imageOpts, forceShare });
  if (repair && operand.lock === false) {
    throw new CliError(
      `Could not open '${operand.name}': force-share=on can only be used with read-only images`,
    );
  }
  const display = new ProgressDisplay(ctx, 'check', { quiet });
  let outcome: CheckOutcome;
  try {
    display.start();
    outcome = await check({ ...operand, repair }, { signal: ctx.signal, onProgress: display.onProgress });
    display.finish(true);
  } catch (error) {
    if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') throw error;
    if (error.code === 'UNSUPPORTED_OPERATION') {
      throw new CliError('This image format does not support checks', { exitCode: EXIT_UNSUPPORTED });
    }
    if (isOpenFailure(error)) throw openError(operand.name, operand.path, error);
    throw new CliError(`Check failed: ${systemText(error)}`, { cause: error });
  } finally {
    display.end();
  }
  for (const message of outcome.messages) ctx.stderr.write(`${message}\n`);
  if (human) print(ctx, repairText(outcome), quiet);
  if (outcome.failure !== undefined) {
    throw new CliError(`Check failed: ${errnoText(outcome.failure) ?? outcome.failure}`);
  }
  print(ctx, human ? checkText(outcome) : `${qemuJson(checkJson(outcome, operand.name))}\n`, quiet);
  if (outcome.checkErrors) throw new CliError('Check failed');
  return outcome.corruptions ? EXIT_CORRUPT : outcome.leaks ? EXIT_LEAKS : 0;
}

function repairMode(ctx: CliContext, text: string): CheckRequest['repair'] {
  if (text === 'leaks' || text === 'all') return text;
  throw usageError(ctx, `Unknown option value for -r (expecting 'leaks' or 'all'): ${text}`);
}

function repairText({ corruptionsFixed, leaksFixed }: CheckOutcome): string {
  if (!corruptionsFixed && !leaksFixed) return '';
  return (
    'The following inconsistencies were found and repaired:\n\n' +
    `    ${leaksFixed} leaked clusters\n    ${corruptionsFixed} corruptions\n\n` +
    'Double checking the fixed image now...\n'
  );
}

function checkText(outcome: CheckOutcome): string {
  const { corruptions, leaks, checkErrors, allocatedClusters, totalClusters } = outcome;
  let text = '';
  if (!corruptions && !leaks && !checkErrors) text += 'No errors were found on the image.\n';
  if (corruptions) {
    text +=
      `\n${corruptions} errors were found on the image.\n` +
      'Data may be corrupted, or further writes to the image may corrupt it.\n';
  }
  if (leaks) {
    text +=
      `\n${leaks} leaked clusters were found on the image.\n` +
      'This means waste of disk space, but no harm to data.\n';
  }
  if (checkErrors) text += `\n${checkErrors} internal errors have occurred during the check.\n`;
  if (totalClusters && allocatedClusters) {
    text +=
      `${allocatedClusters}/${totalClusters} = ${percent(allocatedClusters, totalClusters)} allocated, ` +
      `${percent(outcome.fragmentedClusters, allocatedClusters)} fragmented, ` +
      `${percent(outcome.compressedClusters, allocatedClusters)} compressed clusters\n`;
  }
  if (outcome.imageEndOffset) text += `Image end offset: ${outcome.imageEndOffset}\n`;
  return text;
}

function percent(part: number, whole: number): string {
  return `${fixedDecimals((part * 100) / whole, 2)}%`;
}

/** QAPI's ImageCheck: what is zero is left out. */
function checkJson(outcome: CheckOutcome, filename: string) {
  return {
    filename,
    format: outcome.format,
    'check-errors': outcome.checkErrors,
    'image-end-offset': outcome.imageEndOffset || undefined,
    corruptions: outcome.corruptions || undefined,
    leaks: outcome.leaks || undefined,
    'corruptions-fixed': outcome.corruptionsFixed || undefined,
    'leaks-fixed': outcome.leaksFixed || undefined,
    'total-clusters': outcome.totalClusters || undefined,
    'allocated-clusters': outcome.allocatedClusters || undefined,
    'fragmented-clusters': outcome.fragmentedClusters || undefined,
    'compressed-clusters': outcome.compressedClusters || undefined,
  };
}
