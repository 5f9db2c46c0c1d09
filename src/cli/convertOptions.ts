import type { Effort } from '../operations/job.js';
import type { CacheMode, ImageSource } from '../operations/source.js';
import { cacheMode } from './cacheModes.js';
import type { CliContext } from './context.js';
import { OptionLists, printOptionHelp } from './createOptions.js';
import { effortOptions, rateLimit, takeEffort } from './effort.js';
import { CliError } from './errors.js';
import { snapshotSelector } from './operand.js';
import { reportWarning } from './output.js';
import { sizeArgument } from './sizes.js';
import { longOptions, progressOption, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'hf:O:B:CcF:o:l:S:pt:T:qnm:WUr:b:',
  long: longOptions([
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
    ['force-share', 'U'],
    ['target-image-opts', 'target-image-opts'],
    ['salvage', 'salvage'],
    ['target-is-zero', 'target-is-zero'],
    ['bitmaps', 'bitmaps'],
    ['skip-broken-bitmaps', 'skip-broken-bitmaps'],
  ]),
  extra: [
    ...longOptions([
      ['source-format', 'f', 'required'],
      ['source-cache', 'T', 'required'],
      ['snapshot', 'l', 'required'],
      ['target-format', 'O', 'required'],
      ['target-format-options', 'o', 'required'],
      ['target-cache', 't', 'required'],
      ['backing', 'B', 'required'],
      ['backing-format', 'F', 'required'],
      ['sparse-size', 'S', 'required'],
      ['no-create', 'n'],
      ['parallel', 'm', 'required'],
      ['oob-writes', 'W'],
      ['copy-range-offloading', 'C'],
      ['compress', 'c'],
      ['compression-level', 'level', 'required'],
      ['quiet', 'q'],
    ]),
    ...effortOptions,
    progressOption,
  ],
};

const MAX_SPARSE_SIZE = 16 * 2 ** 20;
const MAX_COROUTINES = 16;

export interface ConvertWords {
  sources: string[];
  target: string;
  format?: string;
  targetFormat?: string;
  lists: OptionLists;
  backingFile?: string;
  backingFormat?: string;
  snapshot?: ImageSource['snapshot'];
  sparseSize?: number;
  threads?: number;
  compressionLevel?: number;
  /** Bytes a second. */
  effort: Effort;
  sourceCache: string;
  targetCache: CacheMode;
  imageOpts: boolean;
  targetImageOpts: boolean;
  forceShare: boolean;
  compress: boolean;
  copyOffload: boolean;
  noCreate: boolean;
  targetIsZero: boolean;
  salvage: boolean;
  bitmaps: boolean;
  skipBroken: boolean;
  outOfOrder: boolean;
  progress: boolean;
  json: boolean;
  quiet: boolean;
}

/** The words of `convert`, checked as far as no file is needed; undefined after `-o help`. */
export function parseConvert(args: string[], ctx: CliContext): ConvertWords | undefined {
  const words = {
    lists: new OptionLists(),
    sourceCache: 'writeback',
    imageOpts: false,
    targetImageOpts: false,
    forceShare: false,
    compress: false,
    copyOffload: false,
    noCreate: false,
    targetIsZero: false,
    salvage: false,
    bitmaps: false,
    skipBroken: false,
    outOfOrder: false,
    progress: false,
    json: false,
    quiet: false,
    effort: {},
  } as ConvertWords;
  const later: Later = { targetCache: 'unsafe' };
  const options = new VerbOptions(ctx, 'convert', args, spec);
  for (const { value, argument } of options) take(words, later, value, argument, ctx);
  checkConflicts(words);
  const { operands } = options;
  const target = operands.length > 1 ? operands[operands.length - 1] : undefined;
  if (words.lists.wantsHelp) {
    if (words.targetImageOpts && words.targetFormat === undefined) {
      throw new CliError('Option help requires a format be specified');
    }
    printOptionHelp(ctx, words.targetFormat ?? 'raw', target);
    return undefined;
  }
  if (target === undefined) throw new CliError('Must specify image file name');
  words.sources = operands.slice(0, -1);
  words.target = target;
  words.targetCache = cacheMode(later.targetCache);
  return words;
}

