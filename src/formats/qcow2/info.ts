import type { DiskInfo, FormatSpecificValue } from '../../disk/disk.js';
import { hasProtocol } from '../../disk/names.js';
import { readBitmaps } from './bitmaps.js';
import { CryptMethod } from './constants.js';
import type { Qcow2Disk } from './disk.js';
import { luksInfo } from './luks.js';
import { snapshotInfo } from './snapshots.js';

/** What QEMU's info reports for a qcow2 image (ImageInfo, ImageInfoSpecificQCow2). */
export async function infoOf(disk: Qcow2Disk): Promise<DiskInfo> {
  const { header, file } = disk;
  await file.refresh();
  const { backingFile } = header;
  const encrypted = header.cryptMethod !== CryptMethod.none;
  return {
    filename: file.path,
    format: 'qcow2',
    virtualSize: header.diskSize,
    actualSize: file.allocated,
    clusterSize: header.clusterSize,
    ...(encrypted && { encrypted }),
    dirtyFlag: header.dirty,
    ...(backingFile !== undefined && {
      backingFilename: backingFile,
      fullBackingFilename: fullName(backingFile, file.path),
    }),
    ...(header.backingFormat !== undefined && { backingFilenameFormat: header.backingFormat }),
    ...(disk.snapshotTable.snapshots.length > 0 && {
      snapshots: disk.snapshotTable.snapshots.map(snapshotInfo),
    }),
    formatSpecific: { type: 'qcow2', data: await specific(disk) },
  };
}

async function specific(disk: Qcow2Disk): Promise<{ [key: string]: FormatSpecificValue }> {
  const { header } = disk;
  const data: { [key: string]: FormatSpecificValue } = {
    compat: header.version === 2 ? '0.10' : '1.1',
    'compression-type': header.compressionType,
  };
  if (header.version >= 3) {
    data['lazy-refcounts'] = header.lazyRefcounts;
    const bitmaps = header.bitmapsValid ? await readBitmaps(disk.file, header, disk.limits) : [];
    if (bitmaps.length > 0) {
      data.bitmaps = bitmaps.map(({ inUse, auto, name, granularity }) => ({
        flags: [...(inUse ? ['in-use'] : []), ...(auto ? ['auto'] : [])],
        name,
        granularity,
      }));
    }
  }
  data['refcount-bits'] = header.refcountBits;
  if (header.version >= 3) {
    if (header.dataFile !== undefined && header.externalData) data['data-file'] = header.dataFile;
    if (header.externalData) data['data-file-raw'] = header.dataFileRaw;
    data.corrupt = header.corrupt;
    data['extended-l2'] = header.extendedL2;
  }
  if (header.cryptMethod === CryptMethod.aes) data.encrypt = { format: 'aes' };
  if (header.cryptMethod === CryptMethod.luks) {
    data.encrypt = (await luksInfo(disk.file, header)) ?? { format: 'luks' };
  }
  return data;
}

/** QEMU's path_combine: the image's directory and the name, not tidied up. */
function fullName(name: string, imagePath: string): string {
  if (name.startsWith('/') || hasProtocol(name)) return name;
  return imagePath.slice(0, imagePath.lastIndexOf('/') + 1) + name;
}
