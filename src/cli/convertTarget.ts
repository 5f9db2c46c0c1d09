// What convert is to write to: checked in qemu-img's order and words before anything is made.
import { DiskImageError } from '../disk/errors.js';
import { OptionValues } from '../formats/optionText.js';
import { formatByName } from '../formats/registry.js';
import type { ConvertTargetSpec } from '../operations/convert.js';
import type { CliContext } from './context.js';
import type { ConvertWords } from './convertOptions.js';
import { requireCreatable, requireLocalName } from './createOptions.js';
import { CliError } from './errors.js';
import { type Operand, resolveOperand } from './operand.js';

/** @throws CliError in qemu-img's words. */
export async function convertTarget(
  words: ConvertWords,
  sources: readonly Operand[],
  ctx: CliContext,
): Promise<ConvertTargetSpec> {
  const spec = words.noCreate ? await existingTarget(words, ctx) : newTarget(words);
  const backing = spec.backing ?? (words.noCreate ? overlayOf(words) : undefined);
  if (words.targetIsZero && backing) {
    throw new CliError('Cannot use --target-is-zero when the destination image has a backing file');
  }
  if (sources.length > 1 && backing) {
    throw new CliError(
      'Having a backing file for the target makes no sense when concatenating multiple input images',
    );
  }
  if (!words.noCreate && backing && backing.format === undefined) {
    throw new CliError('Use of backing file requires explicit backing format');
  }
  if (words.compress) checkCompression(spec);
  return { ...spec, backing };
}

async function existingTarget(words: ConvertWords, ctx: CliContext): Promise<ConvertTargetSpec> {
  if (words.targetImageOpts) {
    const { path, format } = await resolveOperand(ctx, words.target, {
      format: words.targetFormat,
      imageOpts: true,
    });
    return { path, format };
  }
  const { path, format } = await resolveOperand(ctx, words.target, { format: words.targetFormat ?? 'raw' });
  return { path, format };
}

function overlayOf(words: ConvertWords): ConvertTargetSpec['backing'] {
  return words.backingFile === undefined
    ? undefined
    : { path: words.backingFile, format: words.backingFormat };
}

function newTarget(words: ConvertWords): ConvertTargetSpec {
  const format = words.targetFormat ?? 'raw';
  const specs = requireCreatableTarget(format, words.target);
  const path = requireLocalName(words.target);
  const options: Record<string, string> = { ...words.lists.values };
  try {
    new OptionValues(specs, options, path);
  } catch (error) {
    throw error instanceof DiskImageError ? new CliError(error.message, { cause: error }) : error;
  }
  const takes = (name: string) => specs.some((one) => one.name === name);
  if (words.backingFile !== undefined && !takes('backing_file')) {
    throw new CliError(`Backing file not supported for file format '${format}'`);
  }
  if (words.backingFormat !== undefined && !takes('backing_fmt')) {
    throw new CliError(`Backing file format not supported for file format '${format}'`);
  }
  const backingFile = words.backingFile ?? options.backing_file;
  const backingFormat = words.backingFormat ?? options.backing_fmt;
  // The size is the source's, whatever -o says; the backing file goes by its own field.
  for (const name of ['size', 'backing_file', 'backing_fmt']) delete options[name];
  if (backingFile === undefined) return { path, format, options };
  return { path, format, options, backing: { path: backingFile, format: backingFormat } };
}

function requireCreatableTarget(format: string, target: string) {
  const specs = requireCreatable(format);
  requireLocalName(target);
  return specs;
}

function checkCompression({ format, options = {} }: ConvertTargetSpec): void {
  // A format that compresses lets one choose with what.
  if (!formatByName(format).createOptions?.some(({ name }) => name === 'compression_type')) {
    throw new CliError('Compression not supported for this file format');
  }
  if (/^(on|yes|true|y)$/.test(options.encryption ?? '') || options['encrypt.format'] !== undefined) {
    throw new CliError('Compression and encryption not supported at the same time');
  }
  if (options.preallocation !== undefined && options.preallocation !== 'off') {
    throw new CliError('Compression and preallocation not supported at the same time');
  }
}
