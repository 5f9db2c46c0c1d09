import type { TargetRequest } from '../disk/format.js';
import type { HostFile } from '../disk/hostFile.js';
import type { RawSink } from '../native.js';

/**
 * The sink of targets that let the engine put bytes where they belong in `file`. `shift`: bytes from guest to host
 * offsets where a batch has no placement.
 */
export function rawSink(
  file: Pick<HostFile, 'fd' | 'path'>,
  request: Pick<TargetRequest, 'sparseSize' | 'dropCache'>,
  zeros: RawSink['zeros'],
  shift = 0,
): RawSink {
  return {
    type: 'raw',
    fd: file.fd,
    path: file.path,
    shift,
    detectZeros: request.sparseSize,
    zeros,
    offload: false,
    dropCache: request.dropCache,
  };
}
