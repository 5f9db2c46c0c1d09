import { DiskImageError } from '../../disk/errors.js';
import { PieceWriter } from '../pieceWriter.js';
import { ExtensionType, HEADER_V2_BYTES, Incompatible } from './constants.js';
import type { HeaderFields } from './header.js';
import { switchHeader } from './headerSwitch.js';
import type { ImageCore } from './imageCore.js';
import { readL1 } from './l1.js';
import { COMPRESSED_HI, entryWords, ZERO_LO } from './l2Entry.js';
import type { Layer } from './layer.js';
import type { L2Table } from './map.js';
import { ShadowRefcounts } from './shadowRefcounts.js';
import { placeL1, placeSnapshots, publish } from './snapshotEdit.js';
import { checkSnapshotL1, readSnapshots, type Snapshot, type SnapshotTable } from './snapshots.js';
import { l2Tables, placeOf } from './tableTree.js';
import type { WritableQcow2Disk } from './writable.js';

const UINT32_MAX = 0xffffffff;

/**
 * What version 2 cannot hold.
 * @param planned what will have been changed before
 * @throws UNSUPPORTED_OPERATION with QEMU's sentences.
 */
export async function refuseDowngrade(
  disk: WritableQcow2Disk,
  planned: { refcountOrder: number; diskSize: number },
): Promise<void> {
  const { header, path, file, limits } = disk;
  const refuse = (message: string) =>
    new DiskImageError('UNSUPPORTED_OPERATION', message, { path, operation: 'amend' });
  if (planned.refcountOrder !== 4) throw refuse('compat=0.10 requires refcount_bits=16');
  if (header.externalData) throw refuse('Cannot downgrade an image with a data file');
  const { snapshots } = await readSnapshots(file, header, limits);
  if (snapshots.some((one) => one.vmStateSize > UINT32_MAX || one.diskSize !== planned.diskSize)) {
    throw refuse('Internal snapshots prevent downgrade of image');
  }
  const features = header.incompatible & ~(Incompatible.dirty | Incompatible.compressionType);
  if (features !== 0n) {
    throw refuse(`Cannot downgrade an image with incompatible features 0x${features.toString(16)} set`);
  }
  if (header.bitmaps) throw refuse('Cannot downgrade an image with persistent bitmaps: version 2 has none');
  if (header.compressionType === 'zlib') return;
  const { core } = disk;
  for (const layer of [core.layer, ...(await snapshotLayers(core, snapshots))]) {
    for await (const table of l2Tables(layer)) {
      for (let at = 0; at < table.words.length; at += 2) {
        if ((table.words[at] & COMPRESSED_HI) === 0) continue;
        throw refuse('Cannot downgrade an image with zstd compression type and existing compressed clusters');
      }
    }
  }
}

/** Version 3 to 2, after refuseDowngrade: zero flags become zeros, then the header changes. */
export async function downgrade(core: ImageCore): Promise<void> {
  const { file, limits } = core;
  const table = await readSnapshots(file, core.header, limits);
  const layers = [core.layer, ...(await snapshotLayers(core, table.snapshots))];
  if (await anyZeroFlag(layers)) {
    await expandZeros(core, layers, table);
    await core.reload();
  }
  const fields: HeaderFields = {
    ...core.header,
    version: 2,
    headerLength: HEADER_V2_BYTES,
    incompatible: 0n,
    compatible: 0n,
    autoclear: 0n,
    compressionType: 'zlib',
    unknownFields: Buffer.alloc(0),
    extensions: core.header.extensions.filter(({ type }) => type !== ExtensionType.featureNames),
  };
  await switchHeader(file, fields);
}

async function snapshotLayers(core: ImageCore, snapshots: readonly Snapshot[]): Promise<Layer[]> {
  const layers: Layer[] = [];
  for (const snapshot of snapshots) {
    checkSnapshotL1(snapshot, core.header, core.file, core.limits);
    const l1 = await readL1(core.file, snapshot.l1Offset, snapshot.l1Entries);
    layers.push({ ...core.layer, l1 });
  }
  return layers;
}