/** Read first, judged after the loop, as in qemu-img. */
interface Later {
  targetCache: string;
}

const FLAGS: Readonly<Record<string, keyof ConvertWords>> = {
  C: 'copyOffload',
  c: 'compress',
  n: 'noCreate',
  q: 'quiet',
  U: 'forceShare',
  W: 'outOfOrder',
  bitmaps: 'bitmaps',
  'skip-broken-bitmaps': 'skipBroken',
  salvage: 'salvage',
  'image-opts': 'imageOpts',
  'target-image-opts': 'targetImageOpts',
  'target-is-zero': 'targetIsZero',
};

const TEXTS: Readonly<Record<string, keyof ConvertWords>> = {
  f: 'format',
  O: 'targetFormat',
  b: 'backingFile',
  B: 'backingFile',
  F: 'backingFormat',
  T: 'sourceCache',
};

function take(words: ConvertWords, later: Later, value: string, argument: string, ctx: CliContext): void {
  const fields = words as unknown as Record<string, unknown>;
  const warn = (text: string) => reportWarning(ctx, text);
  if (Object.hasOwn(FLAGS, value)) fields[FLAGS[value]] = true;
  else if (Object.hasOwn(TEXTS, value)) fields[TEXTS[value]] = argument;
  else if (value === 't') later.targetCache = argument;
  else if (value === 'o') words.lists.add(argument);
  else if (value === 'l') words.snapshot = snapshotSelector(argument);
  else if (value === 'S') words.sparseSize = sparseSize(argument, warn);
  else if (value === 'p') [words.progress, words.json] = [true, argument === 'json'];
  else if (value === 'm') words.threads = coroutines(argument);
  else if (value === 'r') words.effort.bytesPerSecond = rateLimit(argument, ctx);
  else if (takeEffort(words.effort, value, argument, ctx)) return;
  else if (value === 'level') words.compressionLevel = compressionLevel(argument);
}

function sparseSize(text: string, warn: (message: string) => void): number {
  const bytes = sizeArgument('buffer size for sparse output', text, warn);
  if (bytes % 512n !== 0n || bytes > BigInt(MAX_SPARSE_SIZE)) {
    throw new CliError(
      'Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up to ' +
        `${MAX_SPARSE_SIZE}. Select 0 to disable sparse detection (fully allocates output).`,
    );
  }
  return Number(bytes);
}

function compressionLevel(text: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text);
  throw new CliError(`Invalid compression level '${text}': zlib has 1 to 9, zstd 1 to 19, 0 is the default`);
}

function coroutines(text: string): number {
  const count = /^\s*\+?(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text.trim().replace('+', '')) : 0;
  if (count >= 1 && count <= MAX_COROUTINES) return count;
  throw new CliError(
    `Invalid number of coroutines. Allowed number of coroutines is between 1 and ${MAX_COROUTINES}`,
  );
}

function checkConflicts(words: ConvertWords): void {
  const conflicts: [boolean, string][] = [
    [words.skipBroken && !words.bitmaps, 'Use of --skip-broken-bitmaps requires --bitmaps'],
    [words.compress && words.copyOffload, 'Cannot enable copy offloading when -c is used'],
    [words.sparseSize !== undefined && words.copyOffload, 'Cannot enable copy offloading when -S is used'],
    [words.compressionLevel !== undefined && !words.compress, '--compression-level requires use of -c flag'],
    [words.copyOffload && words.salvage, 'Cannot use copy offloading in salvaging mode'],
    [words.targetImageOpts && !words.noCreate, '--target-image-opts requires use of -n flag'],
    [words.noCreate && words.lists.given, '-o has no effect when skipping image creation'],
    [words.targetIsZero && !words.noCreate, '--target-is-zero requires use of -n flag'],
  ];
  for (const [conflict, message] of conflicts) if (conflict) throw new CliError(message);
}
