import * as fs from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import {
  requireBytes,
  requireFunction,
  requireObject,
  requireOneOf,
  requireString,
} from '../disk/arguments.js';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { HostFile } from '../disk/hostFile.js';
import { parseClaim } from '../inspect/claims.js';
import { copyImage } from '../operations/copyImage.js';
import { checkSettings, type Effort } from '../operations/job.js';
import { throwIfAborted } from './abort.js';
import { type CacheListing, listCache } from './cacheList.js';
import { type RemoveOptions, type RemoveOutcome, removeFromCache } from './cacheRemove.js';
import { type VerifyOptions, type VerifyOutcome, verifyCache } from './cacheVerify.js';
import { checkBase } from './checkBase.js';
import { type Digests, parseDigests, type SourceAlgorithm, verifyDigests } from './digests.js';
import { Steps } from './events.js';
import { makeInstanceDisk } from './instanceDisk.js';
import type { IntakeRules } from './intake.js';
import { type HeldLock, LockFolder } from './lock.js';
import { makeBase } from './makeBase.js';
import {
  baseFolder,
  type CachePaths,
  cacheKey,
  cachePaths,
  instanceFolder,
  lockFolder,
  parseBaseName,
  resizedName,
} from './names.js';
import { type BaseRecord, readRecord } from './record.js';
import type {
  BaseOutcome,
  BaseRequest,
  ImageCacheOptions,
  ProvisionOutcome,
  ProvisionRequest,
  RunOptions,
} from './requests.js';
import { parseSource } from './source.js';

interface Run {
  request: BaseRequest;
  expected: Digests;
  paths: CachePaths;
  steps: Steps;
  signal?: AbortSignal;
  effort: Effort;
}

/**
 * The cache of base images in a folder of instances, and what is made from it. Any number of processes may use one
 * folder at once, Nova's among them: who needs an image first makes it, the others wait for its lock.
 */
export class ImageCache {
  readonly instances: string;
  readonly #options: ImageCacheOptions;
  readonly #locks: LockFolder;

  /** @throws INVALID_ARGUMENT for options that are none */
  constructor(options: ImageCacheOptions) {
    requireObject(options, 'the options', 'provision');
    requireString(options.instances, 'instances', 'provision');
    const { lockTimeout } = options;
    if (lockTimeout !== undefined && !(lockTimeout >= 0)) {
      throw new DiskImageError('INVALID_ARGUMENT', `lockTimeout must be milliseconds, not ${lockTimeout}`, {
        operation: 'provision',
      });
    }
    if (options.instances === '')
      throw new DiskImageError('INVALID_ARGUMENT', 'The instances folder has no name');
    this.#options = options;
    this.instances = resolve(options.instances);
    this.#locks = new LockFolder(lockFolder(this.instances));
  }

