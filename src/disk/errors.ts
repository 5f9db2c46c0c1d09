/**
 * Stable classification of everything that can go wrong with a disk image. Callers match on `code`; the
 * sentence in `message` is for people and may change.
 */
export type DiskImageErrorCode =
  | 'NOT_QCOW2' // wrong magic
  | 'TRUNCATED' // a structure the image needs lies past the end of the file
  | 'UNSUPPORTED_VERSION'
  | 'UNSUPPORTED_FEATURE' // legal, named, not supported (encryption, unknown incompatible bits)
  | 'INVALID_HEADER'
  | 'CORRUPT_IMAGE'
  | 'LIMIT_EXCEEDED' // a claim larger than a Limits value, refused before allocation
  | 'BACKING_NOT_FOUND'
  | 'BACKING_DENIED' // refused by the gate
  | 'BACKING_CYCLE'
  | 'BACKING_TOO_DEEP'
  | 'BACKING_FORMAT_MISSING'
  | 'BACKING_FORMAT_UNSUPPORTED'
  | 'UNKNOWN_FORMAT' // no such format driver
  | 'UNSUPPORTED_OPERATION' // the format has no such ability
  | 'SNAPSHOT_NOT_FOUND'
  | 'INVALID_ARGUMENT'
  | 'LOCKED' // another process holds a conflicting image lock
  | 'TARGET_TOO_SMALL'
  | 'SOURCE_CHANGED' // the source shrank or was replaced while it was read
  | 'IO' // errno and syscall are set
  | 'CANCELLED'
  | 'DIGEST_MISMATCH'
  | 'IMAGE_UNSAFE' // inspection refused the content
  | 'IMAGE_TOO_LARGE' // virtual size above what the caller allowed
  | 'DOWNLOAD_FAILED'
  | 'WORKER_DIED';

export interface DiskImageErrorDetails {
  /** File the error is about, as the caller named it. */
  path?: string;
  /** Host byte offset in `path`, where one is known. */
  offset?: number;
  /** Verb that failed: `open`, `create`, `convert`, … */
  operation?: string;
  /** errno name for `IO`, such as `ENOSPC`. */
  errno?: string;
  /** System call for `IO`. */
  syscall?: string;
  /** The image that was asked for when it, or a layer below it, could not be opened. */
  image?: string;
  /** Which layer of `image` could not be opened: 0 itself, 1 its backing file, … */
  layer?: number;
  cause?: unknown;
}

/** The only error class basecow throws on purpose. */
export class DiskImageError extends Error {
  override readonly name = 'DiskImageError';
  readonly code: DiskImageErrorCode;
  readonly path?: string;
  readonly offset?: number;
  readonly operation?: string;
  readonly errno?: string;
  readonly syscall?: string;
  readonly image?: string;
  readonly layer?: number;

  constructor(code: DiskImageErrorCode, message: string, details: DiskImageErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.path = details.path;
    this.offset = details.offset;
    this.operation = details.operation;
    this.errno = details.errno;
    this.syscall = details.syscall;
    this.image = details.image;
    this.layer = details.layer;
  }
}

/** Notes which layer of which chain could not be opened. What an inner layer noted stays. */
export function noteLayer(
  error: DiskImageError,
  { image, layer }: Pick<DiskImageErrorDetails, 'image' | 'layer'>,
): DiskImageError {
  return Object.assign(error, { image: error.image ?? image, layer: error.layer ?? layer });
}

interface SystemErrorLike {
  code?: unknown;
  syscall?: unknown;
  message: string;
}

/**
 * Turns any thrown value into a DiskImageError; one that is already is returned as it is. System errors from
 * Node and from the addon (both carry `code` = errno name and `syscall`) become `IO`.
 */
export function toDiskImageError(error: unknown, details: DiskImageErrorDetails = {}): DiskImageError {
  if (error instanceof DiskImageError) return error;
  if (error instanceof Error) {
    const { code, syscall } = error as SystemErrorLike;
    if (code === 'ABORT_ERR' || error.name === 'AbortError' || code === 'ECANCELED') {
      return new DiskImageError('CANCELLED', `${details.operation ?? 'operation'} was cancelled`, {
        ...details,
        cause: error,
      });
    }
    // Node's and the addon's words for a wrong argument.
    if (typeof code === 'string' && /^ERR_(INVALID_ARG|OUT_OF_RANGE)/.test(code)) {
      return new DiskImageError('INVALID_ARGUMENT', error.message, { ...details, cause: error });
    }
    if (code === 'BASECOW_CORRUPT') {
      return new DiskImageError('CORRUPT_IMAGE', error.message, { ...details, cause: error });
    }
    if (code === 'BASECOW_SHRANK') {
      return new DiskImageError('SOURCE_CHANGED', error.message, { ...details, cause: error });
    }
    return new DiskImageError('IO', error.message, {
      ...details,
      errno: typeof code === 'string' ? code : undefined,
      syscall: typeof syscall === 'string' ? syscall : undefined,
      cause: error,
    });
  }
  return new DiskImageError('IO', String(error), { ...details, cause: error });
}
