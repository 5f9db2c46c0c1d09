import { formatNames } from '../formats/registry.js';
import { BLKHASH_BLOCK } from '../operations/digests/blkhash.js';
import type { HashAlgorithm } from '../operations/hash.js';
import { hashAlgorithms } from '../operations/hashAlgorithms.js';
import type { Effort } from '../operations/job.js';
import type { ImageSource } from '../operations/source.js';
import type { CliContext } from './context.js';
import { effortOptions, takeEffort } from './effort.js';
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
      ['blkhash', 'blkhash'],
      ['block-size', 'block-size', 'required'],
      ['check', 'c'],
      ['chunk', 'chunk', 'required'],
      ['file', 'file', 'required'],
      ['format', 'f', 'required'],
      ['force-share', 'U'],
      ['guest', 'guest'],
      ['output', 'output', 'required'],
      ['quiet', 'q'],
      ['repair-list', 'repair-list', 'required'],
      ['snapshot', 'l', 'required'],
      ['source-cache', 'T', 'required'],
      ['status', 'status'],
      ['strict', 'strict'],
      ['ignore-missing', 'ignore-missing'],
      ['warn', 'w'],
      ['whole', 'whole'],
    ]),
    ...effortOptions,
    progressOption,
  ],
};

const OUTPUTS = ['plain', 'json', 'hashdeep', 'dfxml', 'etag', 'bmap'] as const;
export type HashOutput = (typeof OUTPUTS)[number];

/** As the programs do whose formats they are. */
const DEFAULT_ALGORITHMS: Readonly<Record<HashOutput, readonly HashAlgorithm[]>> = {
  plain: ['md5'],
  json: ['md5'],
  hashdeep: ['md5', 'sha256'],
  dfxml: ['md5'],
  etag: ['md5'],
  bmap: ['sha256'],
};

const MIN_CHUNK = 512n;

export interface HashWords {
  /** Files to digest, or with `check` lists of digests. `-` is standard input. */
  files: string[];
  algorithms: HashAlgorithm[];
  /** Some were named with `-a`; otherwise `check` goes by the list. */
  algorithmsGiven: boolean;
  /** Bytes; with `check` the part size of ETags. */
  chunkSize?: number;
  /** With chunks: the whole too. */
  whole: boolean;
  blkhash: boolean;
  /** Bytes, of blkhash. */
  blockSize: number;
  guest: boolean;
  format?: string;
  snapshot?: ImageSource['snapshot'];
  output: HashOutput;
  check: boolean;
  /** check: the one file to verify. */
  file?: string;
  /** Print what has to be fetched again by this list. */
  repairList?: string;
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
  effort: Effort;
}

/** @throws CliError, UsageError. */
export function parseHash(args: string[], ctx: CliContext): HashWords {
  const words: HashWords = {
    files: [],
    algorithms: [],
    algorithmsGiven: false,
    whole: false,
    blkhash: false,
    blockSize: 0,
    guest: false,
    output: 'plain',
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
    effort: {},
  };
  const options = new VerbOptions(ctx, 'hash', args, spec);
  for (const { value, argument } of options) take(words, value, argument, ctx);
  words.files = options.operands;
  checkWords(words, ctx);
  words.algorithmsGiven = words.algorithms.length > 0;
  if (!words.algorithmsGiven) {
    words.algorithms.push(...(words.blkhash ? (['sha256'] as const) : DEFAULT_ALGORITHMS[words.output]));
  }
  words.blockSize ||= BLKHASH_BLOCK;
  checkOutput(words);
  return words;
}

const FLAGS: Readonly<Record<string, keyof HashWords>> = {
  c: 'check',
  q: 'quiet',
  w: 'warn',
  U: 'forceShare',
  blkhash: 'blkhash',
  guest: 'guest',
  status: 'status',
  strict: 'strict',
  'ignore-missing': 'ignoreMissing',
  whole: 'whole',
};

function take(words: HashWords, value: string, argument: string, ctx: CliContext): void {
  if (Object.hasOwn(FLAGS, value)) (words as unknown as Record<string, unknown>)[FLAGS[value]] = true;
  else if (value === 'a') addAlgorithms(words, argument);
  else if (value === 'block-size') words.blockSize = pieceSize('block', argument, ctx);
  else if (value === 'chunk') words.chunkSize = pieceSize('chunk', argument, ctx);
  else if (value === 'f') words.format = argument;
  else if (value === 'file') words.file = argument;
  else if (value === 'l') words.snapshot = snapshotSelector(argument);
  else if (value === 'repair-list') words.repairList = argument;
  else if (value === 'T') words.cache = argument;
  else if (value === 'p') [words.progress, words.progressJson] = [true, argument === 'json'];
  else if (value === 'output') words.output = outputOf(argument);
  else takeEffort(words.effort, value, argument, ctx);
}

