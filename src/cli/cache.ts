import type { CachedFile, CachedImage, CacheListing } from '../provision/cacheList.js';
import type { RemoveOutcome } from '../provision/cacheRemove.js';
import type { VerifyOutcome } from '../provision/cacheVerify.js';
import { ImageCache } from '../provision/imageCache.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { type OutputFormat, outputFormat, print, reportError, reportWarning } from './output.js';
import { ProgressDisplay } from './progress.js';
import { sizeText } from './sizes.js';
import { longOptions, progressOption, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'hpq',
  long: [
    ...longOptions([
      ['instances', 'instances', 'required'],
      ['image-id', 'id', 'required'],
      ['key', 'key', 'required'],
      ['older-than', 'age', 'required'],
      ['unused', 'unused'],
      ['dry-run', 'dry'],
      ['output', 'output', 'required'],
      ['quiet', 'q'],
    ]),
    progressOption,
  ],
};

interface Words {
  action: string;
  cache: ImageCache;
  imageId?: string;
  key?: string;
  olderThan?: number;
  unused: boolean;
  dryRun: boolean;
  output: OutputFormat;
  progress: { progress: boolean; json: boolean; quiet: boolean; own: true };
}

/** Options that each action takes beside --instances and --output. */
const ACTIONS: Record<string, readonly string[]> = {
  list: [],
  verify: ['id', 'key', 'p', 'q'],
  remove: ['id', 'key', 'age', 'unused', 'dry'],
};

function parse(args: string[], ctx: CliContext): Words {
  const options = new VerbOptions(ctx, 'cache', args, spec);
  const given = new Map<string, string>();
  for (const { value, argument } of options) given.set(value, argument);
  const [action, ...rest] = options.operands;
  if (action === undefined || rest.length > 0 || !Object.hasOwn(ACTIONS, action)) {
    throw usageError(ctx, `Expecting one of: cache ${Object.keys(ACTIONS).join(', cache ')}`);
  }
  const stray = [...given.keys()].find(
    (value) => value !== 'instances' && value !== 'output' && !ACTIONS[action].includes(value),
  );
  if (stray !== undefined) {
    const name = spec.long.find(({ value }) => value === stray)?.name;
    throw usageError(ctx, `cache ${action} has no option --${name}`);
  }
  const instances = given.get('instances');
  if (!instances) throw usageError(ctx, `cache ${action} needs --instances`);
  const age = given.get('age');
  return {
    action,
    cache: new ImageCache({ instances }),
    imageId: given.get('id'),
    key: given.get('key'),
    olderThan: age === undefined ? undefined : seconds(age),
    unused: given.has('unused'),
    dryRun: given.has('dry'),
    output: outputFormat(given.get('output')),
    progress: {
      progress: given.has('p'),
      json: given.get('p') === 'json',
      quiet: given.has('q'),
      own: true,
    },
  };
}

const UNITS: Record<string, number> = { '': 1, s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

/** `90`, `30m`, `24h`, `7d`: seconds. */
function seconds(text: string): number {
  const match = /^(\d{1,9})([smhdw]?)$/.exec(text);
  if (!match) {
    throw new CliError(`Invalid age '${text}': a whole number of s, m, h, d or w, such as 24h, is expected`);
  }
  return Number(match[1]) * UNITS[match[2]];
}

function ageText(age: number): string {
  const unit = ['w', 'd', 'h', 'm', 's'].find((name) => age >= 2 * UNITS[name]) ?? 's';
  return `${Math.floor(age / UNITS[unit])}${unit}`;
}

async function list({ cache, output }: Words, ctx: CliContext): Promise<number> {
  const listing = await cache.list({ signal: ctx.signal });
  if (output === 'json') print(ctx, `${JSON.stringify(listing, null, 4)}\n`);
  else print(ctx, table(listing));
  for (const { path, reason } of listing.unreadable) {
    reportWarning(ctx, `'${path}' can't be read, so what it rests on is not known: ${reason}`);
  }
  return 0;
}

function table({ images, others }: CacheListing): string {
  const rows = [['IMAGE ID', 'KEY', 'KIND', 'SIZE', 'ON DISK', 'LAST USED', 'OVERLAYS']];
  for (const image of images) {
    if (image.base) rows.push(row(image, 'base', image.base));
    for (const file of image.resized) rows.push(row(image, 'resized', file));
    for (const file of image.unfinished) rows.push(row(image, 'unfinished', file));
  }
  const widths = rows[0].map((_, column) => Math.max(...rows.map((cells) => cells[column].length)));
  const lines = rows.map((cells) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd(),
  );
  if (others.length > 0) lines.push('', ...others.map((path) => `not ours: ${path}`));
  return `${lines.join('\n')}\n`;
}

function row({ imageId = '-', key }: CachedImage, kind: string, file: CachedFile): string[] {
  const { size, allocated, age, overlays } = file;
  return [
    imageId,
    key,
    kind,
    sizeText(size),
    sizeText(allocated),
    `${ageText(age)} ago`,
    String(overlays.length),
  ];
}

async function verify(words: Words, ctx: CliContext): Promise<number> {
  const { cache, imageId, key, output } = words;
  const display = new ProgressDisplay(ctx, 'verify', words.progress).start();
  let outcomes: VerifyOutcome[];
  try {
    outcomes = await cache.verify({ imageId, key, signal: ctx.signal, onProgress: display.onProgress });
    display.finish(true);
  } finally {
    display.end();
  }
  if (output === 'json') print(ctx, `${JSON.stringify(outcomes, null, 4)}\n`);
  else {
    for (const { path, status, problems } of outcomes) {
      print(ctx, `${path}: ${status}\n`);
      for (const problem of problems) print(ctx, `    ${problem}\n`);
    }
  }
  return outcomes.some(({ status }) => status === 'bad') ? 1 : 0;
}

async function remove(words: Words, ctx: CliContext): Promise<number> {
  const { cache, imageId, key, unused, olderThan, dryRun, output } = words;
  if ((imageId === undefined && key === undefined) === !unused) {
    throw usageError(ctx, 'cache remove needs --image-id, --key or --unused');
  }
  const outcomes = await cache.remove({ imageId, key, unused, olderThan, dryRun, signal: ctx.signal });
  if (output === 'json') print(ctx, `${JSON.stringify(outcomes, null, 4)}\n`);
  else for (const outcome of outcomes) print(ctx, removeLine(outcome, dryRun));
  const kept = outcomes.filter(({ action }) => action !== 'removed');
  if (unused || kept.length === 0) return 0;
  for (const { path, reasons } of kept) reportError(ctx, `'${path}' was kept: ${reasons.join('; ')}`);
  return 1;
}

function removeLine({ path, action, allocated, reasons }: RemoveOutcome, dryRun: boolean): string {
  if (action !== 'removed') return `${path}: kept, ${action} (${reasons.join('; ')})\n`;
  return `${path}: ${dryRun ? 'would be removed' : 'removed'}, ${sizeText(allocated)}\n`;
}

/**
 * `basecow cache list|verify|remove --instances DIR`
 * `verify [--image-id ID | --key SHA1] [-p]`: exit code 1 when a base is not what it was when it was made.
 * `remove --image-id ID | --key SHA1 | --unused [--older-than AGE] [--dry-run]`: what is in use is always kept.
 */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const words = parse(args, ctx);
  if (words.action === 'list') return list(words, ctx);
  return words.action === 'verify' ? verify(words, ctx) : remove(words, ctx);
}
