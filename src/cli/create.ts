import { DiskImageError } from '../disk/errors.js';
import { likeQemu } from '../disk/gates.js';
import { createImage } from '../operations/create.js';
import type { CliContext } from './context.js';
import { OptionLists, printOptionHelp, requireCreatable, requireLocalName } from './createOptions.js';
import { CliError } from './errors.js';
import { creationText } from './messages.js';
import { print, reportWarning } from './output.js';
import { sizeArgument } from './sizes.js';
import { longOptions, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'F:b:f:ho:qu',
  long: longOptions([['object', 'object', 'required']]),
  extra: longOptions([
    ['format', 'f', 'required'],
    ['options', 'o', 'required'],
    ['backing', 'b', 'required'],
    ['backing-format', 'F', 'required'],
    ['backing-unsafe', 'u'],
    ['quiet', 'q'],
  ]),
};

interface CreateWords {
  filename: string;
  format: string;
  backingFile?: string;
  backingFormat?: string;
  unsafe: boolean;
  quiet: boolean;
  lists: OptionLists;
  size?: bigint;
}

/** `create [-f FMT] [-b BACKING -F BFMT] [-u] [-o OPTS] [-q] FILE [SIZE]`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const words = parse(args, ctx);
  if (!words) return 0;
  const { filename, quiet } = words;
  const prefix = `${filename}: `;
  // qemu-img looks for the driver, then for the protocol, then at what the driver can.
  const path = requireTarget(words, prefix);
  const options = { ...words.lists.values };
  // Sizes that a number cannot hold are refused by the format, in its words.
  const large = words.size !== undefined && words.size > BigInt(Number.MAX_SAFE_INTEGER);
  if (large && options.size === undefined) options.size = `${words.size}`;
  try {
    await createImage(path, {
      format: words.format,
      options,
      size:
        words.size === undefined || (large && words.lists.values.size === undefined)
          ? undefined
          : Number(words.size),
      backingFile: words.backingFile,
      backingFormat: words.backingFormat,
      unsafe: words.unsafe,
      gate: likeQemu,
      signal: ctx.signal,
      announce: (effective) => {
        const pairs = effective.map(([name, value]) => `${name}=${value}`).join(' ');
        print(ctx, `Formatting '${filename}', fmt=${words.format} ${pairs}\n`, quiet);
      },
    });
  } catch (error) {
    throw creationError(error, words, path);
  }
  return 0;
}

function parse(args: string[], ctx: CliContext): CreateWords | undefined {
  const words = { format: 'raw', unsafe: false, quiet: false, lists: new OptionLists() } as CreateWords;
  const options = new VerbOptions(ctx, 'create', args, spec);
  for (const { value, argument } of options) {
    if (value === 'F') words.backingFormat = argument;
    else if (value === 'b') words.backingFile = argument;
    else if (value === 'f') words.format = argument;
    else if (value === 'o') words.lists.add(argument);
    else if (value === 'q') words.quiet = true;
    else if (value === 'u') words.unsafe = true;
  }
  const [filename, size, unexpected] = options.operands;
  if (words.lists.wantsHelp) {
    printOptionHelp(ctx, words.format, filename);
    return undefined;
  }
  if (filename === undefined) throw usageError(ctx, 'Expecting image file name');
  words.filename = filename;
  if (size !== undefined) words.size = sizeArgument('image size', size, (text) => reportWarning(ctx, text));
  if (unexpected !== undefined) throw usageError(ctx, `Unexpected argument: ${unexpected}`);
  return words;
}

function requireTarget(words: CreateWords, prefix: string): string {
  const specs = requireCreatable(words.format, prefix);
  const path = requireLocalName(words.filename, prefix);
  const takes = (name: string) => specs.some((one) => one.name === name);
  if (words.backingFile !== undefined && !takes('backing_file')) {
    throw new CliError(`${prefix}Backing file not supported for file format '${words.format}'`);
  }
  if (words.backingFormat !== undefined && !takes('backing_fmt')) {
    throw new CliError(`${prefix}Backing file format not supported for file format '${words.format}'`);
  }
  return path;
}

function creationError(error: unknown, words: CreateWords, path: string): unknown {
  const text = creationText(error, path);
  if (text === undefined) return error;
  const message = `${words.filename}: ${text}`;
  if (!(error instanceof DiskImageError) || error.code !== 'BACKING_FORMAT_MISSING') {
    return new CliError(message, { cause: error });
  }
  // qemu-img ends this one without a line end.
  const [first, hint] = message.split(/\n(.*)/s, 2);
  return new CliError(first, { hint, cause: error });
}
