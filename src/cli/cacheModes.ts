import type { CacheMode } from '../operations/source.js';
import { CliError } from './errors.js';

const MODES: Readonly<Record<string, CacheMode>> = {
  none: 'none',
  off: 'none',
  directsync: 'directsync',
  writeback: 'writeback',
  writethrough: 'writethrough',
  unsafe: 'unsafe',
};

/** `-t`. @throws CliError in qemu-img's words. */
export function cacheMode(text: string, exitCode = 1): CacheMode {
  return modeOf(text, 'Invalid cache option', exitCode);
}

/** `-T`. @throws CliError in qemu-img's words. */
export function sourceCacheMode(text: string, exitCode = 1): CacheMode {
  return modeOf(text, 'Invalid source cache option', exitCode);
}

function modeOf(text: string, complaint: string, exitCode: number): CacheMode {
  if (Object.hasOwn(MODES, text)) return MODES[text];
  throw new CliError(`${complaint}: ${text}`, { exitCode });
}
