// DiskImageError across threads: structured clone would keep the message only.
import { DiskImageError, type DiskImageErrorCode, toDiskImageError } from '../disk/errors.js';

export interface PackedError {
  code: DiskImageErrorCode;
  message: string;
  stack?: string;
  path?: string;
  offset?: number;
  operation?: string;
  errno?: string;
  syscall?: string;
  image?: string;
  layer?: number;
  cause?: PackedError | Error;
  /** Of an AggregateError. */
  errors?: PackedError[];
}

export function packError(thrown: unknown): PackedError {
  const error = toDiskImageError(thrown);
  const { code, message, stack, cause } = error;
  const { path, offset, operation, errno, syscall, image, layer } = error;
  const details = { path, offset, operation, errno, syscall, image, layer };
  return { code, message, stack, ...details, ...packCause(cause) };
}

function packCause(cause: unknown): Pick<PackedError, 'cause' | 'errors'> {
  if (cause instanceof AggregateError) return { errors: cause.errors.map(packError) };
  if (cause instanceof DiskImageError) return { cause: packError(cause) };
  // Plain errors clone as they are, without the own fields that the packed error repeats already.
  if (cause instanceof Error) return { cause };
  return {};
}

export function unpackError(packed: PackedError): DiskImageError {
  const { code, message, stack, cause, errors, ...details } = packed;
  const error = new DiskImageError(code, message, {
    ...details,
    cause: errors
      ? new AggregateError(errors.map(unpackError))
      : isPacked(cause)
        ? unpackError(cause)
        : cause,
  });
  if (stack !== undefined) error.stack = stack;
  return error;
}

function isPacked(cause: PackedError | Error | undefined): cause is PackedError {
  return cause !== undefined && !(cause instanceof Error);
}
