import { statSync } from 'node:fs';
import type { ComposedImage, CreateOutcome, CreateRequest } from '../../disk/format.js';
import type { NewFile } from '../../disk/newFile.js';
import { requestedSize } from '../optionText.js';
import { checkDeviceSize, createNewFile, publishSmallFile } from '../publish.js';
import { clearDevice } from './clearDevice.js';
import { createDataFile } from './dataFile.js';
import { type Geometry, geometry, type Layout, planLayout, tooLarge } from './layout.js';
import { newImageHeader, refcountBlockBytes, refcountTableBytes } from './newHeader.js';
import { checkQcow2Options, effectiveQcow2Options, parseQcow2Options, type Qcow2Options } from './options.js';
import { preallocate } from './preallocate.js';

interface Plan {
  options: Qcow2Options;
  shape: Geometry;
  layout: Layout;
  image: ComposedImage;
}

/**
 * A new, empty image, laid out like QEMU's. Without preallocation it costs a few KiB and one fdatasync, whatever its
 * virtual size.
 * @throws INVALID_ARGUMENT with QEMU's sentences; UNSUPPORTED_FEATURE (encryption); LIMIT_EXCEEDED; LOCKED; IO;
 * CANCELLED. Nothing is left of the image then.
 */
export async function createQcow2(path: string, request: CreateRequest): Promise<CreateOutcome> {
  const { image, ...plan } = planImage(path, request);
  if (isSmall(plan.options) && !isDevice(path)) await publishSmallFile({ path, ...image }, request);
  else await createLarge(path, { image, ...plan }, request);
  return { virtualSize: image.virtualSize, effective: image.effective };
}

/** The content of an image without preallocation and data file, such as an overlay. */
export function composeQcow2(
  path: string,
  request: Pick<CreateRequest, 'size' | 'options'>,
): ComposedImage | undefined {
  const { options, image } = planImage(path, request);
  return isSmall(options) ? image : undefined;
}

/** A device has no name to swap and keeps its old bytes: it goes the long way. */
function isDevice(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isBlockDevice() ?? false;
}

function isSmall(options: Qcow2Options): boolean {
  return options.preallocation === 'off' && options.dataFile === undefined && !options.hints;
}

function planImage(path: string, request: Pick<CreateRequest, 'size' | 'options' | 'announce'>): Plan {
  const values = parseQcow2Options(request.options, path);
  const size = requestedSize(values, request.size, path);
  const effective = effectiveQcow2Options(values, size);
  request.announce?.(effective);
  const options = checkQcow2Options(values, path);
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw tooLarge(path);
  const shape = geometry(options, Number(size), path);
  const allocates = options.preallocation !== 'off';
  const layout = planLayout(
    shape,
    { l2: allocates, data: allocates && options.dataFile === undefined },
    path,
  );
  const pieces = firstPieces(options, shape, layout, path);
  return {
    options,
    shape,
    layout,
    image: { length: layout.fileLength, pieces, virtualSize: shape.virtualSize, effective },
  };
}

/** What an image without L2 tables consists of; the L1 table is a hole. */
export function firstPieces(
  options: Qcow2Options,
  shape: Geometry,
  layout: Layout,
  path: string,
): ComposedImage['pieces'] {
  const { clusterSize } = shape;
  const pieces = [
    { offset: 0, data: newImageHeader(options, shape, layout, path) },
    { offset: layout.refcountTableOffset, data: refcountTableBytes(layout, clusterSize) },
  ];
  // With preallocation the blocks are many, and preallocate() streams them.
  if (layout.l2Tables === 0) {
    for (let i = 0; i < layout.refcountBlocks; i++) {
      pieces.push({
        offset: layout.refcountBlockOffset + i * clusterSize,
        data: refcountBlockBytes(shape, layout.clusters, i),
      });
    }
  }
  return pieces;
}

async function createLarge(
  path: string,
  { options, shape, layout, image }: Plan,
  request: CreateRequest,
): Promise<void> {
  const files: NewFile[] = [];
  try {
    const dataFile = await createDataFile(path, options, shape, request);
    if (dataFile) files.push(dataFile);
    const target = await createNewFile(path, request.lock, options.hints);
    files.push(target);
    checkDeviceSize(target, layout.fileLength);
    if (target.inPlace) await clearDevice(target.file, layout, request.control);
    else await target.file.truncate(layout.fileLength);
    for (const { offset, data } of image.pieces) await target.file.write(data, offset);
    await preallocate(target.file, options, shape, layout, request.control);
    for (const file of files) await file.publish({ sync: request.sync });
  } finally {
    for (const file of files) await file.discard();
  }
}
