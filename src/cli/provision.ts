import type { Effort } from '../operations/job.js';
import type { Digests } from '../provision/digests.js';
import { ImageCache } from '../provision/imageCache.js';
import type { ProvisionOutcome } from '../provision/requests.js';
import type { CliContext } from './context.js';
import { effortOptions, takeEffort } from './effort.js';
import { CliError } from './errors.js';
import { type OutputFormat, outputFormat, print, reportWarning } from './output.js';
import { sizeArgument } from './sizes.js';
import { StepDisplay } from './steps.js';
import { longOptions, progressOption, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'hpq',
  long: [
    ...longOptions([
      ['image-id', 'id', 'required'],
      ['source', 'source', 'required'],
      ['source-format', 'format', 'required'],
      ['md5', 'md5', 'required'],
      ['sha256', 'sha256', 'required'],
      ['sha512', 'sha512', 'required'],
      ['size', 'size', 'required'],
      ['instances', 'instances', 'required'],
      ['instance', 'instance', 'required'],
      ['image-type', 'type', 'required'],
      ['resize', 'resize', 'required'],
      ['output', 'output', 'required'],
      ['quiet', 'q'],
    ]),
    ...effortOptions,
    progressOption,
  ],
};

interface Words {
  given: Map<string, string>;
  digests: Digests;
  output: OutputFormat;
  progress: boolean;
  jsonProgress: boolean;
  quiet: boolean;
  effort: Effort;
}

function parse(args: string[], ctx: CliContext): Words {
  const words: Words = {
    given: new Map(),
    digests: {},
    output: 'human',
    progress: false,
    jsonProgress: false,
    quiet: false,
    effort: {},
  };
  const options = new VerbOptions(ctx, 'provision', args, spec);
  for (const { value, argument } of options) {
    if (value === 'p') {
      words.progress = true;
      words.jsonProgress = argument === 'json';
    } else if (value === 'q') words.quiet = true;
    else if (value === 'output') words.output = outputFormat(argument);
    else if (value === 'md5' || value === 'sha256' || value === 'sha512') words.digests[value] = argument;
    else if (!takeEffort(words.effort, value, argument, ctx)) words.given.set(value, argument);
  }
  if (options.operands.length > 0) throw usageError(ctx, `Unexpected argument: ${options.operands[0]}`);
  for (const [name, value] of [
    ['image-id', 'id'],
    ['source', 'source'],
    ['size', 'size'],
    ['instances', 'instances'],
    ['instance', 'instance'],
  ]) {
    if (!words.given.get(value)) throw usageError(ctx, `provision needs --${name}`);
  }
  return words;
}

function choice<T extends string>(
  option: string,
  text: string | undefined,
  allowed: readonly T[],
): T | undefined {
  if (text === undefined || allowed.includes(text as T)) return text as T | undefined;
  throw new CliError(`--${option} must be used with ${allowed.join(' or ')} as argument.`);
}

/** Keys in a fixed order, in qemu-img's manner; sizes in bytes, times in milliseconds. */
function jsonText(outcome: ProvisionOutcome): string {
  const fields = {
    disk: outcome.disk,
    format: outcome.format,
    'virtual-size': outcome.diskSize,
    existed: outcome.existed,
    'image-id': outcome.imageId,
    instance: outcome.instance,
    base: outcome.base,
    'base-size': outcome.virtualSize,
    'backing-filename': outcome.backing,
    cached: outcome.cached,
    verified: outcome.verified,
    unverified: outcome.unverified,
    steps: outcome.steps.map(({ step, ms }) => ({ step, ms: Number(ms.toFixed(3)) })),
  };
  return `${JSON.stringify(fields, null, 4)}\n`;
}

/**
 * `basecow provision --image-id ID --source PATH|URL [--source-format FMT] [--md5 HEX] [--sha256 HEX] [--sha512 HEX]
 * --size SIZE --instances DIR --instance NAME [--image-type qcow2|raw] [--resize base|overlay] [-p] [-q]
 * [--output human|json]`: from an image to an instance's disk.
 */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const { given, digests, output, progress, jsonProgress, quiet, effort } = parse(args, ctx);
  const bytes = sizeArgument('image size', given.get('size') ?? '', (message) => reportWarning(ctx, message));
  const steps = new StepDisplay(ctx, 'provision', {
    progress,
    json: jsonProgress,
    quiet,
    lines: output === 'human' && !quiet,
  });
  const cache = new ImageCache({ instances: given.get('instances') ?? '' });
  let outcome: ProvisionOutcome;
  try {
    outcome = await cache.provision(
      {
        imageId: given.get('id') ?? '',
        source: given.get('source'),
        sourceFormat: given.get('format'),
        digests,
        size: Number(bytes),
        instance: given.get('instance') ?? '',
        imageType: choice('image-type', given.get('type'), ['qcow2', 'raw']),
        resize: choice('resize', given.get('resize'), ['base', 'overlay']),
      },
      { ...effort, signal: ctx.signal, onEvent: steps.onEvent },
    );
  } finally {
    steps.end();
  }
  if (outcome.unverified.length > 0) {
    const names = outcome.unverified.join(', ');
    reportWarning(ctx, `the base was in the cache already, made without ${names}: not verified`);
  }
  if (output === 'json') print(ctx, jsonText(outcome));
  else {
    if (outcome.existed) reportWarning(ctx, `'${outcome.disk}' was there already and is left as it is`);
    print(ctx, `${outcome.disk}\n`);
  }
  return 0;
}