function isZeroFlagged(words: Uint32Array, at: number): boolean {
  return (words[at] & COMPRESSED_HI) === 0 && (words[at + 1] & ZERO_LO) !== 0;
}

async function anyZeroFlag(layers: readonly Layer[]): Promise<boolean> {
  for (const layer of layers) {
    for await (const { words } of l2Tables(layer)) {
      for (let at = 0; at < words.length; at += 2) if (isZeroFlagged(words, at)) return true;
    }
  }
  return false;
}

/** New L2 tables without zero flags wherever there are any, for the disk and its snapshots, by one switch. */
async function expandZeros(core: ImageCore, layers: readonly Layer[], table: SnapshotTable): Promise<void> {
  const { clusterSize, l1Offset, l1Entries } = core.header;
  const shadow = new ShadowRefcounts(core);
  const writer = new PieceWriter(core.file);
  /** By the old table's place; tables without zero flags stay where they are. */
  const replaced = new Map<number, number>();
  const l1s: Uint32Array[] = [];
  for (const layer of layers) {
    const l1 = Uint32Array.from(layer.l1.words);
    for await (const l2 of l2Tables(layer)) {
      let place = replaced.get(l2.offset);
      if (place === undefined) {
        place = await withoutZeros(core, layer, l2, shadow, writer);
        replaced.set(l2.offset, place);
      }
      if (place === l2.offset) continue;
      const copied = layer === layers[0] && (await shadow.count(place / clusterSize)) === 1;
      l1.set(entryWords(place, copied), 2 * l2.index);
    }
    l1s.push(l1);
  }
  await writer.flush();
  const active = await placeL1(core, shadow, l1s[0]);
  if (l1Entries > 0) shadow.release(l1Offset, l1Entries * 8);
  const snapshots: Snapshot[] = [];
  for (const [i, snapshot] of table.snapshots.entries()) {
    const { l1Offset: place = 0 } = await placeL1(core, shadow, l1s[i + 1]);
    if (snapshot.l1Entries > 0) shadow.release(snapshot.l1Offset, snapshot.l1Entries * 8);
    snapshots.push({ ...snapshot, l1Offset: place });
  }
  const stored = snapshots.length > 0 ? await placeSnapshots(core, shadow, snapshots, table) : {};
  await publish(core, shadow, { ...active, ...stored });
}

/** The place of a table with the same content and no zero flags; the old one loses its references. */
async function withoutZeros(
  core: ImageCore,
  layer: Layer,
  table: L2Table,
  shadow: ShadowRefcounts,
  writer: PieceWriter,
): Promise<number> {
  const { clusterSize, backingFile } = core.header;
  const { words } = table;
  let own: Uint32Array | undefined;
  /** L1 tables that lead here: each counts everything once. */
  const references = await shadow.count(table.offset / clusterSize);
  for (let at = 0; at < words.length; at += 2) {
    if (!isZeroFlagged(words, at)) continue;
    own ??= Uint32Array.from(words);
    const old = placeOf(layer, table, at);
    if (backingFile === undefined) {
      own[at] = 0;
      own[at + 1] = 0;
      if (old !== 0) await shadow.add(old, clusterSize, -references);
      continue;
    }
    // A place of its own may be filled at once: until the switch its flag says that it reads as zeros.
    const alone = old !== 0 && (await shadow.count(old / clusterSize)) === references;
    let place = old;
    if (!alone) {
      if (old !== 0) await shadow.add(old, clusterSize, -references);
      place = (await shadow.allocate(1)).offset;
      await shadow.add(place, clusterSize, references - 1);
    }
    await core.file.zero(place, clusterSize);
    own.set(entryWords(place, references === 1), at);
  }
  if (!own) return table.offset;
  const { offset } = await shadow.allocate(1);
  await shadow.add(offset, clusterSize, references - 1);
  await shadow.add(table.offset, clusterSize, -references);
  await writer.writeWords(offset, own);
  return offset;
}
