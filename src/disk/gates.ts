import { realpathSync, statSync } from 'node:fs';
import { sep } from 'node:path';
import { DiskImageError } from './errors.js';
import type { Gate, GateVerdict, ImplicitOpen } from './gate.js';

/** Nothing may be opened on an image's word: for untrusted images. */
export const denyAll: Gate = (request) => ({
  allow: false,
  code: 'BACKING_DENIED',
  reason: `${describe(request)} is refused: no implicit opens are allowed`,
});

/**
 * The library's default: local regular files (or block devices when `blockDevices`), under one of `roots` when
 * given (symbolic links resolved), and only with a format recorded in the image: nothing is probed.
 */
export function localFiles(options: { roots?: readonly string[]; blockDevices?: boolean } = {}): Gate {
  return (request) => {
    if (request.resolvedPath === undefined) {
      return refuse(request, 'only local files are allowed, not protocol names');
    }
    if (request.kind === 'backing' && request.format === undefined) {
      return {
        allow: false,
        code: 'BACKING_FORMAT_MISSING',
        reason: `${describe(request)} has no recorded format; guessing it would let a guest choose it`,
      };
    }
    const format = request.format ?? 'raw';
    const stat = statSync(request.resolvedPath, { throwIfNoEntry: false });
    // A missing file is reported as missing by the open that follows.
    if (!stat) return { allow: true, path: request.resolvedPath, format };
    if (!stat.isFile() && !(options.blockDevices && stat.isBlockDevice())) {
      return refuse(request, 'it is not a regular file');
    }
    const real = realpathSync(request.resolvedPath);
    if (/^\/(proc|sys|dev)\//.test(real) && !options.blockDevices) {
      return refuse(request, `it lies in ${real.split(sep, 2).join(sep)}`);
    }
    if (options.roots && !options.roots.some((root) => isInside(real, realpathSync(root)))) {
      return refuse(request, `it lies outside ${options.roots.join(', ')}`);
    }
    return { allow: true, path: request.resolvedPath, format };
  };
}

/**
 * What qemu-img does: any local path; a backing file without a recorded format is probed; a data file's relative name
 * counts from the current directory, not the image's.
 */
export const likeQemu: Gate = (request) => {
  if (request.resolvedPath === undefined) return refuse(request, 'its protocol is not supported');
  if (request.kind === 'data-file') {
    return { allow: true, path: request.storedName.replace(/^file:/, ''), format: 'raw' };
  }
  if (request.format === undefined) {
    return { allow: true, path: request.resolvedPath, format: 'raw', probe: true };
  }
  return { allow: true, path: request.resolvedPath, format: request.format };
};

/**
 * A gate by name: what can be written down, sent to another thread or kept in a configuration. `local` is the
 * library's default (localFiles), `qemu` is likeQemu, `deny` is denyAll.
 */
export type GateSpec =
  | 'local'
  | 'qemu'
  | 'deny'
  | { type: 'local'; roots?: readonly string[]; blockDevices?: boolean };

/** The gate that a name stands for; a function is returned as it is. @throws INVALID_ARGUMENT for what is neither. */
export function resolveGate(gate: Gate | GateSpec = 'local'): Gate {
  if (typeof gate === 'function') return gate;
  if (gate === 'local') return localFiles();
  if (gate === 'qemu') return likeQemu;
  if (gate === 'deny') return denyAll;
  if (typeof gate === 'object' && gate?.type === 'local') return localFiles(gate);
  throw new DiskImageError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(gate)} is no gate (local, qemu, deny, { type: 'local' } or a function)`,
    { operation: 'open' },
  );
}

function isInside(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

function describe(request: ImplicitOpen): string {
  return `${request.kind === 'backing' ? 'Backing file' : 'Data file'} '${request.storedName}' of '${request.imagePath}'`;
}

function refuse(request: ImplicitOpen, why: string): GateVerdict {
  return { allow: false, code: 'BACKING_DENIED', reason: `${describe(request)} is refused: ${why}` };
}
