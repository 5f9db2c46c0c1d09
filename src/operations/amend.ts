import { requireObject, requireString } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';
import type { CreateOptionSpec, CreateOptions, ImageFormat } from '../disk/format.js';
import { openDisk } from '../formats/open.js';
import { formatByName } from '../formats/registry.js';
import { type JobSettings, runJob } from './job.js';
import { type NamedImage, openingOf } from './source.js';

export interface AmendRequest extends NamedImage {
  /** By QEMU's names, values as text: `{ compat: '1.1', refcount_bits: '64' }`. */
  options: CreateOptions;
}

/**
 * Changes options of an existing image: version, refcount width, lazy refcounts, size, data file. Each option is changed
 * whole or not at all, whenever the machine stops; what cannot be done is refused before anything is changed.
 * @throws UNSUPPORTED_OPERATION for formats that cannot be amended and what the new version cannot hold;
 * INVALID_ARGUMENT, LOCKED, LIMIT_EXCEEDED, CORRUPT_IMAGE, IO, and what opening throws.
 */
export function amend(request: AmendRequest, settings: JobSettings = {}): Promise<void> {
  return runJob('amend', settings, async ({ control }) => {
    requireObject(request, 'the request', 'amend');
    requireString(request.path, 'path', 'amend');
    requireObject(request.options, 'options', 'amend');
    const disk = await openDisk(request.path, { ...openingOf(request), writable: true });
    try {
      await amendable(request.format).amend(disk, request.options, control);
    } finally {
      await disk.close();
    }
  });
}

/**
 * Options that `amend` takes for this format.
 * @throws UNKNOWN_FORMAT; UNSUPPORTED_OPERATION for formats that cannot be amended.
 */
export function amendOptionSpecs(format: string): readonly CreateOptionSpec[] {
  return amendable(format).amendOptions;
}

function amendable(name: string): ImageFormat & Required<Pick<ImageFormat, 'amend' | 'amendOptions'>> {
  const format = formatByName(name);
  if (format.amend && format.amendOptions) {
    return format as ImageFormat & Required<Pick<ImageFormat, 'amend' | 'amendOptions'>>;
  }
  throw new DiskImageError(
    'UNSUPPORTED_OPERATION',
    `Format driver '${name}' does not support option amendment`,
    { operation: 'amend' },
  );
}
