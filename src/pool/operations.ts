// What a pool can run: the one list that Pool and its workers share.
import type { DiskInfo } from '../disk/disk.js';
import type { CreateOutcome, MeasureResult } from '../disk/format.js';
import type { Gate } from '../disk/gate.js';
import type { CheckOutcome, CheckRequest } from '../operations/check.js';
import type { CommitOutcome, CommitRequest } from '../operations/commit.js';
import type { CompareOutcome, CompareRequest } from '../operations/compare.js';
import type { ConvertOutcome, ConvertRequest } from '../operations/convert.js';
import type { CopyImageOutcome, CopyImageRequest } from '../operations/copyImage.js';
import type { CopyRangeOutcome, CopyRangeRequest } from '../operations/copyRange.js';
import type { CreateImageOptions } from '../operations/create.js';
import type { CreateOverlaysOptions, OverlayOutcome, OverlayRequest } from '../operations/createOverlays.js';
import type { HashOutcome, HashRequest } from '../operations/hash.js';
import type { HashedFile } from '../operations/hashFiles.js';
import type { HashRangesRequest, RangeDigests } from '../operations/hashRanges.js';
import type { InfoRequest } from '../operations/info.js';
import type { JobSettings } from '../operations/job.js';
import type { MapEntry, MapRequest } from '../operations/map.js';
import type { MeasureImageRequest } from '../operations/measure.js';
import type { RebaseOutcome, RebaseRequest } from '../operations/rebase.js';
import type { ResizeImageOptions, ResizeOutcome } from '../operations/resize.js';
import { type PackedError, packError, unpackError } from './errorTransport.js';

/** A request that can be sent to another thread: gates by name, no functions. */
export type Sendable<T> = T extends Gate | ((...args: never[]) => unknown)
  ? never
  : T extends readonly (infer Item)[]
    ? readonly Sendable<Item>[]
    : T extends object
      ? { [Key in keyof T]: Sendable<T[Key]> }
      : T;

export type PooledCreateRequest = Sendable<Omit<CreateImageOptions, keyof JobSettings | 'announce'>> & {
  path: string;
};

export type PooledResizeRequest = Sendable<Omit<ResizeImageOptions, keyof JobSettings>> & { path: string };

export type PooledOverlaysRequest = Sendable<Omit<CreateOverlaysOptions, keyof JobSettings>> & {
  overlays: readonly Sendable<OverlayRequest>[];
};

/** Requests and results of the operations, by name. */
export interface PoolOperations {
  convert: [Sendable<ConvertRequest>, ConvertOutcome];
  compare: [Sendable<CompareRequest>, CompareOutcome];
  commit: [Sendable<CommitRequest>, CommitOutcome];
  rebase: [Sendable<RebaseRequest>, RebaseOutcome];
  copyRange: [Sendable<CopyRangeRequest>, CopyRangeOutcome];
  hash: [Sendable<HashRequest>, HashOutcome];
  hashRanges: [Sendable<Omit<HashRangesRequest, 'ranges'>> & Pick<HashRangesRequest, 'ranges'>, RangeDigests];
  hashFiles: [{ files: readonly Sendable<HashRequest>[] }, HashedFile[]];
  check: [Sendable<CheckRequest>, CheckOutcome];
  info: [Sendable<InfoRequest>, DiskInfo];
  infoChain: [Sendable<InfoRequest>, DiskInfo[]];
  map: [Sendable<MapRequest>, MapEntry[]];
  copyImage: [Sendable<CopyImageRequest>, CopyImageOutcome];
  create: [PooledCreateRequest, CreateOutcome];
  measure: [Sendable<MeasureImageRequest>, MeasureResult];
  resize: [PooledResizeRequest, ResizeOutcome];
  createOverlays: [PooledOverlaysRequest, OverlayOutcome[]];
}

type Table = {
  [Name in keyof PoolOperations]: {
    run(request: PoolOperations[Name][0], settings: JobSettings): Promise<PoolOperations[Name][1]>;
    /** Worker side: makes the result cloneable; `unpack` undoes it on the pool's. */
    pack?(value: PoolOperations[Name][1]): unknown;
    unpack?(value: never): PoolOperations[Name][1];
  };
};

type PackedOutcome = Omit<OverlayOutcome, 'error'> & { error?: PackedError };
type PackedFile = Omit<HashedFile, 'error'> & { error?: PackedError };

/** Modules are loaded with the first job of their kind: a worker is no larger than what it does. */
export const poolOperations: Table = {
  convert: { run: async (...job) => (await import('../operations/convert.js')).convert(...job) },
  compare: { run: async (...job) => (await import('../operations/compare.js')).compare(...job) },
  commit: { run: async (...job) => (await import('../operations/commit.js')).commit(...job) },
  rebase: { run: async (...job) => (await import('../operations/rebase.js')).rebase(...job) },
  copyRange: { run: async (...job) => (await import('../operations/copyRange.js')).copyRange(...job) },
  hash: { run: async (...job) => (await import('../operations/hash.js')).hash(...job) },
  hashRanges: { run: async (...job) => (await import('../operations/hashRanges.js')).hashRanges(...job) },
  hashFiles: {
    run: async ({ files }, settings) =>
      (await import('../operations/hashFiles.js')).hashFiles(files, settings),
    pack: (files): PackedFile[] =>
      files.map(({ error, ...rest }) => (error ? { ...rest, error: packError(error) } : rest)),
    unpack: (files: PackedFile[]) =>
      files.map(({ error, ...rest }) => (error ? { ...rest, error: unpackError(error) } : rest)),
  },
  check: { run: async (...job) => (await import('../operations/check.js')).check(...job) },
  info: { run: async (...job) => (await import('../operations/info.js')).info(...job) },
  infoChain: { run: async (...job) => (await import('../operations/info.js')).infoChain(...job) },
  map: { run: async (...job) => (await import('../operations/map.js')).mapAll(...job) },
  copyImage: { run: async (...job) => (await import('../operations/copyImage.js')).copyImage(...job) },
  create: {
    run: async ({ path, ...options }, settings) =>
      (await import('../operations/create.js')).createImage(path, { ...options, ...settings }),
  },
  measure: { run: async (...job) => (await import('../operations/measure.js')).measure(...job) },
  resize: {
    run: async ({ path, ...options }, settings) =>
      (await import('../operations/resize.js')).resizeImage(path, { ...options, ...settings }),
  },
  createOverlays: {
    run: async ({ overlays, ...options }, settings) =>
      (await import('../operations/createOverlays.js')).createOverlays(overlays, { ...options, ...settings }),
    pack: (outcomes): PackedOutcome[] =>
      outcomes.map(({ error, ...rest }) => (error ? { ...rest, error: packError(error) } : rest)),
    unpack: (outcomes: PackedOutcome[]) =>
      outcomes.map(({ error, ...rest }) => (error ? { ...rest, error: unpackError(error) } : rest)),
  },
};
