// What a pool can run: the one list that Pool and its workers share.
import type { DiskInfo } from '../disk/disk.js';
import type { CreateOutcome, MeasureResult } from '../disk/format.js';
import type { Gate } from '../disk/gate.js';
import { type CheckOutcome, type CheckRequest, check } from '../operations/check.js';
import { type CompareOutcome, type CompareRequest, compare } from '../operations/compare.js';
import { type ConvertOutcome, type ConvertRequest, convert } from '../operations/convert.js';
import { type CopyImageOutcome, type CopyImageRequest, copyImage } from '../operations/copyImage.js';
import { type CreateImageOptions, createImage } from '../operations/create.js';
import {
  type CreateOverlaysOptions,
  createOverlays,
  type OverlayOutcome,
  type OverlayRequest,
} from '../operations/createOverlays.js';
import { type HashOutcome, type HashRequest, hash } from '../operations/hash.js';
import { type HashedFile, hashFiles } from '../operations/hashFiles.js';
import { type HashRangesRequest, hashRanges, type RangeDigests } from '../operations/hashRanges.js';
import { type InfoRequest, info, infoChain } from '../operations/info.js';
import type { JobSettings } from '../operations/job.js';
import { type MapEntry, type MapRequest, mapAll } from '../operations/map.js';
import { type MeasureImageRequest, measure } from '../operations/measure.js';
import { type ResizeImageOptions, type ResizeOutcome, resizeImage } from '../operations/resize.js';
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

export const poolOperations: Table = {
  convert: { run: convert },
  compare: { run: compare },
  hash: { run: hash },
  hashRanges: { run: hashRanges },
  hashFiles: {
    run: ({ files }, settings) => hashFiles(files, settings),
    pack: (files): PackedFile[] =>
      files.map(({ error, ...rest }) => (error ? { ...rest, error: packError(error) } : rest)),
    unpack: (files: PackedFile[]) =>
      files.map(({ error, ...rest }) => (error ? { ...rest, error: unpackError(error) } : rest)),
  },
  check: { run: check },
  info: { run: info },
  infoChain: { run: infoChain },
  map: { run: mapAll },
  copyImage: { run: copyImage },
  create: { run: ({ path, ...options }, settings) => createImage(path, { ...options, ...settings }) },
  measure: { run: measure },
  resize: { run: ({ path, ...options }, settings) => resizeImage(path, { ...options, ...settings }) },
  createOverlays: {
    run: ({ overlays, ...options }, settings) => createOverlays(overlays, { ...options, ...settings }),
    pack: (outcomes): PackedOutcome[] =>
      outcomes.map(({ error, ...rest }) => (error ? { ...rest, error: packError(error) } : rest)),
    unpack: (outcomes: PackedOutcome[]) =>
      outcomes.map(({ error, ...rest }) => (error ? { ...rest, error: unpackError(error) } : rest)),
  },
};
