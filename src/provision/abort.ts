import { DiskImageError } from '../disk/errors.js';

/** @throws CANCELLED once `signal` has aborted, whatever its reason. */
export function throwIfAborted(signal: AbortSignal | undefined, operation: string): void {
  if (!signal?.aborted) return;
  throw new DiskImageError('CANCELLED', `${operation} was cancelled`, { operation, cause: signal.reason });
}
