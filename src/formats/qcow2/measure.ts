// Sizes of an image that does not exist yet, as QEMU computes them (block/qcow2.c, qcow2_measure).
import type { JobControl } from '../../disk/control.js';
import type { Disk } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import { ExtentColumns, Kind } from '../../disk/extents.js';
import type { MeasureRequest, MeasureResult } from '../../disk/format.js';
import { alignUp, divideUp } from '../../disk/offsets.js';
import { storedRows } from '../../disk/storedRows.js';
import { invalid } from '../optionText.js';
import { MAX_L1_BYTES } from './layout.js';
import { checkQcow2Options, parseQcow2Options, type Qcow2Options } from './options.js';
import { refcountsPerBlock } from './refcounts.js';

const ENTRY_BYTES = 8;
const DIRECTORY_ENTRY_BYTES = 24;

/**
 * Bytes a new qcow2 image needs for the source's data (`required`) and when every cluster is allocated. Data shared
 * with a backing file is not known, so with one everything is required.
 * @throws INVALID_ARGUMENT, UNSUPPORTED_FEATURE, LIMIT_EXCEEDED, CANCELLED.
 */
export async function measureQcow2(request: MeasureRequest): Promise<MeasureResult> {
  const { source, control } = request;
  const path = source?.path ?? 'qcow2';
  const options = measureOptions(request, path);
  const { clusterSize } = options;
  const virtualSize = alignUp(source?.virtualSize ?? request.size, clusterSize);
  if (!Number.isSafeInteger(virtualSize)) throw tooLarge(path);
  const l2Entries = clusterSize / (options.extendedL2 ? 16 : 8);
  if (divideUp(virtualSize / clusterSize, l2Entries) * ENTRY_BYTES > MAX_L1_BYTES) throw tooLarge(path);

  let required = 0;
  if (options.preallocation === 'falloc' || options.preallocation === 'full') required = virtualSize;
  else if (source) {
    required =
      options.backingFile === undefined ? await dataClusters(source, clusterSize, control) : virtualSize;
  }
  const fullyAllocated = preallocatedSize(virtualSize, options);
  const result = { required: fullyAllocated - virtualSize + required, fullyAllocated };
  const bitmaps = source && options.version === 3 ? await bitmapBytes(source, clusterSize) : undefined;
  return bitmaps === undefined ? result : { ...result, bitmaps };
}

/** QEMU measures with a name for the size alone, so backing names and formats are not looked at. */
function measureOptions(request: MeasureRequest, path: string): Qcow2Options {
  const { size: _size, backing_fmt: _format, ...options } = request.options;
  const values = parseQcow2Options(options, path);
  const preallocation = values.text('preallocation');
  if (preallocation !== undefined && !/^(off|metadata|falloc|full)$/.test(preallocation)) {
    throw invalid(`invalid parameter value: ${preallocation}`, path);
  }
  const { backing_file: backingFile, preallocation: _mode, ...checked } = options;
  return {
    ...checkQcow2Options(parseQcow2Options(checked, path), path),
    backingFile,
    preallocation: (preallocation ?? 'off') as Qcow2Options['preallocation'],
  };
}

function tooLarge(path: string): DiskImageError {
  return new DiskImageError(
    'LIMIT_EXCEEDED',
    'The image size is too large (try using a larger cluster size)',
    {
      path,
      operation: 'measure',
    },
  );
}

/** Bytes of the clusters that hold any data of the whole chain. */
async function dataClusters(source: Disk, clusterSize: number, control: JobControl): Promise<number> {
  const columns = new ExtentColumns();
  const stored = await storedRows(source);
  const size = source.virtualSize;
  control.total = size;
  let counted = 0;
  /** Clusters before this are counted. */
  let end = 0;
  for (let at = 0; at < size; ) {
    if (control.cancelled) {
      throw new DiskImageError('CANCELLED', 'measure was cancelled', {
        path: source.path,
        operation: 'measure',
      });
    }
    columns.clear();
    const next = await stored.map(columns, at, size);
    for (let row = 0; row < columns.count; row++) {
      if (columns.kind[row] < Kind.data) continue;
      const stop = alignUp(columns.start[row] + columns.length[row], clusterSize);
      const start = Math.max(end, columns.start[row] - (columns.start[row] % clusterSize));
      if (stop > start) counted += stop - start;
      end = Math.max(end, stop);
    }
    control.advance(next - at);
    at = next;
  }
  return counted;
}

/** Bytes of an image whose clusters are all allocated (QEMU: qcow2_calc_prealloc_size). */
function preallocatedSize(virtualSize: number, options: Qcow2Options): number {
  const { clusterSize } = options;
  const l2EntryBytes = options.extendedL2 ? 16 : 8;
  const l2Bytes = alignUp(virtualSize / clusterSize, clusterSize / l2EntryBytes) * l2EntryBytes;
  const l1Bytes = alignUp(l2Bytes / clusterSize, clusterSize / ENTRY_BYTES) * ENTRY_BYTES;
  const metadata = clusterSize + l2Bytes + l1Bytes;
  const clusters = (metadata + virtualSize) / clusterSize;
  const perBlock = refcountsPerBlock(clusterSize, options.refcountOrder);
  let blocks = 0;
  let table = 0;
  for (;;) {
    const nextBlocks = divideUp(clusters + table + blocks, perBlock);
    const nextTable = divideUp(nextBlocks, clusterSize / ENTRY_BYTES);
    if (nextBlocks === blocks && nextTable === table) break;
    blocks = nextBlocks;
    table = nextTable;
  }
  return metadata + (blocks + table) * clusterSize + virtualSize;
}

/** Room for the source's persistent bitmaps; undefined when the source's format has none. */
async function bitmapBytes(source: Disk, clusterSize: number): Promise<number | undefined> {
  const specific = (await source.info()).formatSpecific;
  if (specific?.type !== 'qcow2' || specific.data.compat !== '1.1') return undefined;
  const bitmaps = (specific.data.bitmaps ?? []) as { name: string; granularity: number; flags: string[] }[];
  let bytes = 0;
  let directory = 0;
  for (const { name, granularity, flags } of bitmaps) {
    if (flags.includes('in-use')) continue;
    const data = divideUp(divideUp(divideUp(source.virtualSize, granularity), 8), clusterSize);
    bytes += data * clusterSize + alignUp(data * ENTRY_BYTES, clusterSize);
    directory += alignUp(DIRECTORY_ENTRY_BYTES + Buffer.byteLength(name), 8);
  }
  return bytes + alignUp(directory, clusterSize);
}
