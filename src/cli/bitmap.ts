import { DiskImageError } from '../disk/errors.js';
import { type BitmapAction, editBitmap } from '../operations/bitmap.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { systemText } from './messages.js';
import { openErrorOf, resolveOperand } from './operand.js';
import { reportWarning } from './output.js';
import { warnProbedRaw } from './probedRaw.js';
import { sizeArgument } from './sizes.js';
import { longOptions, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'b:f:F:g:h',
  long: longOptions([
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
    ['add', 'add'],
    ['remove', 'remove'],
    ['clear', 'clear'],
    ['enable', 'enable'],
    ['disable', 'disable'],
    ['merge', 'merge', 'required'],
  ]),
  extra: longOptions([
    ['format', 'f', 'required'],
    ['granularity', 'g', 'required'],
    ['source-file', 'b', 'required'],
    ['source-format', 'F', 'required'],
  ]),
};

const PLAIN = ['remove', 'clear', 'enable', 'disable'] as const;

interface BitmapWords {
  format?: string;
  sourceFile?: string;
  sourceFormat?: string;
  granularity: bigint;
  imageOpts: boolean;
  actions: BitmapAction[];
  operands: string[];
}

/** `bitmap (--add [-g SIZE] | --remove | --clear | --enable | --disable | --merge SOURCE)... [-b FILE [-F FMT]] [-f FMT] FILE BITMAP`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const words = parse(args, ctx);
  const [filename, bitmap] = words.operands;
  const operand = await resolveOperand(ctx, filename, { format: words.format, imageOpts: words.imageOpts });
  warnProbedRaw(ctx, operand);
  const mergeFrom =
    words.sourceFile === undefined
      ? undefined
      : await resolveOperand(ctx, words.sourceFile, { format: words.sourceFormat });
  // Only 32 bits of it arrive, as with qemu-img.
  const granularity = Number(words.granularity % 2n ** 32n);
  const actions = words.actions.map((one) =>
    one.action === 'add' && words.granularity > 0n ? { ...one, granularity: granularity || 1 } : one,
  );
  try {
    await editBitmap({ ...operand, bitmap, actions, mergeFrom }, { signal: ctx.signal });
  } catch (error) {
    const { failedAction } = error as { failedAction?: string };
    if (!(error instanceof DiskImageError) || failedAction === undefined) {
      const of = mergeFrom && (error as DiskImageError).path === mergeFrom.path ? mergeFrom : operand;
      throw openErrorOf(error, of);
    }
    const [sentence, hint] = (error.errno ? systemText(error) : error.message).split('\n');
    throw new CliError(`Operation ${failedAction} on bitmap ${bitmap} failed: ${sentence}`, {
      hint: hint && `${hint}\n`,
      cause: error,
    });
  }
  return 0;
}

function parse(args: string[], ctx: CliContext): BitmapWords {
  const words: BitmapWords = { granularity: 0n, imageOpts: false, actions: [], operands: [] };
  const options = new VerbOptions(ctx, 'bitmap', args, spec);
  for (const { value, argument } of options) {
    const plain = PLAIN.find((action) => action === value);
    if (plain) words.actions.push({ action: plain });
    else if (value === 'add') words.actions.push({ action: 'add' });
    else if (value === 'merge') words.actions.push({ action: 'merge', source: argument });
    else if (value === 'f') words.format = argument;
    else if (value === 'b') words.sourceFile = argument;
    else if (value === 'F') words.sourceFormat = argument;
    else if (value === 'g') {
      words.granularity = sizeArgument('granularity', argument, (text) => reportWarning(ctx, text));
    } else if (value === 'image-opts') words.imageOpts = true;
  }
  words.operands = options.operands;
  refuseConflicts(words);
  return words;
}

function refuseConflicts(words: BitmapWords): void {
  const { actions, granularity, sourceFile, sourceFormat, operands } = words;
  const has = (action: string) => actions.some((one) => one.action === action);
  if (actions.length === 0) {
    throw new CliError('Need at least one of --add, --remove, --clear, --enable, --disable, or --merge');
  }
  if (granularity > 0n && !has('add')) throw new CliError('granularity only supported with --add');
  if (sourceFormat !== undefined && sourceFile === undefined) throw new CliError('-F only supported with -b');
  if (sourceFile !== undefined && !has('merge')) {
    throw new CliError('Merge bitmap source file only supported with --merge');
  }
  if (operands.length !== 2) throw new CliError('Expecting filename and bitmap name');
}
