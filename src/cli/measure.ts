import { DiskImageError } from '../disk/errors.js';
import type { CreateOptions, MeasureResult } from '../disk/format.js';
import { OptionValues } from '../formats/optionText.js';
import { measure } from '../operations/measure.js';
import type { ImageSource } from '../operations/source.js';
import type { CliContext } from './context.js';
import { OptionLists, requireCreatable } from './createOptions.js';
import { CliError } from './errors.js';
import { isOpenFailure, openError, snapshotError } from './messages.js';
import { resolveOperand, snapshotSelector } from './operand.js';
import { outputFormat, print, reportWarning } from './output.js';
import { qemuJson } from './qdict.js';
import { sizeArgument } from './sizes.js';
import { longOptions, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'hf:O:o:l:Us:',
  long: longOptions([
    ['image-opts', 'image-opts'],
    ['object', 'object', 'required'],
    ['output', 'output', 'required'],
    ['size', 's', 'required'],
    ['force-share', 'U'],
  ]),
  extra: longOptions([
    ['source-format', 'f', 'required'],
    ['format', 'f', 'required'],
    ['source-image-opts', 'image-opts'],
    ['snapshot', 'l', 'required'],
    ['target-format', 'O', 'required'],
    ['target-format-options', 'o', 'required'],
    ['options', 'o', 'required'],
  ]),
};

interface MeasureWords {
  filename?: string;
  format?: string;
  targetFormat: string;
  lists: OptionLists;
  snapshot?: ImageSource['snapshot'];
  size?: bigint;
  imageOpts: boolean;
  forceShare: boolean;
  human: boolean;
}

/** `measure [-O FMT] [-o OPTS] [--output human|json] (--size SIZE | [-f FMT | --image-opts] [-l SNAPSHOT] FILE)`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const words = parse(args, ctx);
  const result = await measured(words, ctx);
  const { required, fullyAllocated, bitmaps } = result;
  if (words.human) {
    print(ctx, `required size: ${required}\nfully allocated size: ${fullyAllocated}\n`);
    if (bitmaps !== undefined) print(ctx, `bitmaps size: ${bitmaps}\n`);
  } else {
    print(ctx, `${qemuJson({ required, 'fully-allocated': fullyAllocated, bitmaps })}\n`);
  }
  return 0;
}

function parse(args: string[], ctx: CliContext): MeasureWords {
  const words: MeasureWords = {
    targetFormat: 'raw',
    lists: new OptionLists(),
    imageOpts: false,
    forceShare: false,
    human: true,
  };
  const options = new VerbOptions(ctx, 'measure', args, spec);
  for (const { value, argument } of options) {
    if (value === 'f') words.format = argument;
    else if (value === 'O') words.targetFormat = argument;
    else if (value === 'o') words.lists.add(argument);
    else if (value === 'l') words.snapshot = snapshotSelector(argument);
    else if (value === 'U') words.forceShare = true;
    else if (value === 'image-opts') words.imageOpts = true;
    else if (value === 'output') words.human = outputFormat(argument) === 'human';
    else if (value === 's')
      words.size = sizeArgument('image size', argument, (text) => reportWarning(ctx, text));
  }
  const { operands } = options;
  if (operands.length > 1) throw new CliError('At most one filename argument is allowed.');
  words.filename = operands[0];
  checkWords(words);
  return words;
}

function checkWords({ filename, imageOpts, format, snapshot, size }: MeasureWords): void {
  if (filename === undefined && (imageOpts || format !== undefined || snapshot)) {
    throw new CliError('--image-opts, -f, and -l require a filename argument.');
  }
  if (filename !== undefined && size !== undefined) {
    throw new CliError('--size N cannot be used together with a filename.');
  }
  if (filename === undefined && size === undefined) {
    throw new CliError('Either --size N or one filename must be specified.');
  }
  if (size !== undefined && size > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new CliError(`Sizes above ${Number.MAX_SAFE_INTEGER} bytes are not supported`);
  }
}

async function measured(words: MeasureWords, ctx: CliContext): Promise<MeasureResult> {
  const { filename, format, imageOpts, forceShare, snapshot, targetFormat, size } = words;
  const operand =
    filename === undefined
      ? undefined
      : await resolveOperand(ctx, filename, { format, imageOpts, forceShare });
  if (operand) operand.snapshot = snapshot;
  const options = targetOptions(words);
  try {
    return await measure(
      { format: targetFormat, options, size: size === undefined ? undefined : Number(size), source: operand },
      { signal: ctx.signal },
    );
  } catch (error) {
    if (!(error instanceof DiskImageError)) throw error;
    if (error.code === 'SNAPSHOT_NOT_FOUND') throw snapshotError(error, operand?.format ?? '');
    if (operand && isOpenFailure(error)) throw openError(operand.name, operand.path, error);
    throw error;
  }
}

/** `-o` values, their names and types checked. */
function targetOptions({ targetFormat, lists }: MeasureWords): CreateOptions {
  const specs = requireCreatable(targetFormat);
  const options: Record<string, string> = { ...lists.values };
  try {
    new OptionValues(specs, options, '');
  } catch (error) {
    if (!(error instanceof DiskImageError)) throw error;
    throw new CliError([error.message, `Invalid options for file format '${targetFormat}'`], {
      cause: error,
    });
  }
  // The size is told beside the options, or the source's.
  delete options.size;
  return options;
}
