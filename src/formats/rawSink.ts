import type { TargetRequest } from '../disk/format.js';
import type { GuestFile } from '../disk/guestFile.js';
import type { RawSink } from '../native.js';

/**
 * The sink of targets that let the engine put bytes where they belong in `file`. `shift`: bytes from guest to host
 * offsets where a batch has no placement. In an encrypted file a hole does not read as zeros: zeros are written there,
 * and nobody looks for them.
 */
export function rawSink(
  file: Pick<GuestFile, 'fd' | 'path' | 'cipher'>,
  request: Pick<TargetRequest, 'sparseSize' | 'dropCache'>,
  zeros: RawSink['zeros'],
  shift = 0,
): RawSink {
  const { fd, path, cipher } = file;
  return {
    type: 'raw',
    fd,
    path,
    shift,
    detectZeros: cipher ? 0 : request.sparseSize,
    zeros: cipher ? 'write' : zeros,
    offload: false,
    dropCache: request.dropCache,
    ...(cipher && { cipher }),
  };
}
