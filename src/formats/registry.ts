import { requireString } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';
import type { ImageFormat } from '../disk/format.js';
import { qcow2 } from './qcow2/index.js';
import { raw } from './raw/index.js';

const formats: readonly ImageFormat[] = [qcow2, raw];

/** Bytes of the file's start that probing looks at (QEMU: BLOCK_PROBE_BUF_SIZE is 512; cpu of ISO needs more). */
export const PROBE_BYTES = 65536;

/** Names of the formats that images can be opened in. */
export function formatNames(): string[] {
  return formats.map((format) => format.name);
}

/** @throws UNKNOWN_FORMAT naming the format and the known ones; INVALID_ARGUMENT when no format is given. */
export function formatByName(name: string): ImageFormat {
  requireString(name, 'format', 'open');
  const found = formats.find((format) => format.name === name);
  if (found) return found;
  throw new DiskImageError(
    'UNKNOWN_FORMAT',
    `Unknown image format '${name}' (supported: ${formatNames().join(', ')})`,
  );
}

/** The format with the highest score, like QEMU's bdrv_probe_all: raw when nothing else matches. */
export function probeBytes(head: Buffer, fileSize: number): ImageFormat {
  let best: ImageFormat = raw;
  let bestScore = 0;
  for (const format of formats) {
    const score = format.probe(head, fileSize);
    if (score > bestScore) {
      best = format;
      bestScore = score;
    }
  }
  return best;
}
