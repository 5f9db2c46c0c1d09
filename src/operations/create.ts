import { requireString } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';
import type { CreateOptions, CreateOutcome, ImageFormat } from '../disk/format.js';
import type { Gate } from '../disk/gate.js';
import { type GateSpec, resolveGate } from '../disk/gates.js';
import { type Limits, resolveLimits } from '../disk/limits.js';
import { OptionValues, requestedSize } from '../formats/optionText.js';
import { formatByName } from '../formats/registry.js';
import { type TypedCreateOptions, textOptions } from './createOptions.js';
import { type JobSettings, runJob } from './job.js';
import { backingSize, checkBackingName, formatMissing, type NewBacking } from './newBacking.js';

export interface CreateImageOptions extends TypedCreateOptions, JobSettings {
  /** Format name, such as `raw` or `qcow2`. */
  format: string;
  /** Virtual size, bytes; rounded up to 512. Default: the backing file's. */
  size?: number;
  /** Name of the base image, as it is to be stored; relative to the new image's directory. */
  backingFile?: string;
  /** Required with a backing file: the format is recorded, never guessed. */
  backingFormat?: string;
  /** `-u`: do not look at the backing file; `size` is required then. */
  unsafe?: boolean;
  /** Rules for the backing and data file; default `local`. */
  gate?: Gate | GateSpec;
  limits?: Partial<Limits>;
  /** One fdatasync before the name appears. Default true. */
  sync?: boolean;
  /** QEMU's locks: on an existing target, and while the backing file is looked at. Default true. */
  lock?: boolean;
  /** Called once with QEMU's `Formatting` pairs when the options are parsed, before anything is made. */
  announce?: (effective: CreateOutcome['effective']) => void;
}

/**
 * Makes a new image; an existing file of that name is replaced, unless a process uses it. The image appears under its
 * name whole or not at all.
 * @throws UNKNOWN_FORMAT, UNSUPPORTED_OPERATION, INVALID_ARGUMENT, UNSUPPORTED_FEATURE, LIMIT_EXCEEDED, BACKING_*,
 * LOCKED, TARGET_TOO_SMALL (devices), IO, CANCELLED.
 */
export function createImage(path: string, options: CreateImageOptions): Promise<CreateOutcome> {
  return runJob('create', options, async (job) => {
    requireString(path, 'path', 'create');
    const format = creatable(options.format);
    const gate = resolveGate(options.gate);
    const { text, backing } = creationOptions(path, format, options);
    const size = await virtualSize(path, format, text, backing, options, gate);
    return await format.create(path, {
      size,
      options: text,
      gate,
      limits: resolveLimits(options.limits),
      announce: options.announce,
      sync: options.sync ?? true,
      lock: options.lock ?? true,
      control: job.control,
    });
  });
}

export type CreatableFormat = ImageFormat & Required<Pick<ImageFormat, 'create' | 'createOptions'>>;

/** @throws UNKNOWN_FORMAT, UNSUPPORTED_OPERATION. */
export function creatable(name: string): CreatableFormat {
  const format = formatByName(name);
  if (format.create && format.createOptions) return format as CreatableFormat;
  throw new DiskImageError(
    'UNSUPPORTED_OPERATION',
    `Format driver '${name}' does not support image creation`,
    { operation: 'create' },
  );
}

/** Text options with the backing file among them, checked as far as no file is needed. */
export function creationOptions(
  path: string,
  format: CreatableFormat,
  request: TypedCreateOptions & Pick<CreateImageOptions, 'backingFile' | 'backingFormat' | 'format'>,
): { text: CreateOptions; backing: NewBacking | undefined } {
  const text: Record<string, string> = { ...textOptions(request) };
  if (request.backingFile !== undefined) requireString(request.backingFile, 'backingFile', 'create');
  new OptionValues(format.createOptions, text, path);
  const add = (name: string, what: string, value: string | undefined) => {
    if (value === undefined) return;
    if (!format.createOptions.some((spec) => spec.name === name)) {
      throw new DiskImageError(
        'INVALID_ARGUMENT',
        `${what} not supported for file format '${request.format}'`,
        { path, operation: 'create' },
      );
    }
    text[name] = value;
  };
  add('backing_file', 'Backing file', request.backingFile);
  add('backing_fmt', 'Backing format', request.backingFormat);
  if (text.backing_file === undefined) return { text, backing: undefined };
  const backing = { name: text.backing_file, format: text.backing_fmt };
  checkBackingName(path, backing);
  return { text, backing };
}

/** Opens the backing file even when the size is known: it must be there, and be what it is said to be. */
async function virtualSize(
  path: string,
  format: CreatableFormat,
  text: CreateOptions,
  backing: NewBacking | undefined,
  options: CreateImageOptions,
  gate: Gate,
): Promise<number | undefined> {
  const told = options.size !== undefined || text.size !== undefined;
  if (told) requestedSize(new OptionValues(format.createOptions, text, path), options.size, path);
  if (!backing) return options.size;
  if (options.unsafe) {
    if (backing.format === undefined) throw formatMissing(path);
    return options.size;
  }
  const inherited = await backingSize(path, backing, { gate, limits: options.limits, lock: options.lock });
  return told ? options.size : inherited;
}
