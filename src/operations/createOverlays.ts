import { dirname } from 'node:path';
import { requireArray, requireObject, requireString } from '../disk/arguments.js';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import type { ComposedImage } from '../disk/format.js';
import type { Gate } from '../disk/gate.js';
import { type GateSpec, resolveGate } from '../disk/gates.js';
import type { Limits } from '../disk/limits.js';
import { asPublishFile, publishError } from '../formats/publish.js';
import { native } from '../native.js';
import {
  type CreatableFormat,
  type CreateImageOptions,
  creatable,
  createImage,
  creationOptions,
} from './create.js';
import type { TypedCreateOptions } from './createOptions.js';
import { type Job, type JobSettings, runJob } from './job.js';
import { backingSize } from './newBacking.js';

/** One overlay. Requests that share their options object share the work of parsing it. */
export interface OverlayRequest {
  /** The overlay to make. */
  path: string;
  /** Base image, as it is to be stored; relative to the overlay's directory. */
  backingFile: string;
  backingFormat: string;
  /** Virtual size, bytes; default the base's. */
  size?: number;
  /** Format of the overlay; default `qcow2`. */
  format?: string;
  options?: TypedCreateOptions;
}

export interface CreateOverlaysOptions extends JobSettings {
  /** Everything is on stable storage before any name appears: one syncfs per filesystem for the whole group. Default true. */
  sync?: boolean;
  /** Replace files that have an overlay's name. Default true; `false` = such an overlay fails with IO/EEXIST. */
  replace?: boolean;
  /** QEMU's locks, on existing targets and while a base is looked at. Default true. */
  lock?: boolean;
  /** Rules for the base images; default `local`. */
  gate?: Gate | GateSpec;
  limits?: Partial<Limits>;
  /** Throw when any overlay failed (the others are made all the same). Default true. */
  throwOnError?: boolean;
}

export interface OverlayOutcome {
  path: string;
  /** Bytes. */
  virtualSize: number;
  /** Undefined = made. Otherwise nothing of this overlay is there. */
  error?: DiskImageError;
}

/** Overlays handed to the engine at a time: bounds memory, and lets cancel and progress through. */
const GROUP = 1024;

/**
 * Makes many overlays. Each distinct base is opened once, each distinct header is built once, and durability costs one
 * sync for the group. Outcomes are in the order of the requests. Progress counts overlays.
 * @throws the first failure, its `cause` an AggregateError of all, unless `throwOnError` is false; CANCELLED between
 * groups of 1024.
 */
export function createOverlays(
  requests: readonly OverlayRequest[],
  options: CreateOverlaysOptions = {},
): Promise<OverlayOutcome[]> {
  return runJob('create overlays', options, async (job) => {
    requireArray(requests, 'overlays', 'create overlays');
    const outcomes = await makeAll(requests, options, job);
    if (options.throwOnError ?? true) throwFailures(outcomes);
    return outcomes;
  });
}

async function makeAll(
  requests: readonly OverlayRequest[],
  options: CreateOverlaysOptions,
  job: Job,
): Promise<OverlayOutcome[]> {
  const composer = new Composer(options);
  const outcomes: OverlayOutcome[] = [];
  job.control.total = requests.length;
  for (let from = 0; from < requests.length; from += GROUP) {
    job.throwIfCancelled();
    const group = requests.slice(from, from + GROUP);
    const made = await makeGroup(group, composer, options);
    for (const outcome of made) outcomes.push(outcome);
    job.control.advance(group.length);
  }
  return outcomes;
}

