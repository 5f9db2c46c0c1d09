import { DiskImageError } from '../disk/errors.js';
import { parseSize } from '../formats/optionText.js';
import { info } from '../operations/info.js';
import { resizeImage } from '../operations/resize.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { type Operand, openErrorOf, resolveOperand } from './operand.js';
import { print } from './output.js';
import { warnProbedRaw } from './probedRaw.js';
import { longOptions, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'f:hq',
  long: longOptions([
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
    ['preallocation', 'preallocation', 'required'],
    ['shrink', 'shrink'],
  ]),
  extra: longOptions([
    ['format', 'f', 'required'],
    ['quiet', 'q'],
  ]),
};

const INT64_MAX = 2n ** 63n - 1n;
const MODES = ['off', 'metadata', 'falloc', 'full'] as const;
type Mode = (typeof MODES)[number];

interface ResizeWords {
  filename: string;
  format?: string;
  imageOpts: boolean;
  quiet: boolean;
  shrink: boolean;
  preallocation: Mode;
  /** Bytes; added to or taken from the present size when `sign` is not 0. */
  amount: bigint;
  sign: -1n | 0n | 1n;
}

/** `resize [-f FMT | --image-opts] [--preallocation MODE] [--shrink] [-q] FILE [+|-]SIZE`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const words = parse(args, ctx);
  const { format, imageOpts, preallocation, shrink } = words;
  const operand = await resolveOperand(ctx, words.filename, { format, imageOpts });
  const before = await presentSize(operand, ctx);
  warnProbedRaw(ctx, operand);
  const size = newSize({ ...words, l1: operand.format === 'qcow2' }, before, ctx);
  try {
    await resizeImage(operand.path, {
      ...operand,
      size,
      shrink,
      preallocation,
      signal: ctx.signal,
    });
  } catch (error) {
    throw resizeError(error, operand);
  }
  print(ctx, 'Image resized.\n', words.quiet);
  return 0;
}

function parse(args: string[], ctx: CliContext): ResizeWords {
  // The size is taken off first, so that -SIZE is not read as options.
  if (args.length < 2) {
    if (args[0] !== '-h' && args[0] !== '--help') throw usageError(ctx, 'Not enough arguments');
    args = [...args, ''];
  }
  const words: ResizeWords = {
    filename: '',
    imageOpts: false,
    quiet: false,
    shrink: false,
    preallocation: 'off',
    amount: 0n,
    sign: 0n,
  };
  const options = new VerbOptions(ctx, 'resize', args.slice(0, -1), spec);
  for (const { value, argument } of options) {
    if (value === 'f') words.format = argument;
    else if (value === 'q') words.quiet = true;
    else if (value === 'image-opts') words.imageOpts = true;
    else if (value === 'preallocation') words.preallocation = preallocationMode(argument);
    else if (value === 'shrink') words.shrink = true;
  }
  if (options.operands.length !== 1) throw usageError(ctx, 'Expecting image file name and size');
  words.filename = options.operands[0];
  readSize(words, args[args.length - 1]);
  return words;
}

function preallocationMode(text: string): Mode {
  const mode = MODES.find((known) => known === text);
  if (!mode) throw new CliError(`Invalid preallocation mode '${text}'`);
  return mode;
}

function readSize(words: ResizeWords, text: string): void {
  words.sign = text.startsWith('+') ? 1n : text.startsWith('-') ? -1n : 0n;
  const digits = words.sign === 0n ? text : text.slice(1);
  const amount = parseSize(digits);
  if (amount === 'malformed') {
    throw new CliError("Parameter 'size' expects a non-negative number below 2^64", {
      hint:
        'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n' +
        'and exabytes, respectively.\n',
    });
  }
  if (amount === 'range') throw new CliError(`Value '${digits}' is out of range for parameter 'size'`);
  words.amount = amount;
}

async function presentSize(operand: Operand, ctx: CliContext): Promise<number> {
  try {
    return (await info(operand, { signal: ctx.signal })).virtualSize;
  } catch (error) {
    throw openErrorOf(error, operand);
  }
}

function newSize(words: ResizeWords & { l1: boolean }, before: number, ctx: CliContext): number {
  const size = words.sign === 0n ? words.amount : BigInt(before) + words.sign * words.amount;
  if (size <= 0n || size > INT64_MAX) throw new CliError('New image size must be positive');
  if (size <= BigInt(before) && words.preallocation !== 'off') {
    throw new CliError('Preallocation can only be used for growing images');
  }
  if (size < BigInt(before) && !words.shrink) {
    const refusal = new CliError('Use the --shrink option to perform a shrink operation.', {
      hint:
        `${ctx.programName}: warning: Shrinking an image will delete all data beyond the shrunken image's end. ` +
        'Before performing such an operation, make sure there is no important data there.\n',
    });
    throw refusal;
  }
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) {
    const what = words.l1 ? 'Failed to grow the L1 table' : 'Could not resize file';
    throw new CliError(`${what}: File too large`);
  }
  return Number(size);
}

function resizeError(error: unknown, operand: Operand): unknown {
  if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') return error;
  if (error.operation === 'resize' && error.errno === undefined) {
    const [sentence, hint] = error.message.split('\n');
    return new CliError(sentence, { hint: hint && `${hint}\n`, cause: error });
  }
  if (error.errno === 'EFBIG') return new CliError('Could not resize file: File too large', { cause: error });
  return openErrorOf(error, operand);
}
