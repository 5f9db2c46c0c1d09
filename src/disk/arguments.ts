// What a compiler checks for TypeScript callers, told to JavaScript callers by name.
import { DiskImageError } from './errors.js';

/** @throws INVALID_ARGUMENT unless `value` is an object (no array, no function). */
export function requireObject(value: unknown, what: string, operation: string): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw wrong(what, 'an object', value, operation);
}

/** @throws INVALID_ARGUMENT unless `value` is an array. */
export function requireArray(value: unknown, what: string, operation: string): void {
  if (!Array.isArray(value)) throw wrong(what, 'an array', value, operation);
}

/** @throws INVALID_ARGUMENT unless `value` is a string; URLs and Buffers are no paths here. */
export function requireString(value: unknown, what: string, operation: string): void {
  if (typeof value !== 'string') throw wrong(what, 'a string', value, operation);
}

/** @throws INVALID_ARGUMENT unless `value` is a Buffer or another Uint8Array. */
export function requireBuffer(value: unknown, what: string, operation: string): void {
  if (!(value instanceof Uint8Array)) throw wrong(what, 'a Buffer or Uint8Array', value, operation);
}

/** @throws INVALID_ARGUMENT unless `value` is undefined or a function. */
export function requireFunction(value: unknown, what: string, operation: string): void {
  if (value !== undefined && typeof value !== 'function') throw wrong(what, 'a function', value, operation);
}

/** @throws INVALID_ARGUMENT unless `value` is undefined or among `allowed`. */
export function requireOneOf(
  value: unknown,
  allowed: readonly unknown[],
  what: string,
  operation: string,
): void {
  if (value !== undefined && !allowed.includes(value)) {
    throw wrong(what, `one of ${allowed.join(', ')}`, value, operation);
  }
}

/** @throws INVALID_ARGUMENT unless `value` is a whole number of bytes from 0 to 2^53 - 1. */
export function requireBytes(value: unknown, what: string, operation: string): void {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw wrong(what, 'a whole number of bytes from 0 to 2^53 - 1', value, operation);
  }
}

/** @throws INVALID_ARGUMENT unless [start, end) lies in [0, size], all bytes. */
export function requireRange(
  start: number,
  end: number,
  size: number,
  details: { path: string; operation: string },
): void {
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end && end <= size)
    return;
  throw new DiskImageError(
    'INVALID_ARGUMENT',
    `Bytes ${start} to ${end} lie outside the disk of ${size} bytes`,
    details,
  );
}

function wrong(what: string, expected: string, value: unknown, operation: string): DiskImageError {
  const got = typeof value === 'string' ? `'${value.slice(0, 200)}'` : describe(value);
  return new DiskImageError('INVALID_ARGUMENT', `${what} must be ${expected}, not ${got}`, { operation });
}

function describe(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  return `[${value.constructor?.name ?? 'object'}]`;
}
