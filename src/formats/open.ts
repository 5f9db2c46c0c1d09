import { statSync } from 'node:fs';
import { requireObject } from '../disk/arguments.js';
import type { Disk, WritableDisk } from '../disk/disk.js';
import { DiskImageError, noteLayer, toDiskImageError } from '../disk/errors.js';
import type { FormatOpenOptions, RuntimeOptions, SnapshotSelector } from '../disk/format.js';
import type { Gate } from '../disk/gate.js';
import { type GateSpec, resolveGate } from '../disk/gates.js';
import { HostFile, identityOf } from '../disk/hostFile.js';
import { type Limits, resolveLimits } from '../disk/limits.js';
import { LockModes } from '../disk/lock.js';
import { resolveStoredName } from '../disk/names.js';
import type { Secrets } from '../disk/secrets.js';
import { formatByName, PROBE_BYTES, probeBytes } from './registry.js';

export interface OpenDiskOptions {
  /** Format name. Never guessed: to guess, call probeFormat first and say so. */
  format: string;
  /** Open for writing; the result then is a WritableDisk. Default false. */
  writable?: boolean;
  /** Open backing and data files. `false` for metadata only (info, inspect). Default true. */
  chain?: boolean;
  /** Rules for files that the image names; default `local`: regular files with a recorded format. */
  gate?: Gate | GateSpec;
  limits?: Partial<Limits>;
  /** Take QEMU's image locks. Default true; `false` is qemu-img's `-U`. */
  lock?: boolean;
  /** Present this internal snapshot instead of the active layer (read-only). */
  snapshot?: SnapshotSelector;
  /** Runtime options of the image by QEMU's names; the format refuses those it has not. */
  runtime?: RuntimeOptions;
  /** Passphrases and keys that runtime options name, by id. */
  secrets?: Secrets;
  /** For `check`: an image flagged dirty or corrupt opens without complaint. */
  check?: boolean;
  /** This layer of the chain, 1 = the image's own backing file, is opened for writing too (commit). */
  writableBacking?: number;
}

/**
 * Opens an image and, by default, its backing chain.
 * @throws DiskImageError; nothing on disk has changed then and no descriptor stays open.
 */
export function openDisk(path: string, options: OpenDiskOptions & { writable: true }): Promise<WritableDisk>;
export function openDisk(path: string, options: OpenDiskOptions): Promise<Disk>;
export async function openDisk(path: string, options: OpenDiskOptions): Promise<Disk> {
  requireObject(options, 'the options', 'open');
  if (options.snapshot !== undefined) requireObject(options.snapshot, 'snapshot', 'open');
  const format = formatByName(options.format);
  const shared: SharedOptions = {
    limits: resolveLimits(options.limits),
    gate: resolveGate(options.gate),
    chain: options.chain ?? true,
    lock: options.lock ?? true,
    secrets: options.secrets,
    writableBacking: options.writableBacking,
  };
  let file: HostFile | undefined;
  try {
    file = await HostFile.open(path, { write: options.writable ?? false });
    return await format.open(
      file,
      layerOptions(shared, [], {
        write: options.writable ?? false,
        snapshot: options.snapshot,
        check: options.check,
        runtime: options.runtime,
      }),
    );
  } catch (error) {
    await file?.close();
    throw noteLayer(toDiskImageError(error, { path, operation: 'open' }), { image: path, layer: 0 });
  }
}

/** Guesses the format from content, as qemu-img does without `-f`. A separate, named act: guests can forge content. */
export async function probeFormat(path: string): Promise<string> {
  const file = await HostFile.open(path);
  try {
    return await probeFile(file);
  } finally {
    await file.close();
  }
}

async function probeFile(file: HostFile): Promise<string> {
  const head = Buffer.alloc(Math.min(PROBE_BYTES, file.size));
  const length = await file.read(head, 0);
  return probeBytes(head.subarray(0, length), file.size).name;
}

/**
 * Opens the backing file that a new image at `imagePath` is to name, as opening that image would: relative to its
 * directory, through the gate.
 * @throws BACKING_NOT_FOUND, BACKING_DENIED, BACKING_FORMAT_MISSING, BACKING_FORMAT_UNSUPPORTED; BACKING_CYCLE when
 * the image would replace a file of its own chain.
 */
export async function openBackingFor(
  imagePath: string,
  name: string,
  format: string | undefined,
  options: Pick<OpenDiskOptions, 'gate' | 'limits' | 'lock'>,
): Promise<Disk> {
  const replaced = statSync(imagePath, { throwIfNoEntry: false });
  const identity = replaced ? identityOf(replaced) : 'new';
  const shared: SharedOptions = {
    limits: resolveLimits(options.limits),
    gate: resolveGate(options.gate),
    chain: true,
    lock: options.lock ?? true,
  };
  try {
    return await openBacking(shared, [identity], name, format, { path: imagePath });
  } catch (error) {
    throw noteLayer(toDiskImageError(error, { operation: 'open' }), { image: imagePath });
  }
}

