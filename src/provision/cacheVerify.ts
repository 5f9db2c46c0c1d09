import { basename } from 'node:path';
import type { Progress } from '../disk/control.js';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { HostFile } from '../disk/hostFile.js';
import type { Effort } from '../operations/job.js';
import { throwIfAborted } from './abort.js';
import { listCache } from './cacheList.js';
import { checkBase } from './checkBase.js';
import { compareData } from './dataDigest.js';
import { cachePaths, wantedKey } from './names.js';
import { type BaseRecord, readRecord } from './record.js';

export interface VerifyOptions extends Effort {
  /** Only this image. Default: all. */
  imageId?: string;
  /** The same by the SHA-1 of its id, which is all that is known of bases made by Nova. */
  key?: string;
  threads?: number;
  signal?: AbortSignal;
  onProgress?: (progress: Progress, path: string) => void;
}

export interface VerifyOutcome {
  imageId?: string;
  path: string;
  /**
   * `good`: as it was when it was made. `bad`: not, or it can't be read. `unrecorded`: raw and no image in itself,
   * but nobody recorded what it was.
   */
  status: 'good' | 'bad' | 'unrecorded';
  /** What is wrong, one sentence each. */
  problems: string[];
}

/** Every base and resized base. @throws INVALID_ARGUMENT when `imageId` is not in the cache */
export async function verifyCache(instances: string, options: VerifyOptions = {}): Promise<VerifyOutcome[]> {
  const { signal } = options;
  const { images } = await listCache(instances, signal);
  const key = wantedKey(options);
  const wanted = images.filter((image) => key === undefined || image.key === key);
  if (key !== undefined && wanted.every(({ base, resized }) => !base && resized.length === 0)) {
    throw new DiskImageError('INVALID_ARGUMENT', `Image '${options.imageId ?? key}' is not in the cache`, {
      operation: 'verify',
    });
  }
  const outcomes: VerifyOutcome[] = [];
  for (const image of wanted) {
    const record = await readRecord(cachePaths(instances, image.key).record);
    for (const file of [image.base, ...image.resized]) {
      if (!file) continue;
      throwIfAborted(signal, 'verify');
      outcomes.push(await verifyFile(file.path, record, options));
    }
  }
  return outcomes;
}

async function verifyFile(
  path: string,
  record: BaseRecord | undefined,
  options: VerifyOptions,
): Promise<VerifyOutcome> {
  const problems: string[] = [];
  try {
    const file = await HostFile.open(path);
    try {
      const imageId = record?.imageId ?? basename(path);
      await checkBase(file, { imageId, source: path, format: record?.format }).catch((error: unknown) => {
        const failure = toDiskImageError(error);
        if (failure.code !== 'IMAGE_UNSAFE') throw failure;
        problems.push(failure.message);
      });
      if (record) problems.push(...(await compareWithRecord(file, record, options)));
    } finally {
      await file.close();
    }
  } catch (error) {
    const failure = toDiskImageError(error, { path, operation: 'verify' });
    if (failure.code === 'CANCELLED') throw failure;
    problems.push(failure.message);
  }
  const status = problems.length > 0 ? 'bad' : record?.data ? 'good' : 'unrecorded';
  return { ...(record && { imageId: record.imageId }), path, status, problems };
}

async function compareWithRecord(
  file: HostFile,
  record: BaseRecord,
  options: VerifyOptions,
): Promise<string[]> {
  const resized = basename(file.path).length > 40;
  if (resized ? file.size < record.virtualSize : file.size !== record.virtualSize) {
    return [`'${file.path}' has ${file.size} bytes, the base had ${record.virtualSize} when it was made`];
  }
  if (!record.data) return [];
  const { threads, signal, onProgress, bytesPerSecond, ioPriority, niceness } = options;
  const differences = await compareData(file, record.data, {
    bytesPerSecond,
    ioPriority,
    niceness,
    threads,
    signal,
    onProgress: onProgress && ((progress) => onProgress(progress, file.path)),
  });
  return differences.map(
    ({ start, end }) => `'${file.path}' differs in bytes ${start} to ${end - 1} from what was recorded`,
  );
}
