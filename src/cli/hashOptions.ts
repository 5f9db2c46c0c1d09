import { formatNames } from '../formats/registry.js';
import type { HashAlgorithm } from '../operations/hash.js';
import type { ImageSource } from '../operations/source.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { snapshotSelector } from './operand.js';
import { reportWarning } from './output.js';
import { sizeArgument } from './sizes.js';
import { longOptions, progressOption, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'a:cf:hl:pqT:Uw',
  long: [
    ...longOptions([
      ['algorithm', 'a', 'required'],
      ['check', 'c'],
      ['chunk', 'chunk', 'required'],
      ['format', 'f', 'required'],
      ['force-share', 'U'],
      ['guest', 'guest'],
      ['output', 'output', 'required'],
      ['quiet', 'q'],
      ['snapshot', 'l', 'required'],
      ['source-cache', 'T', 'required'],
      ['status', 'status'],
      ['strict', 'strict'],
      ['ignore-missing', 'ignore-missing'],
      ['warn', 'w'],
    ]),
    progressOption,
  ],
};

const ALGORITHMS: readonly HashAlgorithm[] = ['md5', 'sha1', 'sha256', 'sha512'];
const MIN_CHUNK = 512n;

export interface HashWords {
  /** Files to digest, or with `check` files of sums. `-` is standard input. */
  files: string[];
  algorithms: HashAlgorithm[];
  /** Some were named with `-a`; otherwise `check` goes by the digests' lengths. */
  algorithmsGiven: boolean;
  /** Bytes. */
  chunkSize?: number;
  guest: boolean;
  format?: string;
  snapshot?: ImageSource['snapshot'];
  json: boolean;
  check: boolean;
  /** check: no line for files that are right. */
  quiet: boolean;
  /** check: nothing but the exit code. */
  status: boolean;
  /** check: a malformed line is a failure. */
  strict: boolean;
  /** check: a line about every malformed one. */
  warn: boolean;
  /** check: files that are not there are no failure. */
  ignoreMissing: boolean;
  cache: string;
  forceShare: boolean;
  progress: boolean;
  progressJson: boolean;
}

/** @throws CliError, UsageError. */
export function parseHash(args: string[], ctx: CliContext): HashWords {
  const words: HashWords = {
    files: [],
    algorithms: [],
    algorithmsGiven: false,
    guest: false,
    json: false,
    check: false,
    quiet: false,
    status: false,
    strict: false,
    warn: false,
    ignoreMissing: false,
    cache: 'writeback',
    forceShare: false,
    progress: false,
    progressJson: false,
  };
  const options = new VerbOptions(ctx, 'hash', args, spec);
  for (const { value, argument } of options) take(words, value, argument, ctx);
  words.algorithmsGiven = words.algorithms.length > 0;
  if (!words.algorithmsGiven) words.algorithms.push('md5');
  words.files = options.operands;
  checkWords(words, ctx);
  return words;
}

const FLAGS: Readonly<Record<string, keyof HashWords>> = {
  c: 'check',
  q: 'quiet',
  w: 'warn',
  U: 'forceShare',
  guest: 'guest',
  status: 'status',
  strict: 'strict',
  'ignore-missing': 'ignoreMissing',
};

function take(words: HashWords, value: string, argument: string, ctx: CliContext): void {
  if (Object.hasOwn(FLAGS, value)) (words as unknown as Record<string, unknown>)[FLAGS[value]] = true;
  else if (value === 'a') addAlgorithms(words, argument);
  else if (value === 'chunk') words.chunkSize = chunkSize(argument, ctx);
  else if (value === 'f') words.format = argument;
  else if (value === 'l') words.snapshot = snapshotSelector(argument);
  else if (value === 'T') words.cache = argument;
  else if (value === 'p') [words.progress, words.progressJson] = [true, argument === 'json'];
  else if (value === 'output') words.json = isJson(argument);
}

function addAlgorithms(words: HashWords, list: string): void {
  for (const name of list.split(',')) {
    const algorithm = ALGORITHMS.find((known) => known === name);
    if (!algorithm) throw new CliError(`Unknown algorithm '${name}' (known: ${ALGORITHMS.join(', ')})`);
    if (!words.algorithms.includes(algorithm)) words.algorithms.push(algorithm);
  }
}

function chunkSize(text: string, ctx: CliContext): number {
  const bytes = sizeArgument('chunk size', text, (message) => reportWarning(ctx, message));
  if (bytes < MIN_CHUNK || bytes > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new CliError(
      `Invalid chunk size specified. Must be between ${MIN_CHUNK} and ${Number.MAX_SAFE_INTEGER}.`,
    );
  }
  return Number(bytes);
}

function isJson(text: string): boolean {
  if (text !== 'plain' && text !== 'json') {
    throw new CliError('--output must be used with plain or json as argument.');
  }
  return text === 'json';
}

function checkWords(words: HashWords, ctx: CliContext): void {
  if (words.files.length === 0) {
    if (!words.check) throw usageError(ctx, 'Expecting at least one file name');
    words.files = ['-'];
  }
  if (words.format !== undefined && !words.guest) {
    throw new CliError('-f says how to read a guest disk: it needs --guest');
  }
  if (words.snapshot && !words.guest) throw new CliError('-l needs --guest');
  if (words.format !== undefined && !formatNames().includes(words.format)) {
    throw new CliError(`Unknown driver '${words.format}'`);
  }
  if (words.check && (words.chunkSize !== undefined || words.json)) {
    throw new CliError('--chunk and --output json cannot be used with -c');
  }
}
