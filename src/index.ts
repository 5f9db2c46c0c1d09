// The public API: re-exports, nothing else.
export { type IoPriority, JobControl, type Progress } from './disk/control.js';
export {
  type Disk,
  type DiskInfo,
  type FormatSpecificValue,
  isWritable,
  type MapOptions,
  type ReadStreamOptions,
  type ResizeOptions,
  type SnapshotInfo,
  type WritableDisk,
  type WriteStreamOptions,
  type ZeroOptions,
} from './disk/disk.js';
export { DiskImageError, type DiskImageErrorCode, type DiskImageErrorDetails } from './disk/errors.js';
export { type Codec, type Extent, ExtentColumns, Kind, type KindCode, NO_FILE } from './disk/extents.js';
export type {
  CheckResult,
  CreateOptionSpec,
  CreateOptions,
  CreateOutcome,
  MeasureResult,
  RepairMode,
  SnapshotSelector,
} from './disk/format.js';
export type { Gate, GateVerdict, ImplicitOpen } from './disk/gate.js';
export { denyAll, type GateSpec, likeQemu, localFiles, resolveGate } from './disk/gates.js';
export type { HostFile } from './disk/hostFile.js';
export { defaultLimits, type Limits } from './disk/limits.js';
export { type GuestOffset, guestOffset, type HostOffset, hostOffset } from './disk/offsets.js';
export { createReadStream, extentBatches, extents, readDisk } from './disk/view.js';
export { type OpenDiskOptions, openDisk, probeFormat } from './formats/open.js';
export { formatNames } from './formats/registry.js';
export {
  claimNames,
  type DetectedFormat,
  type FormatName,
  type Inspection,
  InspectionStream,
  type InspectOptions,
  inspectFile,
  StreamInspector,
  type Violation,
  type ViolationCode,
} from './inspect/index.js';
export type { EngineInfo } from './native.js';
export { type AmendRequest, amend, amendOptionSpecs } from './operations/amend.js';
export { type BitmapAction, type BitmapRequest, editBitmap } from './operations/bitmap.js';
export { type CheckOutcome, type CheckRequest, check } from './operations/check.js';
export { type CommitOutcome, type CommitRequest, commit } from './operations/commit.js';
export { type CompareOutcome, type CompareRequest, compare } from './operations/compare.js';
export {
  type ConvertOutcome,
  type ConvertRequest,
  type ConvertTargetSpec,
  convert,
} from './operations/convert.js';
export { type CopyImageOutcome, type CopyImageRequest, copyImage } from './operations/copyImage.js';
export { type CopyRangeOutcome, type CopyRangeRequest, copyRange } from './operations/copyRange.js';
export { type CreateImageOptions, createImage } from './operations/create.js';
export { createOptionSpecs, type TypedCreateOptions } from './operations/createOptions.js';
export {
  type CreateOverlaysOptions,
  createOverlays,
  type OverlayOutcome,
  type OverlayRequest,
} from './operations/createOverlays.js';
export {
  type BlkhashOutcome,
  type BlkhashRequest,
  blkhash,
} from './operations/digests/blkhash.js';
export { type Bmap, type BmapRequest, bmapText, makeBmap } from './operations/digests/bmap.js';
export { type S3EtagOutcome, type S3EtagRequest, s3Etag } from './operations/digests/etag.js';
export {
  type DigestListSource,
  type ParseDigestsRequest,
  parseDigests,
} from './operations/digests/parse.js';
export { httpRange, type RepairPlan, repairRanges } from './operations/digests/repair.js';
export type { DigestReport } from './operations/digests/report.js';
export type { ListedDigest, ListHints, ListItem, MalformedLine } from './operations/digests/types.js';
export { type VerifiedFile, type VerifyDigestsRequest, verifyDigests } from './operations/digests/verify.js';
export {
  type DigestFormat,
  type DigestListOrigin,
  type DigestWriter,
  digestWriter,
  writeDigests,
} from './operations/digests/writers.js';
export { engineInfo } from './operations/engineInfo.js';
export {
  type ChunkDigests,
  chunkDigest,
  type HashOutcome,
  type HashRequest,
  hash,
} from './operations/hash.js';
export { type HashAlgorithm, hashAlgorithms } from './operations/hashAlgorithms.js';
export { type HashedFile, type HashFilesSettings, hashFiles } from './operations/hashFiles.js';
export {
  type ByteRange,
  type HashRangesRequest,
  hashRanges,
  type RangeDigests,
} from './operations/hashRanges.js';
export { type InfoRequest, info, infoChain } from './operations/info.js';
export type { Effort, JobSettings } from './operations/job.js';
export { type MapEntry, type MapRequest, map, mapAll } from './operations/map.js';
export { type MeasureImageRequest, measure } from './operations/measure.js';
export type { ProgressListener } from './operations/progressReport.js';
export { type RebaseOutcome, type RebaseRequest, rebase } from './operations/rebase.js';
export { type ResizeImageOptions, type ResizeOutcome, resizeImage } from './operations/resize.js';
export {
  applySnapshot,
  createSnapshot,
  deleteSnapshot,
  listSnapshots,
  type SnapshotImage,
} from './operations/snapshot.js';
export type { CacheMode, ImageSource } from './operations/source.js';
export type { PoolJobSettings, PoolOptions } from './pool/jobPool.js';
export type {
  PooledCreateRequest,
  PooledOverlaysRequest,
  PooledResizeRequest,
  PoolOperations,
  Sendable,
} from './pool/operations.js';
export { Pool } from './pool/pool.js';
export {
  type BaseOutcome,
  type BaseRequest,
  type CachedFile,
  type CachedImage,
  type CacheListing,
  type Digests,
  type HttpLimits,
  ImageCache,
  type ImageCacheOptions,
  type ProvisionListener,
  type ProvisionOutcome,
  type ProvisionRequest,
  type RemoveOptions,
  type RemoveOutcome,
  type RunOptions,
  type SourceAlgorithm,
  type StepEvent,
  type StepName,
  type StepTime,
  type VerifyOptions,
  type VerifyOutcome,
} from './provision/index.js';
