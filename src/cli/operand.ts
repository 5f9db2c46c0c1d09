import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { likeQemu } from '../disk/gates.js';
import { hasProtocol } from '../disk/names.js';
import { probeFormat } from '../formats/open.js';
import { formatNames } from '../formats/registry.js';
import type { ImageSource } from '../operations/source.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { type DescribedImage, parseImageOpts, parseJsonName } from './imageOpts.js';
import { isOpenFailure, openError } from './messages.js';

export interface OperandOptions {
  /** `-f`. */
  format?: string;
  /** `--image-opts`: the operand describes the image. */
  imageOpts?: boolean;
  /** `-U`. */
  forceShare?: boolean;
  /** Exit code when the image cannot be opened. */
  exitCode?: number;
}

/** An image named on the command line, its format known. */
export interface Operand extends ImageSource {
  /** As it was written. */
  name: string;
  /** The format was not told but guessed from content. */
  probed: boolean;
}

/**
 * What an operand names; without a told format, the format is probed as qemu-img does.
 * @throws CliError `Could not open 'NAME': …`.
 */
export async function resolveOperand(
  ctx: CliContext,
  name: string,
  options: OperandOptions,
): Promise<Operand> {
  const { exitCode = 1 } = options;
  if (options.imageOpts && options.format !== undefined) {
    throw new CliError('--image-opts and --format are mutually exclusive', { exitCode });
  }
  const { path, format: told, forceShare } = describe(name, options, exitCode);
  if (told !== undefined && !formatNames().includes(told)) {
    throw new CliError(`Could not open '${name}': Unknown driver '${told}'`, { exitCode });
  }
  let format = told;
  if (format === undefined) {
    try {
      format = await probeFormat(path);
    } catch (error) {
      throw openError(name, path, toDiskImageError(error, { path, operation: 'open' }), exitCode);
    }
  }
  return {
    name,
    path,
    format,
    probed: told === undefined,
    gate: likeQemu,
    lock: !forceShare,
    secrets: ctx.secrets,
  };
}

function describe(name: string, options: OperandOptions, exitCode: number): DescribedImage {
  const forceShare = options.forceShare ?? false;
  try {
    if (options.imageOpts || name.startsWith('json:')) {
      const image = options.imageOpts ? parseImageOpts(name) : parseJsonName(name);
      const format = image.format ?? options.format;
      return { path: image.path, format, forceShare: image.forceShare || forceShare };
    }
    return { path: localPath(name), format: options.format, forceShare };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    throw new CliError(`Could not open '${name}': ${error.message}`, { exitCode, cause: error });
  }
}

function localPath(name: string): string {
  if (name.startsWith('file:')) return name.slice('file:'.length);
  if (hasProtocol(name)) throw new CliError(`Unknown protocol '${name.slice(0, name.indexOf(':'))}'`);
  if (name === '') throw new CliError("The 'file' block driver requires a file name");
  return name;
}

/** `error` in qemu-img's words if it says that `operand` could not be opened; otherwise as it is. */
export function openErrorOf(error: unknown, operand: Operand, exitCode = 1): unknown {
  if (!(error instanceof DiskImageError) || !isOpenFailure(error)) return error;
  return openError(operand.name, operand.path, error, exitCode);
}

/** `-l PARAM`: `snapshot.id=ID,snapshot.name=NAME` or an id or name. */
export function snapshotSelector(text: string): NonNullable<ImageSource['snapshot']> {
  if (!text.startsWith('snapshot.')) return { idOrName: text };
  const selector: { id?: string; name?: string } = {};
  for (const [name, value] of text.split(',').map((part) => part.split(/=(.*)/s, 2))) {
    if (name === 'snapshot.id') selector.id = value ?? 'on';
    else if (name === 'snapshot.name') selector.name = value ?? 'on';
    else {
      throw new CliError([`Invalid parameter '${name}'`, `Failed in parsing snapshot param '${text}'`]);
    }
  }
  return selector;
}
