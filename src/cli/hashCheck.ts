// `hash -c`: verifies lists of digests with md5sum -c's words and exit codes (coreutils), whatever the list's format.
import { DiskImageError } from '../disk/errors.js';
import { likeQemu } from '../disk/gates.js';
import { probeFormat } from '../formats/open.js';
import { escapedName } from '../operations/digests/names.js';
import { type VerifiedFile, type VerifyDigestsRequest, verifyDigests } from '../operations/digests/verify.js';
import type { JobSettings } from '../operations/job.js';
import { sourceCacheMode } from './cacheModes.js';
import type { CliContext } from './context.js';
import { hashErrorText, withProgress } from './hash.js';
import type { HashWords } from './hashOptions.js';
import { systemText } from './messages.js';
import { print, reportError } from './output.js';

interface Tally {
  good: number;
  malformed: number;
  mismatched: number;
  unreadable: number;
  /** Files that were looked at. */
  checked: number;
}

/** @returns the exit code: 0 when every listed file is right. */
export async function checkLists(words: HashWords, ctx: CliContext): Promise<number> {
  let exitCode = 0;
  for (const list of words.files) if (!(await checkList(list, words, ctx))) exitCode = 1;
  return exitCode;
}

/** What the library is asked for, of a list; `-` is standard input. */
export function verifyRequest(list: string, words: HashWords): VerifyDigestsRequest {
  const { algorithms, algorithmsGiven, blkhash, blockSize, chunkSize, format, snapshot } = words;
  return {
    list: list === '-' ? process.stdin : list,
    name: list === '-' ? 'standard input' : list,
    algorithms: algorithmsGiven ? algorithms : undefined,
    blkhashBlock: blkhash ? blockSize : undefined,
    file: words.file,
    guest: words.guest || blkhash || undefined,
    format: format ?? probeFormat,
    snapshot,
    gate: likeQemu,
    lock: !words.forceShare,
    cache: sourceCacheMode(words.cache),
    partSize: chunkSize,
  };
}

async function checkList(list: string, words: HashWords, ctx: CliContext): Promise<boolean> {
  const shown = list === '-' ? "'standard input'" : list;
  const tally: Tally = { good: 0, malformed: 0, mismatched: 0, unreadable: 0, checked: 0 };
  try {
    await withProgress(words, ctx, (settings) => verifyList(list, words, ctx, tally, settings));
  } catch (error) {
    if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') throw error;
    reportError(ctx, error.errno ? `${list}: ${systemText(error)}` : error.message);
    return false;
  }
  return conclude(tally, shown, words, ctx);
}

async function verifyList(
  list: string,
  words: HashWords,
  ctx: CliContext,
  tally: Tally,
  settings: JobSettings,
): Promise<void> {
  const shown = list === '-' ? "'standard input'" : list;
  for await (const item of verifyDigests(verifyRequest(list, words), settings)) {
    if (item.of === 'file') tell(item, words, ctx, tally);
    else {
      tally.malformed++;
      if (words.warn) reportError(ctx, `${shown}: ${item.line}: improperly formatted checksum line`);
    }
  }
}

function tell(file: VerifiedFile, words: HashWords, ctx: CliContext, tally: Tally): void {
  const say = (verdict: string) => print(ctx, `${reportedName(file.name)}: ${verdict}\n`, words.status);
  tally.checked++;
  if (file.verdict === 'unreadable') {
    if (words.ignoreMissing && file.error?.errno === 'ENOENT') return;
    reportError(ctx, hashErrorText(file.error, file.name));
    say('FAILED open or read');
    tally.unreadable++;
    return;
  }
  if (file.verdict === 'ok') {
    tally.good++;
    if (!words.quiet) say('OK');
    return;
  }
  tally.mismatched += file.mismatched;
  const { size, listedSize } = file;
  if (size !== undefined && listedSize !== undefined && size !== listedSize && !words.status) {
    reportError(ctx, `${escapedName(file.name).text}: it has ${size} bytes, not ${listedSize}`);
  }
  if (file.differing.length === 0) say('FAILED');
  for (const { start, length } of file.differing) say(`FAILED offset ${start}-${start + length - 1}`);
}

/** A name as md5sum -c prints it: only a line end makes it escape. */
function reportedName(name: string): string {
  return name.includes('\n') ? `\\${escapedName(name).text}` : name;
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