  /**
   * From an image to the disk of an instance: base from the cache or made, resized base where wanted, overlay or copy.
   * @throws DiskImageError: IMAGE_TOO_LARGE, IMAGE_UNSAFE, DIGEST_MISMATCH, DOWNLOAD_FAILED, INVALID_ARGUMENT, IO,
   * CANCELLED …; nothing half-made has a name then.
   */
  async provision(request: ProvisionRequest, options: RunOptions = {}): Promise<ProvisionOutcome> {
    requireObject(request, 'the request', 'provision');
    const { instance, imageType = 'qcow2', resize = 'overlay' } = request;
    const folder = instanceFolder(this.instances, instance);
    requireOneOf(imageType, ['qcow2', 'raw'], 'imageType', 'provision');
    requireOneOf(resize, ['base', 'overlay'], 'resize', 'provision');
    return this.#locked(request, options, async (run) => {
      const base = await this.#base(run);
      const size = Math.max(request.size ?? 0, base.virtualSize);
      const backing = (): Promise<string> =>
        resize === 'base' ? this.#resized(run, base, size) : Promise.resolve(base.base);
      const family = await this.#family(run.paths);
      const disk = await makeInstanceDisk({ folder, type: imageType, backing, family, size }, run.steps, {
        ...run.effort,
        signal: run.signal,
        threads: this.#options.threads,
      });
      return {
        ...base,
        instance,
        disk: disk.path,
        format: disk.format,
        diskSize: disk.virtualSize,
        backing: disk.backing,
        existed: disk.existed,
        steps: run.steps.times,
      };
    });
  }

  /** The base of an image, from the cache or made. @throws as provision */
  ensureBase(request: BaseRequest, options: RunOptions = {}): Promise<BaseOutcome> {
    return this.#locked(request, options, (run) => this.#base(run));
  }

  /** A copy of the base in the cache, grown to `request.size` bytes; its path is `backing`. @throws as provision */
  ensureResized(
    request: BaseRequest & { size: number },
    options: RunOptions = {},
  ): Promise<BaseOutcome & { backing: string }> {
    return this.#locked(request, options, async (run) => {
      requireBytes(request.size, 'size', 'provision');
      const base = await this.#base(run);
      return { ...base, backing: await this.#resized(run, base, Math.max(request.size, base.virtualSize)) };
    });
  }

  /** An instance's disk from an image that is in the cache. @throws INVALID_ARGUMENT when it is not; as provision */
  createInstanceDisk(
    request: Omit<ProvisionRequest, 'source'>,
    options: RunOptions = {},
  ): Promise<ProvisionOutcome> {
    return this.provision({ ...request, source: undefined }, options);
  }

  /** What is in the cache, and what uses it. */
  list(options: { signal?: AbortSignal } = {}): Promise<CacheListing> {
    return listCache(this.instances, options.signal);
  }

  /** Compares bases with what was recorded when they were made. */
  verify(options: VerifyOptions = {}): Promise<VerifyOutcome[]> {
    return verifyCache(this.instances, { threads: this.#options.threads, ...options });
  }

  /** Removes bases that nothing uses, and what killed runs left. */
  remove(options: RemoveOptions): Promise<RemoveOutcome[]> {
    return removeFromCache(this.instances, this.#locks, options);
  }

  async #locked<T>(request: BaseRequest, options: RunOptions, body: (run: Run) => Promise<T>): Promise<T> {
    requireObject(request, 'the request', 'provision');
    requireObject(options, 'the options', 'provision');
    requireFunction(options.onEvent, 'onEvent', 'provision');
    const { bytesPerSecond, ioPriority, niceness } = options;
    const effort: Effort = { bytesPerSecond, ioPriority, niceness };
    checkSettings({ signal: options.signal, ...effort }, 'provision');
    const expected = parseDigests(request.digests ?? {});
    if (request.sourceFormat !== undefined) parseClaim(request.sourceFormat);
    requireBytes(request.size ?? 0, 'size', 'provision');
    const paths = cachePaths(this.instances, cacheKey(request.imageId));
    throwIfAborted(options.signal, 'provision');
    const steps = new Steps(options.onEvent, options.signal);
    const { signal } = steps;
    let lock: HeldLock | undefined;
    let outcome: T;
    try {
      lock = await steps.run('lock', ({ detail }): Promise<HeldLock> => {
        const onWait = (): void => detail('waited for another process');
        return this.#locks.acquire(paths.lockName, { signal, timeout: this.#options.lockTimeout, onWait });
      });
      outcome = await body({ request, expected, paths, steps, signal, effort });
    } catch (error) {
      steps.throwIfFailed();
      throw toDiskImageError(error, { operation: 'provision' });
    } finally {
      steps.end();
      await lock?.release();
    }
    steps.throwIfFailed(true);
    return outcome;
  }

  async #base(run: Run): Promise<BaseOutcome> {
    const { request, expected, paths, steps, signal, effort } = run;
    const asked = Object.keys(expected) as SourceAlgorithm[];
    const found = await openIfThere(paths.base);
    if (found) {
      const record = await steps.run('inspect', async ({ detail }) => {
        detail('base is in the cache', found.size);
        return this.#useCached(found, run);
      });
      const verified = asked.filter((name) => record?.sourceDigests[name] !== undefined);
      const unverified = asked.filter((name) => !verified.includes(name));
      const { imageId } = request;
      return { imageId, base: paths.base, virtualSize: found.size, cached: true, verified, unverified };
    }
    if (request.source === undefined) {
      throw new DiskImageError(
        'INVALID_ARGUMENT',
        `Image '${request.imageId}' is not in the cache and no source is given`,
        {
          path: paths.base,
          operation: 'provision',
        },
      );
    }
    const { threads, http = {}, digestBases: digest = true } = this.#options;
    const origin = parseSource(request.source, request.headers);
    const rules = rulesFor(request, origin.name);
    const { imageId } = request;
    const record = await makeBase({
      imageId,
      origin,
      paths,
      rules,
      expected,
      http,
      digest,
      threads,
      steps,
      signal,
      effort,
    });
    return {
      imageId,
      base: paths.base,
      virtualSize: record.virtualSize,
      cached: false,
      verified: asked,
      unverified: [],
    };
  }

  /** Checks a base that is there against the request and its record, and marks it as used. */
  async #useCached(file: HostFile, { request, expected, paths }: Run): Promise<BaseRecord | undefined> {
    try {
      const record = await readRecord(paths.record);
      if (record && record.virtualSize !== file.size) {
        throw new DiskImageError(
          'CORRUPT_IMAGE',
          `Base image '${paths.base}' has ${file.size} bytes, but ${record.virtualSize} when it was made`,
          { path: paths.base, operation: 'verify' },
        );
      }
      await checkBase(file, { ...rulesFor(request, paths.base), format: record?.format });
      const known: Digests = {};
      for (const [name, digest] of Object.entries(expected) as [SourceAlgorithm, string][]) {
        if (record?.sourceDigests[name] !== undefined) known[name] = digest;
      }
      verifyDigests(
        known,
        record?.sourceDigests ?? {},
        `the source of cached image '${request.imageId}'`,
        paths.base,
      );
      await removeLeftovers(paths);
      await touch(paths.base);
      return record;
    } finally {
      await file.close();
    }
  }

  async #resized({ paths, steps, signal, effort }: Run, base: BaseOutcome, size: number): Promise<string> {
    if (size === base.virtualSize) return paths.base;
    const target = resizedName(paths.base, size);
    await steps.run('resize', async ({ progress, detail }) => {
      detail(target, size);
      const found = await openIfThere(target);
      if (found) {
        await found.close();
        if (found.size === size) return touch(target);
        throw new DiskImageError(
          'CORRUPT_IMAGE',
          `Resized base '${target}' has ${found.size} bytes, not ${size}`,
          {
            path: target,
            operation: 'resize',
          },
        );
      }
      const settings = { ...effort, signal, threads: this.#options.threads, onProgress: progress };
      await copyImage({ source: paths.base, target, size, replace: false }, settings);
    });
    return target;
  }

  /** The base of the image and its resized copies. */
  async #family({ base }: CachePaths): Promise<string[]> {
    const key = basename(base);
    const names = await fs.readdir(baseFolder(this.instances));
    const bases = names.filter((name) => {
      const parsed = parseBaseName(name);
      return parsed?.key === key && (parsed?.kind === 'base' || parsed?.kind === 'resized');
    });
    return bases.map((name) => join(baseFolder(this.instances), name)).sort();
  }
}

function rulesFor(request: BaseRequest, source: string): IntakeRules {
  const { imageId, sourceFormat: claimed, size = 0 } = request;
  return { imageId, source, claimed, ...(size > 0 && { maxVirtualSize: size }) };
}

async function openIfThere(path: string): Promise<HostFile | undefined> {
  try {
    return await HostFile.open(path);
  } catch (error) {
    if (error instanceof DiskImageError && error.errno === 'ENOENT') return undefined;
    throw error;
  }
}

/** A run that was killed just after it had named the base left what it was made from. We hold the lock: it is nobody's. */
async function removeLeftovers({ part, partState, converted }: CachePaths): Promise<void> {
  try {
    await Promise.all([part, partState, converted].map((path) => fs.rm(path, { force: true })));
  } catch (error) {
    throw toDiskImageError(error, { path: part, operation: 'provision' });
  }
}

/** Whoever ages the cache goes by the time of change. On NFS the file may belong to somebody else. */
async function touch(path: string): Promise<void> {
  const now = new Date();
  try {
    await fs.utimes(path, now, now);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') throw toDiskImageError(error, { path });
  }
}
