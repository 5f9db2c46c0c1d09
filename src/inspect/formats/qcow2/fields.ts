import { isZero } from '../../bytes.js';
import type { Report } from '../../report.js';
import {
  COMPRESSION,
  CORRUPT,
  DATA_FILE,
  DIRTY,
  EXTENDED_L2,
  type Header,
  V2_HEADER_BYTES,
  V3_HEADER_BYTES,
} from './header.js';

const MAX_BACKING_NAME = 1023;
const MIN_SUBCLUSTERED_BITS = 14;

function judgeFeatures(report: Report, header: Header): void {
  const { incompatible, compressionType, clusterBits } = header;
  if ((incompatible & DATA_FILE) !== 0n) {
    report.refuse(
      'data-file',
      'the image keeps its data in an external file (incompatible feature bit 2)',
      72,
    );
  }
  if ((incompatible & CORRUPT) !== 0n) {
    report.refuse('corrupt', 'the image is flagged corrupt (incompatible feature bit 1)', 72);
  }
  if ((incompatible & DIRTY) !== 0n) report.warn('the image is flagged dirty: its refcounts may be stale');
  if ((incompatible & EXTENDED_L2) !== 0n) {
    if (clusterBits < MIN_SUBCLUSTERED_BITS) {
      report.refuse(
        'invalid-header',
        `extended L2 entries need cluster_bits of at least 14, not ${clusterBits}`,
        72,
      );
    }
    if (report.options.strict) {
      report.refuse(
        'strict-feature',
        'extended L2 entries (incompatible feature bit 4) are not accepted',
        72,
      );
    }
  }
  if (((incompatible & COMPRESSION) !== 0n) !== (compressionType !== 0)) {
    report.refuse(
      'invalid-header',
      `compression type ${compressionType} contradicts incompatible feature bit 3`,
      104,
    );
  } else if (compressionType > 1) {
    report.refuse(
      'unknown-features',
      `compression type ${compressionType} is neither 0 (zlib) nor 1 (zstd)`,
      104,
    );
  }
}

function judgeNames(report: Report, { backingOffset, backingLength, clusterBits }: Header): void {
  if (backingOffset === 0) {
    if (backingLength !== 0) {
      report.refuse('invalid-header', `backing file name of ${backingLength} bytes without an offset`, 16);
    }
    return;
  }
  report.refuse('backing-file', `the image has a backing file (its name is at byte ${backingOffset})`, 8);
  if (backingLength > MAX_BACKING_NAME) {
    report.refuse(
      'invalid-header',
      `backing file name of ${backingLength} bytes exceeds the limit of ${MAX_BACKING_NAME}`,
      16,
    );
  }
  if (clusterBits <= 21 && backingOffset + backingLength > 2 ** clusterBits) {
    report.refuse(
      'invalid-header',
      `backing file name at byte ${backingOffset} is not in the first cluster`,
      8,
    );
  }
}

/** What the header says by itself, without any other part of the file. */
export function judgeFields(report: Report, header: Header, head: Buffer): void {
  const { version, clusterBits, refcountOrder, headerLength, cryptMethod } = header;
  if (version !== 2 && version !== 3) {
    report.refuse('unsupported-version', `qcow2 version ${version} is neither 2 nor 3`, 4);
  }
  report.setVirtualSize(header.virtualSize, 24);
  if (clusterBits < 9 || clusterBits > 21) {
    report.refuse('invalid-header', `cluster_bits of ${clusterBits} is not between 9 and 21`, 20);
  }
  judgeNames(report, header);
  if (cryptMethod !== 0) {
    report.encryption = cryptMethod === 1 ? 'aes' : cryptMethod === 2 ? 'luks' : 'unknown';
    report.refuse(
      'encrypted',
      `the image is encrypted (method ${cryptMethod}): its content cannot be judged`,
      32,
    );
  }
  if (version === 3) {
    if (
      headerLength < V3_HEADER_BYTES ||
      headerLength % 8 !== 0 ||
      headerLength > 2 ** Math.min(clusterBits, 21)
    ) {
      report.refuse(
        'invalid-header',
        `header length of ${headerLength} is no multiple of 8 from 104 to the cluster size`,
        100,
      );
    }
    if (refcountOrder > 6) {
      report.refuse('invalid-header', `refcount_order of ${refcountOrder} exceeds the limit of 6`, 96);
    }
    judgeFeatures(report, header);
  } else if (version === 2 && report.options.strict && !isZero(head.subarray(V2_HEADER_BYTES, 80))) {
    report.refuse('strict-feature', 'a version 2 header with non-zero bytes at 72', 72);
  }
}
