import { likeQemu } from '../disk/gates.js';
import { type ConvertOutcome, type ConvertRequest, convert } from '../operations/convert.js';
import { sourceCacheMode } from './cacheModes.js';
import type { CliContext } from './context.js';
import { convertError } from './convertErrors.js';
import { type ConvertWords, parseConvert } from './convertOptions.js';
import { convertTarget } from './convertTarget.js';
import { CliError } from './errors.js';
import { type Operand, resolveOperand } from './operand.js';
import { reportWarning } from './output.js';
import { ProgressDisplay } from './progress.js';

/** `convert [-f FMT] [-O FMT] [-o OPTS] [-c] … SRC... DST`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const words = parseConvert(args, ctx);
  if (!words) return 0;
  const sourceCache = sourceCacheMode(words.sourceCache);
  const { progress, json, quiet } = words;
  const display = new ProgressDisplay(ctx, 'convert', { progress, json, quiet });
  let sources: Operand[] = [];
  try {
    display.start();
    sources = await resolveSources(words, ctx);
    const request = await conversion(words, sources, sourceCache, ctx);
    const settings = {
      ...words.effort,
      signal: ctx.signal,
      onProgress: display.onProgress,
      threads: words.threads,
    };
    const outcome = await convert(request, settings);
    display.finish(true);
    for (const name of outcome.skippedBitmaps ?? []) {
      reportWarning(ctx, `Skipping inconsistent bitmap '${name}'`);
    }
    if (!quiet) warnUnreadable(ctx, outcome);
    return 0;
  } catch (error) {
    throw convertError(error, words, sources);
  } finally {
    display.end();
  }
}

async function resolveSources(words: ConvertWords, ctx: CliContext): Promise<Operand[]> {
  const { format, imageOpts, forceShare } = words;
  const sources: Operand[] = [];
  for (const name of words.sources)
    sources.push(await resolveOperand(ctx, name, { format, imageOpts, forceShare }));
  if (words.snapshot) {
    if (sources.length > 1) throw new CliError('No support for concatenating multiple snapshot');
    sources[0].snapshot = words.snapshot;
  }
  return sources;
}

async function conversion(
  words: ConvertWords,
  sources: readonly Operand[],
  sourceCache: ConvertRequest['sourceCache'],
  ctx: CliContext,
): Promise<ConvertRequest> {
  return {
    sources,
    target: { ...(await convertTarget(words, sources, ctx)), gate: likeQemu, secrets: ctx.secrets },
    compress: words.compress,
    compressionLevel: words.compressionLevel,
    sparseSize: words.sparseSize,
    noCreate: words.noCreate,
    targetIsZero: words.targetIsZero,
    salvage: words.salvage,
    outOfOrder: words.outOfOrder,
    copyOffload: words.copyOffload,
    bitmaps: words.bitmaps && words.skipBroken ? 'skip-broken' : words.bitmaps,
    sourceCache,
    targetCache: words.targetCache,
  };
}

function warnUnreadable(ctx: CliContext, outcome: ConvertOutcome): void {
  for (const { start, length } of outcome.unreadable) {
    reportWarning(ctx, `error while reading offset ${start}: ${length} bytes replaced by zeros`);
  }
}
