// DiskImageErrors in qemu-img's words. Where qemu-img has no sentence, the error's own is printed.
import { DiskImageError } from '../disk/errors.js';
import { resolveStoredName } from '../disk/names.js';
import { errnoText } from './errno.js';
import { CliError } from './errors.js';

/** glibc's strerror for the system error behind `error`; its own sentence when there is none. */
export function systemText(error: DiskImageError): string {
  return (error.errno && errnoText(error.errno)) ?? error.message;
}

/** What follows `Could not open 'F': ` when opening `path` failed. */
export function openCause(error: DiskImageError, path: string): string {
  switch (error.code) {
    case 'IO':
      return error.errno && isOpening(error)
        ? inLayer(error, path, `Could not open '${error.path ?? path}': ${systemText(error)}`)
        : inLayer(error, path, systemText(error));
    case 'BACKING_NOT_FOUND': {
      const cause = `Could not open '${error.path}': ${systemText(error)}`;
      return error.message.startsWith('Data file') ? cause : `Could not open backing file: ${cause}`;
    }
    case 'BACKING_FORMAT_UNSUPPORTED':
      return `Could not open backing file: Unknown driver '${lastQuoted(error.message)}'`;
    case 'UNKNOWN_FORMAT':
      return `Unknown driver '${/'([^']*)'/.exec(error.message)?.[1] ?? ''}'`;
    case 'NOT_QCOW2':
      return inLayer(error, path, 'Image is not in qcow2 format');
    case 'UNSUPPORTED_VERSION':
      return inLayer(
        error,
        path,
        `Unsupported qcow2 version ${/\d+/.exec(error.message.replace('qcow2', ''))?.[0]}`,
      );
    case 'INVALID_ARGUMENT':
      return inLayer(error, path, notRegular(error) ?? error.message);
    default:
      return inLayer(error, path, error.message);
  }
}

/** `Could not open 'NAME': …`; `path` is what NAME resolved to. */
export function openError(name: string, path: string, error: DiskImageError, exitCode = 1): CliError {
  return new CliError(`Could not open '${name}': ${openCause(error, path)}`, { exitCode, cause: error });
}

/** QEMU says so when the failing layer is not the image itself. */
function inLayer(error: DiskImageError, path: string, cause: string): string {
  const below = error.path !== undefined && error.path !== path;
  return below ? `Could not open backing file: ${cause}` : cause;
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

/**
 * What follows `FILE: ` when the image `path` could not be made (`backing`: the name of its backing file); undefined
 * for what is no failure of making it.
 */
export function creationText(error: unknown, path: string, backing?: string): string | undefined {
  if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') return undefined;
  if (error.message.endsWith(BACKING_HINT) && error.cause instanceof DiskImageError) {
    return backingText(error.cause, path, backing) + BACKING_HINT;
  }
  if (error.code === 'BACKING_FORMAT_MISSING' || error.code === 'LOCKED') return error.message;
  if (error.code === 'IO' && error.errno) {
    const opening = error.path === undefined || error.path === path;
    return opening ? `Could not create '${path}': ${systemText(error)}` : error.message;
  }
  return notRegular(error) ?? error.message;
}

/** The backing file is what is being opened here: only failures below it are `Could not open backing file`. */
function backingText(error: DiskImageError, path: string, backing: string | undefined): string {
  const direct = backing === undefined ? undefined : resolveStoredName(backing, path);
  const cause = openCause(error, error.path ?? path).replace(/^Could not open backing file: /, '');
  const below = direct !== undefined && error.path !== undefined && error.path !== direct;
  return below && error.path !== path ? `Could not open backing file: ${cause}` : cause;
}
