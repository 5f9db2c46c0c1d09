import { requireObject } from '../disk/arguments.js';
import type { DiskInfo } from '../disk/disk.js';
import { DiskImageError } from '../disk/errors.js';
import { resolveGate } from '../disk/gates.js';
import { resolveLimits } from '../disk/limits.js';
import { resolveStoredName } from '../disk/names.js';
import { openDisk, probeFormat } from '../formats/open.js';
import { type JobSettings, runJob } from './job.js';
import { type NamedImage, openingOf } from './source.js';

export type InfoRequest = NamedImage;

/**
 * What one image says of itself. Opens neither its backing nor its data file, so no gate is asked.
 * @throws what opening throws; INVALID_ARGUMENT.
 */
export function info(request: InfoRequest, settings: JobSettings = {}): Promise<DiskInfo> {
  return runJob('info', settings, async () => (await describe(request)).info);
}

/**
 * The image and its backing chain, top first; every backing file passes the gate.
 * @throws BACKING_CYCLE `Backing file 'X' creates an infinite loop.`; BACKING_TOO_DEEP above `limits.chainDepth`.
 */
export function infoChain(request: InfoRequest, settings: JobSettings = {}): Promise<DiskInfo[]> {
  return runJob('info', settings, async (job) => {
    requireObject(request, 'the request', 'info');
    const gate = resolveGate(request.gate);
    const { chainDepth } = resolveLimits(request.limits);
    const seen = new Set<string>();
    const found: DiskInfo[] = [];
    for (let next: InfoRequest | undefined = request; next; ) {
      job.throwIfCancelled();
      if (found.length >= chainDepth) {
        throw new DiskImageError(
          'BACKING_TOO_DEEP',
          `Backing chain is deeper than the limit of ${chainDepth} layers at '${next.path}'`,
          { path: next.path, operation: 'info' },
        );
      }
      const { info: own, identity } = await describe(next);
      if (seen.has(identity)) throw loop(next.path);
      seen.add(identity);
      found.push(own);
      next = await backingOf(own, next, gate, found.length);
    }
    return found;
  });
}

async function describe(request: InfoRequest): Promise<{ info: DiskInfo; identity: string }> {
  requireObject(request, 'the request', 'info');
  const disk = await openDisk(request.path, { ...openingOf(request), chain: false });
  try {
    return { info: await disk.info(), identity: disk.file.identity };
  } finally {
    await disk.close();
  }
}

async function backingOf(
  own: DiskInfo,
  request: InfoRequest,
  gate: ReturnType<typeof resolveGate>,
  depth: number,
): Promise<InfoRequest | undefined> {
  if (own.backingFilename === undefined) return undefined;
  const verdict = await gate({
    kind: 'backing',
    storedName: own.backingFilename,
    resolvedPath: resolveStoredName(own.backingFilename, request.path),
    format: own.backingFilenameFormat,
    imagePath: request.path,
    depth,
  });
  if (!verdict.allow) {
    throw new DiskImageError(verdict.code, verdict.reason, { path: request.path, operation: 'info' });
  }
  const format = verdict.probe ? await probeFormat(verdict.path) : verdict.format;
  return { ...request, path: verdict.path, format };
}

function loop(path: string): DiskImageError {
  return new DiskImageError('BACKING_CYCLE', `Backing file '${path}' creates an infinite loop.`, {
    path,
    operation: 'info',
  });
}
