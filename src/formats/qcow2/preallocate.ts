// L1, L2 tables and refcount blocks of an image whose clusters are all allocated, streamed in bounded pieces.
import type { JobControl } from '../../disk/control.js';
import { DiskImageError } from '../../disk/errors.js';
import type { HostFile } from '../../disk/hostFile.js';
import { extendFile } from '../raw/create.js';
import { entryWords, tableBytes } from './l2Entry.js';
import type { Geometry, Layout } from './layout.js';
import { refcountBlockBytes } from './newHeader.js';
import type { Qcow2Options } from './options.js';

const ENTRY_BYTES = 8;
/** Bytes of tables made at a time. */
const CHUNK = 2 ** 20;

/**
 * Fills the tables of an image with `layout.l2Tables` and reserves host space as the mode says. QEMU leaves the
 * subcluster bitmaps of extended entries empty, so that clusters read as unallocated until they are written.
 * `reports`: this is the whole job, so its progress counts.
 */
export async function preallocate(
  file: HostFile,
  options: Qcow2Options,
  shape: Geometry,
  layout: Layout,
  control: JobControl,
  reports = true,
): Promise<void> {
  if (layout.l2Tables === 0) return;
  const external = options.dataFile !== undefined;
  const { preallocation: mode } = options;
  const reserved = !external && (mode === 'falloc' || mode === 'full') ? mode : undefined;
  if (reports) control.total = shape.virtualSize;
  await writeRun(
    file,
    layout.refcountBlockOffset,
    layout.refcountBlocks,
    shape.clusterSize,
    control,
    (index, into) => into.set(refcountBlockBytes(shape, layout.clusters, index)),
  );
  await writeRun(file, layout.l1Offset, layout.l1Entries, ENTRY_BYTES, control, (index, into) =>
    into.set(tableBytes(Uint32Array.from(entryWords(layout.l2Offset + index * shape.clusterSize, true)))),
  );
  const first = external ? 0 : layout.dataOffset;
  await writeRun(file, layout.l2Offset, layout.l2Tables, shape.clusterSize, control, (index, into) => {
    into.set(tableBytes(l2TableWords(shape, index, first)));
    if (reports && !reserved)
      control.advance(Math.min(shape.l2Coverage, shape.virtualSize - index * shape.l2Coverage));
  });
  if (reserved && !file.isBlockDevice) {
    await extendFile(file, layout.dataOffset, layout.fileLength, reserved, control.buffer);
  }
}

/** Table `index`, mapping guest cluster n to host cluster n counted from host offset `first`; bitmaps empty. */
export function l2TableWords(shape: Geometry, index: number, first: number): Uint32Array {
  const words = new Uint32Array(shape.clusterSize / 4);
  const stride = shape.l2EntryBytes / 4;
  const from = index * shape.l2Entries;
  const count = Math.min(shape.l2Entries, shape.guestClusters - from);
  for (let i = 0; i < count; i++) {
    const [hi, lo] = entryWords(first + (from + i) * shape.clusterSize, true);
    words[i * stride] = hi;
    words[i * stride + 1] = lo;
  }
  return words;
}

/** Writes `count` items of `bytes` each, one after another from `offset`, about a MiB at a time. */
async function writeRun(
  file: HostFile,
  offset: number,
  count: number,
  bytes: number,
  control: JobControl,
  fill: (index: number, into: Uint8Array) => void,
): Promise<void> {
  const perChunk = Math.max(1, Math.floor(CHUNK / bytes));
  for (let at = 0; at < count; at += perChunk) {
    if (control.cancelled) throw new DiskImageError('CANCELLED', 'create was cancelled', { path: file.path });
    const items = Math.min(perChunk, count - at);
    const chunk = new Uint8Array(items * bytes);
    for (let i = 0; i < items; i++) fill(at + i, chunk.subarray(i * bytes, (i + 1) * bytes));
    await file.write(chunk, offset + at * bytes);
  }
}
