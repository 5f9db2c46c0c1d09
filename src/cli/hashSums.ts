// `hash -c`: verifies lists of sums as md5sum -c does (coreutils), for all algorithms at once.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { DiskImageError } from '../disk/errors.js';
import type { HashAlgorithm } from '../operations/hash.js';
import type { CliContext } from './context.js';
import { errnoText } from './errno.js';
import { hashErrorText } from './hash.js';
import type { HashWords } from './hashOptions.js';
import { print, reportError } from './output.js';
import { parseSumLine, reportedName, type SumLine } from './sums.js';

/** Digest of a file in lower-case hexadecimal. */
export type ReadDigest = (path: string, algorithm: HashAlgorithm) => Promise<string>;

interface Tally {
  good: number;
  malformed: number;
  mismatched: number;
  unreadable: number;
  /** Sums whose file was looked at. */
  checked: number;
}

/** @returns the exit code: 0 when every listed file is right. */
export async function checkSums(
  lists: readonly string[],
  words: HashWords,
  ctx: CliContext,
  digest: ReadDigest,
): Promise<number> {
  let exitCode = 0;
  for (const list of lists) if (!(await checkList(list, words, ctx, digest))) exitCode = 1;
  return exitCode;
}

async function checkList(
  list: string,
  words: HashWords,
  ctx: CliContext,
  digest: ReadDigest,
): Promise<boolean> {
  const shown = list === '-' ? "'standard input'" : list;
  const tally: Tally = { good: 0, malformed: 0, mismatched: 0, unreadable: 0, checked: 0 };
  let lineNumber = 0;
  try {
    for await (const line of linesOf(list)) {
      lineNumber++;
      if (line === '' || line.startsWith('#')) continue;
      const sum = parseSumLine(line);
      if (sum && accepts(words, sum)) await checkOne(sum, words, ctx, digest, tally);
      else {
        tally.malformed++;
        if (words.warn) reportError(ctx, `${shown}: ${lineNumber}: improperly formatted checksum line`);
      }
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (error instanceof DiskImageError || !errnoText(code)) throw error;
    reportError(ctx, `${list}: ${errnoText(code)}`);
    return false;
  }
  return conclude(tally, shown, words, ctx);
}

function linesOf(list: string): AsyncIterable<string> {
  const input = list === '-' ? process.stdin : createReadStream(list);
  // readline does not pass on the stream's errors.
  async function* lines() {
    let failure: Error | undefined;
    const reader = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    input.once('error', (error: Error) => {
      failure = error;
      reader.close();
    });
    for await (const line of reader) yield line;
    if (failure) throw failure;
  }
  return lines();
}

function accepts(words: HashWords, sum: SumLine): boolean {
  return !words.algorithmsGiven || words.algorithms.includes(sum.algorithm);
}

async function checkOne(
  sum: SumLine,
  words: HashWords,
  ctx: CliContext,
  digest: ReadDigest,
  tally: Tally,
): Promise<void> {
  const say = (verdict: string) => print(ctx, `${reportedName(sum.name)}: ${verdict}\n`, words.status);
  let found: string;
  tally.checked++;
  try {
    found = await digest(sum.name, sum.algorithm);
  } catch (error) {
    if (error instanceof DiskImageError && error.code === 'CANCELLED') throw error;
    const missing = error instanceof DiskImageError && error.errno === 'ENOENT';
    if (missing && words.ignoreMissing) return;
    reportError(ctx, hashErrorText(error, sum.name));
    say('FAILED open or read');
    tally.unreadable++;
    return;
  }
  if (found === sum.digest) {
    tally.good++;
    if (!words.quiet) say('OK');
    return;
  }
  tally.mismatched++;
  say('FAILED');
}

function conclude(tally: Tally, shown: string, words: HashWords, ctx: CliContext): boolean {
  if (tally.checked === 0) {
    reportError(ctx, `${shown}: no properly formatted checksum lines found`);
    return false;
  }
  if (!words.status) {
    warn(ctx, tally.malformed, 'line is improperly formatted', 'lines are improperly formatted');
    warn(ctx, tally.unreadable, 'listed file could not be read', 'listed files could not be read');
    warn(ctx, tally.mismatched, 'computed checksum did NOT match', 'computed checksums did NOT match');
    if (words.ignoreMissing && tally.good === 0) reportError(ctx, `${shown}: no file was verified`);
  }
  return (
    tally.mismatched === 0 &&
    tally.unreadable === 0 &&
    !(words.strict && tally.malformed > 0) &&
    !(words.ignoreMissing && tally.good === 0)
  );
}

function warn(ctx: CliContext, count: number, one: string, several: string): void {
  if (count > 0) reportError(ctx, `WARNING: ${count} ${count === 1 ? one : several}`);
}
