import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { likeQemu } from '../disk/gates.js';
import { probeFormat } from '../formats/open.js';
import { chunkDigest, type HashAlgorithm, type HashOutcome, hash } from '../operations/hash.js';
import { sourceCacheMode } from './cacheModes.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { type HashWords, parseHash } from './hashOptions.js';
import { checkSums, type ReadDigest } from './hashSums.js';
import { openCause, systemText } from './messages.js';
import { print, reportError } from './output.js';
import { ProgressDisplay } from './progress.js';
import { escapedName } from './sums.js';

/** `hash [-f FMT] [-a ALGORITHM[,…]] [--chunk SIZE] [--guest] [--output plain|json] [-c] [-p] FILE...`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const words = parseHash(args, ctx);
  const digest: ReadDigest = async (path, algorithm) => {
    const outcome = await digestFile(path, words, [algorithm], ctx);
    return outcome.digests[algorithm]!;
  };
  if (words.check) return checkSums(words.files, words, ctx, digest);
  return printDigests(words, ctx);
}

async function printDigests(words: HashWords, ctx: CliContext): Promise<number> {
  let exitCode = 0;
  const outcomes: HashOutcome[] = [];
  for (const path of words.files) {
    try {
      const outcome = await digestFile(path, words, words.algorithms, ctx);
      if (words.json) outcomes.push(outcome);
      else printPlain(ctx, outcome, words.algorithms);
    } catch (error) {
      if (error instanceof DiskImageError && error.code === 'CANCELLED') throw error;
      reportError(ctx, hashErrorText(error, path));
      exitCode = 1;
    }
  }
  if (words.json)
    print(
      ctx,
      `${JSON.stringify(
        outcomes.map((one) => outcomeJson(one, words)),
        null,
        4,
      )}\n`,
    );
  return exitCode;
}

async function digestFile(
  path: string,
  words: HashWords,
  algorithms: readonly HashAlgorithm[],
  ctx: CliContext,
): Promise<HashOutcome> {
  const { progress, progressJson, quiet, guest, forceShare } = words;
  const cache = sourceCacheMode(words.cache);
  const format = guest ? (words.format ?? (await probeFormat(path))) : undefined;
  const display = new ProgressDisplay(ctx, 'hash', { progress, json: progressJson, quiet, own: true });
  try {
    display.start();
    const outcome = await hash(
      {
        path,
        guest,
        format,
        snapshot: words.snapshot,
        algorithms,
        chunkSize: words.check ? undefined : words.chunkSize,
        gate: likeQemu,
        lock: !forceShare,
        cache,
      },
      { signal: ctx.signal, onProgress: display.onProgress },
    );
    display.finish(true);
    return outcome;
  } finally {
    display.end();
  }
}

/** `NAME: No such file or directory`, as md5sum says it. */
export function hashErrorText(error: unknown, path: string): string {
  if (error instanceof CliError) throw error;
  const failure = toDiskImageError(error, { path, operation: 'hash' });
  const text = failure.errno && !failure.layer ? systemText(failure) : openCause(failure, path);
  return `${escapedName(path).text}: ${text}`;
}

function printPlain(ctx: CliContext, outcome: HashOutcome, algorithms: readonly HashAlgorithm[]): void {
  const { escaped, text } = escapedName(outcome.path);
  const mark = escaped ? '\\' : '';
  for (const algorithm of algorithms) print(ctx, `${mark}${outcome.digests[algorithm]}  ${text}\n`);
  const { chunks } = outcome;
  if (!chunks) return;
  let lines = '';
  for (let index = 0; index < chunks.count; index++) {
    const start = index * chunks.size;
    const last = Math.min(start + chunks.size, outcome.size) - 1;
    lines += `${mark}${chunkDigest(chunks, index)}  ${text} offset ${start}-${last}\n`;
    if (lines.length < 65536) continue;
    print(ctx, lines);
    lines = '';
  }
  print(ctx, lines);
}

function outcomeJson(outcome: HashOutcome, words: HashWords) {
  const { chunks } = outcome;
  return {
    filename: outcome.path,
    size: outcome.size,
    guest: words.guest,
    ...outcome.digests,
    ...(chunks && {
      chunks: {
        algorithm: chunks.algorithm,
        size: chunks.size,
        digests: Array.from({ length: chunks.count }, (_, index) => chunkDigest(chunks, index)),
      },
    }),
  };
}
