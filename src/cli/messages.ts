// DiskImageErrors in qemu-img's words. Where qemu-img has no sentence, the error's own is printed.
import { DiskImageError } from '../disk/errors.js';
import { errnoText } from './errno.js';
import { CliError } from './errors.js';

/** glibc's strerror for the system error behind `error`; its own sentence when there is none. */
export function systemText(error: DiskImageError): string {
  return (error.errno && errnoText(error.errno)) ?? error.message;
}

/** What follows `Could not open 'F': ` when opening `path` failed; QEMU repeats one sentence for every layer above. */
export function openCause(error: DiskImageError, path: string): string {
  return 'Could not open backing file: '.repeat(error.layer ?? 0) + ownCause(error, path);
}

/** What was wrong with the layer itself. */
function ownCause(error: DiskImageError, path: string): string {
  switch (error.code) {
    case 'IO':
      return error.errno && isOpening(error)
        ? `Could not open '${error.path ?? path}': ${systemText(error)}`
        : systemText(error);
    case 'BACKING_NOT_FOUND':
      return `Could not open '${error.path}': ${systemText(error)}`;
    case 'BACKING_FORMAT_UNSUPPORTED':
      return `Unknown driver '${lastQuoted(error.message)}'`;
    case 'UNKNOWN_FORMAT':
      return `Unknown driver '${/'([^']*)'/.exec(error.message)?.[1] ?? ''}'`;
    case 'NOT_QCOW2':
      return 'Image is not in qcow2 format';
    case 'UNSUPPORTED_VERSION':
      return `Unsupported qcow2 version ${/\d+/.exec(error.message.replace('qcow2', ''))?.[0]}`;
    case 'INVALID_ARGUMENT':
      return notRegular(error) ?? error.message;
    default:
      return error.message;
  }
}

/** `Could not open 'NAME': …`; `path` is what NAME resolved to. */
export function openError(name: string, path: string, error: DiskImageError, exitCode = 1): CliError {
  return new CliError(`Could not open '${name}': ${openCause(error, path)}`, { exitCode, cause: error });
}

function isOpening(error: DiskImageError): boolean {
  return error.syscall === undefined || error.syscall === 'open';
}

function lastQuoted(message: string): string {
  return /'([^']*)'[^']*$/.exec(message)?.[1] ?? message;
}

/** A directory, FIFO or such where a file should be. */
export function notRegular(error: DiskImageError): string | undefined {
  const match = /^'(.*)' is neither a regular file nor a block device$/s.exec(error.message);
  return match ? `'file' driver requires '${match[1]}' to be a regular file` : undefined;
}

const OPEN_CODES = new Set([
  'NOT_QCOW2',
  'UNSUPPORTED_VERSION',
  'UNSUPPORTED_FEATURE',
  'INVALID_HEADER',
  'LIMIT_EXCEEDED',
  'BACKING_NOT_FOUND',
  'BACKING_DENIED',
  'BACKING_CYCLE',
  'BACKING_TOO_DEEP',
  'BACKING_FORMAT_MISSING',
  'BACKING_FORMAT_UNSUPPORTED',
  'UNKNOWN_FORMAT',
  'LOCKED',
]);

/** True when the image could not even be opened (rather than read or written later). */
export function isOpenFailure(error: DiskImageError): boolean {
  return (
    error.layer !== undefined ||
    OPEN_CODES.has(error.code) ||
    error.operation === 'open' ||
    (error.code === 'IO' && error.syscall === 'open') ||
    notRegular(error) !== undefined
  );
}

/** `SNAPSHOT_NOT_FOUND` as convert and measure say it. */
export function snapshotError(error: DiskImageError, format: string): CliError {
  const cause =
    format === 'raw'
      ? "Block format 'raw' used by device '' does not support temporarily loading internal snapshots"
      : "Can't find snapshot";
  return new CliError(`Failed to load snapshot: ${cause}`, { cause: error });
}

const BACKING_HINT = '\nCould not open backing image.';

/** What follows `FILE: ` when the image `path` could not be made; undefined for what is no failure of making it. */
export function creationText(error: unknown, path: string): string | undefined {
  if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') return undefined;
  if (error.message.endsWith(BACKING_HINT) && error.cause instanceof DiskImageError) {
    return backingText(error.cause, path) + BACKING_HINT;
  }
  if (error.code === 'BACKING_FORMAT_MISSING' || error.code === 'LOCKED') return error.message;
  if (path === '') return `Could not create '': ${errnoText('ENOENT')}`;
  if (error.code === 'IO' && error.errno) {
    const opening = error.path === undefined || error.path === path;
    return opening ? `Could not create '${path}': ${systemText(error)}` : error.message;
  }
  return notRegular(error) ?? error.message;
}

/** The backing file is what is being opened here: only failures below it are `Could not open backing file`. */
function backingText(error: DiskImageError, path: string): string {
  const above = Math.max(0, (error.layer ?? 1) - 1);
  return 'Could not open backing file: '.repeat(above) + ownCause(error, error.path ?? path);
}