function addAlgorithms(words: HashWords, list: string): void {
  const known = hashAlgorithms();
  for (const name of list.split(',')) {
    const algorithm = known.find((one) => one === name);
    if (!algorithm) throw new CliError(`Unknown algorithm '${name}' (known: ${known.join(', ')})`);
    if (!words.algorithms.includes(algorithm)) words.algorithms.push(algorithm);
  }
}

function pieceSize(what: string, text: string, ctx: CliContext): number {
  const bytes = sizeArgument(`${what} size`, text, (message) => reportWarning(ctx, message));
  if (bytes < MIN_CHUNK || bytes > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new CliError(
      `Invalid ${what} size specified. Must be between ${MIN_CHUNK} and ${Number.MAX_SAFE_INTEGER}.`,
    );
  }
  return Number(bytes);
}

function outputOf(text: string): HashOutput {
  const found = OUTPUTS.find((one) => one === text);
  if (found) return found;
  throw new CliError('--output must be used with plain, json, hashdeep, dfxml, etag or bmap as argument.');
}

function checkWords(words: HashWords, ctx: CliContext): void {
  if (words.files.length === 0) {
    if (!words.check) throw usageError(ctx, 'Expecting at least one file name');
    words.files = ['-'];
  }
  const guest = words.guest || words.blkhash;
  if (words.format !== undefined && !guest) {
    throw new CliError('-f says how to read a guest disk: it needs --guest');
  }
  if (words.snapshot && !guest) throw new CliError('-l needs --guest');
  if (words.format !== undefined && !formatNames().includes(words.format)) {
    throw new CliError(`Unknown driver '${words.format}'`);
  }
  if (words.blockSize > 0 && !words.blkhash) throw new CliError('--block-size is of --blkhash');
  if (words.guest && !words.check && words.files.includes('-')) {
    throw new CliError('A guest disk cannot be read from standard input');
  }
  if (words.file !== undefined && !words.check) throw new CliError('--file goes with -c');
  for (const [name, given] of [
    ['status', words.status],
    ['strict', words.strict],
    ['ignore-missing', words.ignoreMissing],
    ['warn', words.warn],
  ] as const) {
    if (given && !words.check) throw new CliError(`--${name} goes with -c`);
  }
  if (words.check && words.output !== 'plain') throw new CliError('--output cannot be used with -c');
  if (words.repairList === undefined) return;
  if (words.check) throw new CliError('-c and --repair-list cannot be used together');
  if (words.output !== 'plain' && words.output !== 'json') {
    throw new CliError('--repair-list prints plain or json');
  }
  if (words.files.length !== 1 || words.files[0] === '-') {
    throw usageError(ctx, 'Expecting one file name with --repair-list');
  }
}

/** What the formats have no room for. */
function checkOutput(words: HashWords): void {
  const { output, algorithms, chunkSize, whole, blkhash, check, repairList, files } = words;
  if (check || repairList !== undefined) {
    if (whole) throw new CliError('--whole is of no use where a list is verified');
    return;
  }
  if (blkhash && (chunkSize !== undefined || whole)) {
    throw new CliError('--chunk and --whole cannot be used with --blkhash');
  }
  if (blkhash && output !== 'plain' && output !== 'json') {
    throw new CliError(`--blkhash prints plain or json, not ${output}`);
  }
  if (blkhash && algorithms.length > 1) throw new CliError('--blkhash takes one algorithm');
  if (whole && (chunkSize === undefined || output === 'etag' || output === 'bmap')) {
    throw new CliError('--whole goes with --chunk: the digest of the whole file beside those of its chunks');
  }
  if (output === 'etag' && algorithms.join() !== 'md5') throw new CliError('An ETag is made of md5');
  if (output !== 'bmap') return;
  if (chunkSize !== undefined)
    throw new CliError('A bmap has a digest per mapped range: --chunk is of no use');
  if (algorithms.length > 1) throw new CliError('A bmap takes one algorithm');
  if (files.length > 1) throw new CliError('A bmap is of one file');
}