type SharedOptions = Pick<FormatOpenOptions, 'limits' | 'gate' | 'chain' | 'lock' | 'secrets'> &
  Pick<OpenDiskOptions, 'writableBacking'>;

function layerOptions(
  shared: SharedOptions,
  ancestors: readonly string[],
  own: { write: boolean; snapshot?: SnapshotSelector; check?: boolean; runtime?: RuntimeOptions },
): FormatOpenOptions {
  const { writableBacking, ...rest } = shared;
  return {
    ...rest,
    ...own,
    depth: ancestors.length,
    ancestors,
    openBacking: (name, format, image) =>
      openBacking(shared, [...ancestors, image.identity], name, format, image),
    openDataFile: (name, image) => openDataFile(shared, ancestors.length, own.write, name, image),
  };
}

async function openBacking(
  shared: SharedOptions,
  ancestors: readonly string[],
  storedName: string,
  recordedFormat: string | undefined,
  image: Named,
): Promise<Disk> {
  try {
    return await openBackingLayer(shared, ancestors, storedName, recordedFormat, image);
  } catch (error) {
    const failure = toDiskImageError(error, { path: image.path, operation: 'open' });
    throw noteLayer(failure, { layer: ancestors.length });
  }
}

/** An image as far as messages and relative names need it. */
type Named = Pick<HostFile, 'path'>;

async function openBackingLayer(
  shared: SharedOptions,
  ancestors: readonly string[],
  storedName: string,
  recordedFormat: string | undefined,
  image: Named,
): Promise<Disk> {
  const depth = ancestors.length;
  if (depth >= shared.limits.chainDepth) {
    throw new DiskImageError(
      'BACKING_TOO_DEEP',
      `Backing chain is deeper than the limit of ${shared.limits.chainDepth} layers at '${image.path}'`,
      { path: image.path, operation: 'open' },
    );
  }
  const verdict = await shared.gate({
    kind: 'backing',
    storedName,
    resolvedPath: resolveStoredName(storedName, image.path),
    format: recordedFormat,
    imagePath: image.path,
    depth,
  });
  if (!verdict.allow) {
    throw new DiskImageError(verdict.code, verdict.reason, { path: image.path, operation: 'open' });
  }
  const write = depth === shared.writableBacking;
  let file: HostFile;
  try {
    file = await HostFile.open(verdict.path, { write });
  } catch (error) {
    throw notFound(error, 'Backing file', storedName, verdict.path, image);
  }
  try {
    if (ancestors.includes(file.identity)) {
      throw new DiskImageError(
        'BACKING_CYCLE',
        `Backing file '${storedName}' of '${image.path}' creates an infinite loop.`,
        { path: image.path, operation: 'open' },
      );
    }
    const name = verdict.probe ? await probeFile(file) : verdict.format;
    // QEMU opens it for reading first: somebody else's writer is then told in other words than a reader.
    if (write && shared.lock && name !== 'raw') file.lock(LockModes.read);
    return await backingFormat(name, image).open(file, layerOptions(shared, ancestors, { write }));
  } catch (error) {
    await file.close();
    throw toDiskImageError(error, { path: verdict.path, operation: 'open' });
  }
}

async function openDataFile(
  shared: SharedOptions,
  depth: number,
  write: boolean,
  storedName: string,
  image: Named,
): Promise<HostFile> {
  const verdict = await shared.gate({
    kind: 'data-file',
    storedName,
    resolvedPath: resolveStoredName(storedName, image.path),
    imagePath: image.path,
    depth: depth + 1,
  });
  if (!verdict.allow) {
    throw new DiskImageError(verdict.code, verdict.reason, { path: image.path, operation: 'open' });
  }
  try {
    return await HostFile.open(verdict.path, { write });
  } catch (error) {
    throw notFound(error, 'Data file', storedName, verdict.path, image);
  }
}

function backingFormat(name: string, image: Named) {
  try {
    return formatByName(name);
  } catch (error) {
    throw new DiskImageError(
      'BACKING_FORMAT_UNSUPPORTED',
      `Backing file of '${image.path}' has the unsupported format '${name}'`,
      { path: image.path, operation: 'open', cause: error },
    );
  }
}

function notFound(
  error: unknown,
  what: string,
  stored: string,
  resolved: string,
  image: Named,
): DiskImageError {
  const failure = toDiskImageError(error);
  if (failure.errno !== 'ENOENT' && failure.errno !== 'ENOTDIR') return failure;
  return new DiskImageError(
    'BACKING_NOT_FOUND',
    `${what} '${stored}' of '${image.path}' does not exist (looked for '${resolved}')`,
    { path: resolved, operation: 'open', errno: failure.errno, syscall: failure.syscall, cause: error },
  );
}
