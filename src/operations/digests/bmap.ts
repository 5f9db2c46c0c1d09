import { createHash } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import { DiskImageError } from '../../disk/errors.js';
import { ExtentColumns } from '../../disk/extents.js';
import { divideUp } from '../../disk/offsets.js';
import type { GuestMap } from '../guestMap.js';
import { chunkDigest, type HashRequest } from '../hash.js';
import { algorithmRefusal, type HashAlgorithm } from '../hashAlgorithms.js';
import { hashRanges } from '../hashRanges.js';
import { isHashable } from '../hashRules.js';
import { openHostMap } from '../hostMap.js';
import type { JobSettings } from '../job.js';
import { holdsData } from '../rows.js';
import { openSource } from '../source.js';
import { digestWidth, hashlibName } from './algorithms.js';

export interface BmapRequest
  extends Pick<HashRequest, 'path' | 'guest' | 'format' | 'snapshot' | 'gate' | 'limits' | 'lock' | 'cache'> {
  /** Of every range and of the bmap itself. Default sha256. */
  algorithm?: HashAlgorithm;
}

export interface Bmap {
  path: string;
  /** Bytes. */
  size: number;
  /** Bytes: the block size of the file's filesystem; of a guest disk 4096. */
  blockSize: number;
  algorithm: HashAlgorithm;
  /** First and last mapped block, in turn. */
  ranges: Float64Array;
  /** Lower-case hexadecimal, one for every range. */
  digests: string[];
}

/** A million ranges need about 50 MB. */
const MAX_RANGES = 2 ** 20;

/**
 * Which blocks of a file, or with `guest` of the disk in it, hold data, and a digest of every run of them: what bmaptool
 * copies and verifies by. `bmapText` writes it down.
 * @throws INVALID_ARGUMENT for an empty file or a stream; LIMIT_EXCEEDED for more than 2^20 ranges; as `hash`.
 */
export async function makeBmap(request: BmapRequest, settings: JobSettings = {}): Promise<Bmap> {
  const { algorithm = 'sha256', ...source } = request;
  const { path, guest } = source;
  const refuse = (code: 'INVALID_ARGUMENT' | 'LIMIT_EXCEEDED', message: string): never => {
    throw new DiskImageError(code, message, { path, operation: 'hash' });
  };
  const refusal = algorithmRefusal(algorithm);
  if (refusal) refuse('INVALID_ARGUMENT', refusal);
  if (!guest && !(await isHashable(path))) {
    refuse('INVALID_ARGUMENT', 'A bmap needs a file with something in it, or a block device');
  }
  const map = guest ? await openSource({ ...source, format: source.format! }) : await openHostMap(path);
  let blockSize: number;
  let ranges: number[];
  try {
    blockSize = guest ? 4096 : await filesystemBlock(path);
    ranges = await mappedBlocks(map, blockSize);
  } finally {
    await map.close();
  }
  const size = map.virtualSize;
  if (size === 0) refuse('INVALID_ARGUMENT', 'A bmap needs a disk with something on it');
  if (ranges.length / 2 > MAX_RANGES) {
    refuse('LIMIT_EXCEEDED', `The data is in more than ${MAX_RANGES} ranges, too many for a bmap`);
  }
  const bytes = new Float64Array(ranges.length);
  for (let i = 0; i < ranges.length; i += 2) {
    bytes[i] = ranges[i] * blockSize;
    bytes[i + 1] = Math.min((ranges[i + 1] + 1) * blockSize, size) - bytes[i];
  }
  const found =
    ranges.length > 0
      ? await hashRanges({ ...source, algorithm, ranges: bytes }, settings)
      : { count: 0, digests: new Uint8Array() };
  const digests = Array.from({ length: found.count }, (_, i) => chunkDigest(found, i));
  return { path, size, blockSize, algorithm, ranges: Float64Array.from(ranges), digests };
}

/** First and last block of every run of blocks with data in them. */
async function mappedBlocks(map: GuestMap, blockSize: number): Promise<number[]> {
  const ranges: number[] = [];
  const columns = new ExtentColumns();
  for (let at = 0; at < map.virtualSize; ) {
    columns.clear();
    const next = await map.map(columns, at, map.virtualSize);
    for (let row = 0; row < columns.count; row++) {
      if (!holdsData(columns.kind[row])) continue;
      const first = Math.floor(columns.start[row] / blockSize);
      const last = divideUp(columns.start[row] + columns.length[row], blockSize) - 1;
      if (ranges.length > 0 && first <= ranges[ranges.length - 1] + 1) {
        ranges[ranges.length - 1] = Math.max(last, ranges[ranges.length - 1]);
      } else ranges.push(first, last);
    }
    if (ranges.length / 2 > MAX_RANGES) break;
    at = next;
  }
  return ranges;
}

/** What bmaptool takes: the filesystem's block. */
async function filesystemBlock(path: string): Promise<number> {
  const { bsize } = await statfs(path);
  return bsize >= 512 && bsize <= 65_536 && Number.isInteger(Math.log2(bsize)) ? bsize : 4096;
}

/** The bmap file, version 2.0, with its own checksum. */
export function bmapText({ size, blockSize, algorithm, ranges, digests }: Bmap): string {
  const blocks = divideUp(size, blockSize);
  let mapped = 0;
  const lines: string[] = [];
  for (const [i, digest] of digests.entries()) {
    const [first, last] = [ranges[2 * i], ranges[2 * i + 1]];
    mapped += last - first + 1;
    const span = first === last ? `${first}` : `${first}-${last}`;
    lines.push(`        <Range chksum="${digest}"> ${span} </Range>\n`);
  }
  const zeros = '0'.repeat(digestWidth(algorithm) * 2);
  const [before, after] = [
    `<?xml version="1.0" ?>
<bmap version="2.0">
    <ImageSize> ${size} </ImageSize>
    <BlockSize> ${blockSize} </BlockSize>
    <BlocksCount> ${blocks} </BlocksCount>
    <MappedBlocksCount> ${String(mapped).padEnd(String(blocks).length)} </MappedBlocksCount>
    <ChecksumType> ${hashlibName(algorithm)} </ChecksumType>
    <BmapFileChecksum> `,
    ` </BmapFileChecksum>
    <BlockMap>
${lines.join('')}    </BlockMap>
</bmap>
`,
  ];
  return before + createHash(algorithm).update(before).update(zeros).update(after).digest('hex') + after;
}
