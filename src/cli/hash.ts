import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { likeQemu } from '../disk/gates.js';
import { probeFormat } from '../formats/open.js';
import { bmapText, makeBmap } from '../operations/digests/bmap.js';
import { escapedName } from '../operations/digests/names.js';
import { type HashOutcome, type HashRequest, hash } from '../operations/hash.js';
import { hashFiles } from '../operations/hashFiles.js';
import type { JobSettings } from '../operations/job.js';
import { sourceCacheMode } from './cacheModes.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { checkLists } from './hashCheck.js';
import { type HashWords, parseHash } from './hashOptions.js';
import { HashPrinter, type Work } from './hashPrint.js';
import { JoinedProgress } from './hashProgress.js';
import { printRepairs } from './hashRepair.js';
import { openCause, systemText } from './messages.js';
import { print, reportError } from './output.js';
import { ProgressDisplay } from './progress.js';

/** `hash [-a ALGORITHM[,…]] [--chunk SIZE] [--guest] [--blkhash] [--output …] [-c | --repair-list LIST] [-p] FILE...`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const words = parseHash(args, ctx);
  if (words.check) return checkLists(words, ctx);
  if (words.repairList !== undefined) return printRepairs(words, ctx);
  if (words.output === 'bmap') return printBmap(words, ctx);
  return printDigests(words, [ctx.programName, 'hash', ...args].join(' '), ctx);
}

/** Files whose results are held at a time, until those before them are printed. */
const SLICE = 256;
const CHUNKED_SLICE = 8;

async function printDigests(words: HashWords, command: string, ctx: CliContext): Promise<number> {
  const printer = new HashPrinter(words, command, ctx);
  let exitCode = 0;
  const refuse = (path: string, error: unknown) => {
    if (error instanceof DiskImageError && error.code === 'CANCELLED') throw error;
    const text = hashErrorText(error, path);
    reportError(ctx, text);
    printer.failed(path, text.slice(text.lastIndexOf(': ') + 2));
    exitCode = 1;
  };
  printer.begin();
  const slice = words.chunkSize === undefined ? SLICE : CHUNKED_SLICE;
  await withProgress(words, ctx, async (settings) => {
    const progress = await JoinedProgress.of(words, settings.onProgress);
    for (let at = 0; at < words.files.length; at += slice) {
      const paths = words.files.slice(at, at + slice);
      const works = await Promise.all(paths.map((path) => prepare(path, printer, words)));
      await runAll(works, { ...settings, onProgress: progress.part(paths.length) }, printer, refuse);
    }
  });
  printer.end();
  return exitCode;
}

/** What is to be asked for one file, or why not. */
async function prepare(path: string, printer: HashPrinter, words: HashWords): Promise<Work | Failed> {
  try {
    return await printer.plan(await hashSource(path, words));
  } catch (error) {
    return { path, error };
  }
}

interface Failed {
  path: string;
  error: unknown;
}

/** Runs everything at once, and prints in order, each file as soon as those before it are printed. */
async function runAll(
  works: readonly (Work | Failed)[],
  settings: JobSettings,
  printer: HashPrinter,
  refuse: (path: string, error: unknown) => void,
): Promise<void> {
  const outcomes: HashOutcome[][] = works.map(() => []);
  const errors = works.map((work) => ('error' in work ? work.error : undefined));
  let next = 0;
  const printReady = () => {
    for (; next < works.length; next++) {
      const work = works[next];
      if (errors[next] !== undefined) refuse(work.path, errors[next]);
      else if ('error' in work || outcomes[next].length < work.requests.length) return;
      else {
        try {
          printer.print(work, outcomes[next]);
        } catch (error) {
          refuse(work.path, error);
        }
      }
      outcomes[next] = [];
    }
  };
  const requests = works.flatMap((work, index) =>
    'error' in work ? [] : work.requests.map((request) => ({ index, request })),
  );
  printReady();
  if (requests.length === 1) {
    // A single file gets all threads, and progress in bytes.
    const [{ index, request }] = requests;
    try {
      outcomes[index].push(await hash(request, settings));
    } catch (error) {
      errors[index] = error;
    }
    printReady();
    return;
  }
  let failure: unknown;
  await hashFiles(
    requests.map(({ request }) => request),
    {
      ...settings,
      onFile: ({ outcome, error }, at) => {
        const { index } = requests[at];
        if (outcome) outcomes[index].push(outcome);
        else errors[index] ??= error;
        try {
          printReady();
        } catch (cause) {
          failure ??= cause;
          throw cause;
        }
      },
    },
  ).catch((error) => {
    throw failure ?? error;
  });
}

async function printBmap(words: HashWords, ctx: CliContext): Promise<number> {
  const [path] = words.files;
  try {
    const source = await hashSource(path, words);
    const bmap = await withProgress(words, ctx, (settings) =>
      makeBmap({ ...source, algorithm: words.algorithms[0] }, settings),
    );
    print(ctx, bmapText(bmap));
    return 0;
  } catch (error) {
    if (error instanceof DiskImageError && error.code === 'CANCELLED') throw error;
    reportError(ctx, hashErrorText(error, path));
    return 1;
  }
}

/** The file as the library is asked for it; a block hash is a guest's. */
export async function hashSource(path: string, words: HashWords): Promise<HashRequest> {
  const cache = sourceCacheMode(words.cache);
  const guest = words.guest || (words.blkhash && path !== '-');
  if (!guest) return { path, cache };
  const format = words.format ?? (await probeFormat(path));
  return {
    path,
    guest,
    format,
    snapshot: words.snapshot,
    gate: likeQemu,
    lock: !words.forceShare,
    cache,
  };
}

export async function withProgress<T>(
  words: HashWords,
  ctx: CliContext,
  body: (settings: JobSettings) => Promise<T>,
): Promise<T> {
  const { progress, progressJson: json, quiet } = words;
  const display = new ProgressDisplay(ctx, 'hash', { progress, json, quiet, own: true });
  try {
    display.start();
    const result = await body({ ...words.effort, signal: ctx.signal, onProgress: display.onProgress });
    display.finish(true);
    return result;
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
