import type { Test } from 'tap';
import { DiskImageError, type DiskImageErrorCode } from '#src/disk/errors.js';

/** Asserts that a promise fails with a DiskImageError of this code whose message has all of `says`; returns it. */
export async function failsWith(
  t: Test,
  promise: Promise<unknown>,
  code: DiskImageErrorCode,
  ...says: (string | RegExp)[]
): Promise<DiskImageError> {
  const error = await promise.then(
    () => new Error('it succeeded'),
    (thrown) => thrown,
  );
  t.ok(error instanceof DiskImageError, `${code}: is a DiskImageError (${error})`);
  t.equal(error.code, code);
  for (const text of says) t.match(error.message, text);
  return error as DiskImageError;
}