async function makeGroup(
  requests: readonly OverlayRequest[],
  composer: Composer,
  options: CreateOverlaysOptions,
): Promise<OverlayOutcome[]> {
  const { gate, limits, sync = true, lock = true } = options;
  const outcomes: OverlayOutcome[] = [];
  const fresh: { request: OverlayRequest; outcome: OverlayOutcome; image: ComposedImage }[] = [];
  const occupied: typeof fresh = [];
  for (const request of requests) {
    requireObject(request, 'an overlay', 'create overlays');
    const outcome: OverlayOutcome = { path: request.path, virtualSize: 0 };
    outcomes.push(outcome);
    try {
      requireString(request.path, 'path', 'create');
      requireString(request.backingFile, 'backingFile', 'create');
      const image = await composer.compose(request);
      outcome.virtualSize = image.virtualSize;
      fresh.push({ request, outcome, image });
    } catch (error) {
      outcome.error = toDiskImageError(error, { path: request.path, operation: 'create' });
    }
  }
  // One file is synced by itself: syncfs would wait for everything else on the filesystem too.
  const alone = fresh.length === 1;
  const published = await native.publishFiles(
    fresh.map(({ outcome, image }) => asPublishFile({ path: outcome.path, ...image }, sync && alone)),
    sync && !alone,
  );
  published.forEach(({ error }, i) => {
    // Nobody looked before: for a thousand free names that takes longer than to compose the images.
    if (error?.code === 'EEXIST') occupied.push(fresh[i]);
    else if (error) fresh[i].outcome.error = publishError(error, fresh[i].outcome.path);
  });
  // Replacing wants locks, and a look at each chain: a file of its own chain must not be the one replaced.
  for (const { request, outcome } of occupied) {
    try {
      if (options.replace === false) throw taken(outcome.path);
      await createImage(request.path, { ...imageOptions(request), gate, limits, sync, lock });
    } catch (error) {
      outcome.error = toDiskImageError(error, { path: outcome.path, operation: 'create' });
    }
  }
  return outcomes;
}

function taken(path: string): DiskImageError {
  return new DiskImageError('IO', `'${path}' exists already`, {
    path,
    operation: 'create',
    errno: 'EEXIST',
    syscall: 'link',
  });
}

/** Compositions by what they depend on, so that a thousand overlays of one base cost one. */
class Composer {
  readonly #gate: Gate;
  readonly #options: CreateOverlaysOptions;
  readonly #sizes = new Map<string, Promise<number>>();
  readonly #optionIds = new Map<TypedCreateOptions | undefined, number>();
  readonly #images = new Map<string, Promise<ComposedImage>>();

  constructor(options: CreateOverlaysOptions) {
    this.#options = options;
    this.#gate = resolveGate(options.gate);
  }

  compose(request: OverlayRequest): Promise<ComposedImage> {
    const base = JSON.stringify([dirname(request.path), request.backingFile, request.backingFormat]);
    const key = `${base}${request.size ?? ''} ${request.format ?? ''} ${this.#optionId(request.options)}`;
    let image = this.#images.get(key);
    if (!image) {
      image = this.#build(request, base);
      this.#images.set(key, image);
    }
    return image;
  }

  async #build(request: OverlayRequest, base: string): Promise<ComposedImage> {
    const { path } = request;
    const image = imageOptions(request);
    const format = creatable(image.format);
    const { text, backing } = creationOptions(path, format, image);
    if (!backing) throw new RangeError('an overlay has a backing file');
    let inherited = this.#sizes.get(base);
    if (!inherited) {
      const { limits, lock } = this.#options;
      inherited = backingSize(path, backing, { gate: this.#gate, limits, lock });
      this.#sizes.set(base, inherited);
    }
    const size = request.size ?? (text.size === undefined ? await inherited : undefined);
    await inherited;
    return composed(format, path, { size, options: text });
  }

  #optionId(options: TypedCreateOptions | undefined): number {
    let id = this.#optionIds.get(options);
    if (id === undefined) {
      id = this.#optionIds.size;
      this.#optionIds.set(options, id);
    }
    return id;
  }
}

function imageOptions(request: OverlayRequest): CreateImageOptions {
  const { backingFile, backingFormat, size, format = 'qcow2', options } = request;
  return { ...options, backingFile, backingFormat, size, format };
}

async function composed(
  format: CreatableFormat,
  path: string,
  request: Parameters<NonNullable<CreatableFormat['compose']>>[1],
): Promise<ComposedImage> {
  const image = await format.compose?.(path, request);
  if (image) return image;
  throw new DiskImageError(
    'UNSUPPORTED_OPERATION',
    `Overlays in '${format.name}' with preallocation, a data file or hints to the filesystem cannot be made in a group`,
    { path, operation: 'create' },
  );
}

function throwFailures(outcomes: readonly OverlayOutcome[]): void {
  const errors = outcomes.flatMap(({ error }) => (error ? [error] : []));
  if (errors.length === 0) return;
  const [first] = errors;
  throw new DiskImageError(
    first.code,
    `${errors.length} of ${outcomes.length} overlays could not be made; the first, '${first.path}': ${first.message}`,
    {
      path: first.path,
      operation: 'create overlays',
      errno: first.errno,
      syscall: first.syscall,
      cause: new AggregateError(errors),
    },
  );
}
