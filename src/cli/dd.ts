import { DiskImageError } from '../disk/errors.js';
import { likeQemu } from '../disk/gates.js';
import { parseSize } from '../formats/optionText.js';
import { formatByName, formatNames } from '../formats/registry.js';
import { copyRange } from '../operations/copyRange.js';
import { info } from '../operations/info.js';
import type { CliContext } from './context.js';
import { requireLocalName } from './createOptions.js';
import { CliError } from './errors.js';
import { creationText, isOpenFailure, systemText } from './messages.js';
import { type Operand, openErrorOf, resolveOperand } from './operand.js';
import { reportError, reportWarning } from './output.js';
import { sizeArgument } from './sizes.js';
import { longOptions, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'hf:O:U',
  long: longOptions([
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
    ['force-share', 'U'],
  ]),
  extra: longOptions([
    ['format', 'f', 'required'],
    ['output-format', 'O', 'required'],
  ]),
};

const MAX_BLOCK = 2n ** 31n - 1n;
const INT64_MAX = 2n ** 63n - 1n;

interface DdWords {
  input: string;
  output: string;
  format?: string;
  outputFormat: string;
  imageOpts: boolean;
  forceShare: boolean;
  block: bigint;
  count?: bigint;
  skip?: bigint;
}

/** `dd [-f FMT | --image-opts] [-O FMT] [-U] [bs=SIZE] [count=N] [skip=N] if=FILE of=FILE`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const words = parse(args, ctx);
  const { format, imageOpts, forceShare, outputFormat: name, input, output } = words;
  const source = await resolveOperand(ctx, input, { format, imageOpts, forceShare });
  const size = await virtualSize(source, ctx);
  if (!formatNames().includes(name)) throw new CliError('Unknown file format');
  if (!formatByName(name).createTarget) {
    throw new CliError(`Format driver '${name}' does not support image creation`);
  }
  const target = { path: requireLocalName(output), format: name, gate: likeQemu };
  const { start, end, beyond } = range(words, size);
  try {
    await copyRange({ source, target, start, end }, { signal: ctx.signal });
  } catch (error) {
    throw ddError(error, source, words, target.path);
  }
  if (beyond) reportError(ctx, `${input}: cannot skip to specified offset`);
  return 0;
}

function parse(args: string[], ctx: CliContext): DdWords {
  const words: DdWords = {
    input: '',
    output: '',
    outputFormat: 'raw',
    imageOpts: false,
    forceShare: false,
    block: 512n,
  };
  const options = new VerbOptions(ctx, 'dd', args, spec);
  for (const { value, argument } of options) {
    if (value === 'f') words.format = argument;
    else if (value === 'O') words.outputFormat = argument;
    else if (value === 'U') words.forceShare = true;
    else if (value === 'image-opts') words.imageOpts = true;
  }
  const given = new Set<string>();
  for (const operand of options.operands) {
    const [, name, value] = /^([^=]*)(?:=(.*))?$/s.exec(operand)!;
    takeOperand(words, name, value, ctx);
    given.add(name);
  }
  if (!given.has('if') || !given.has('of')) throw new CliError('Must specify both input and output files');
  return words;
}

function takeOperand(words: DdWords, name: string, value: string | undefined, ctx: CliContext): void {
  const warn = (text: string) => reportWarning(ctx, text);
  if (value === undefined) throw new CliError(`unrecognized operand ${name}`);
  if (name === 'if') words.input = value;
  else if (name === 'of') words.output = value;
  else if (name === 'bs') words.block = blockSize(value, warn);
  else if (name === 'count') words.count = sizeArgument('count', value, warn);
  else if (name === 'skip') words.skip = sizeArgument('skip', value, warn);
  else throw new CliError(`unrecognized operand ${name}`);
}

function blockSize(text: string, warn: (message: string) => void): bigint {
  const parsed = parseSize(text);
  if (parsed === 'range' || (typeof parsed === 'bigint' && (parsed < 1n || parsed > MAX_BLOCK))) {
    throw new CliError(`Invalid bs specified. Must be between 1 and ${MAX_BLOCK}.`);
  }
  return sizeArgument('bs', text, warn);
}

async function virtualSize(source: Operand, ctx: CliContext): Promise<number> {
  try {
    return (await info(source, { signal: ctx.signal })).virtualSize;
  } catch (error) {
    throw openErrorOf(error, source);
  }
}

/** qemu-img 7.2 counts from the beginning of the disk, whatever is skipped. */
function range({ block, count, skip = 0n }: DdWords, size: number) {
  let end = BigInt(size);
  if (count !== undefined && count <= INT64_MAX / block && count * block < end) end = count * block;
  const beyond = skip > INT64_MAX / block || skip * block > end;
  const start = beyond ? end : skip * block;
  return { start: Number(start), end: Number(end), beyond };
}

function ddError(error: unknown, source: Operand, words: DdWords, path: string): unknown {
  if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') return error;
  const fail = (message: string) => new CliError(message, { cause: error });
  const creating = `${words.output}: error while creating output image`;
  if (error.operation === 'copyRange' && error.path === path && error.code === 'INVALID_ARGUMENT') {
    const why = `Failed to get "write" lock\nIs another process using the image [${path}]?`;
    return fail(`${creating}: ${why}`);
  }
  if (error.path === path) return fail(`${creating}: ${creationText(error, path) ?? error.message}`);
  if (isOpenFailure(error)) return openErrorOf(error, source);
  return fail(`error while reading from input image file: ${systemText(error)}`);
}
