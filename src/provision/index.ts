export type { CachedFile, CachedImage, CacheListing } from './cacheList.js';
export type { RemoveOptions, RemoveOutcome } from './cacheRemove.js';
export type { VerifyOptions, VerifyOutcome } from './cacheVerify.js';
export type { Digests, SourceAlgorithm } from './digests.js';
export type { ProvisionListener, StepEvent, StepName, StepTime } from './events.js';
export type { HttpLimits } from './http/download.js';
export { ImageCache } from './imageCache.js';
export type { BaseRecord } from './record.js';
export type {
  BaseOutcome,
  BaseRequest,
  ImageCacheOptions,
  ProvisionOutcome,
  ProvisionRequest,
  RunOptions,
} from './requests.js';
