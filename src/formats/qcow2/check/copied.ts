// COPIED is set exactly where the refcount is one (QEMU: check_oflag_copied).
import type { HostFile } from '../../../disk/hostFile.js';
import type { Qcow2Header } from '../header.js';
import type { L1Table } from '../l1.js';
import type { L2Cache } from '../l2Cache.js';
import { COMPRESSED_HI, COPIED_HI, entryOffset, tableBytes, ZERO_LO } from '../l2Entry.js';
import type { Report } from './report.js';
import { NOT_LOADED, type StoredRefcounts } from './storedRefcounts.js';
import { ahead, bits64 } from './walk.js';

export async function checkCopied(
  header: Qcow2Header,
  l1: L1Table,
  l2: L2Cache,
  stored: StoredRefcounts,
  report: Report,
  step: (bytes: number) => void,
  repair?: HostFile,
): Promise<void> {
  const { clusterSize } = header;
  const verb = repair ? 'Repairing' : 'ERROR';
  let handled = 0;
  for (let i = l1.nextUsed(0, l1.entries); i < l1.entries; i = l1.nextUsed(i + 1, l1.entries)) {
    step(8 * (i - handled));
    handled = i;
    const offset = l1.l2Offset(i);
    if (offset === 0) continue;
    const refcount = await stored.read(Math.floor(offset / clusterSize));
    if (refcount < 0) continue;
    const copied = (l1.words[2 * i] & COPIED_HI) !== 0;
    if ((refcount === 1) !== copied) {
      report.corruption(
        `${verb} OFLAG_COPIED L2 cluster: l1_index=${i} l1_entry=${l1.hex(i)} refcount=${refcount}`,
      );
      if (repair) {
        l1.words[2 * i] = (l1.words[2 * i] ^ COPIED_HI) >>> 0;
        await repair.write(tableBytes(l1.words.subarray(2 * i, 2 * i + 2)), l1.offset + 8 * i);
        report.repaired(1);
      }
    }
    const words = await l2.get(offset, ahead(l1, i, l2.maxAhead, clusterSize));
    const wrong = await checkTable(header, words, stored, report, verb);
    if (repair && wrong > 0) {
      await repair.write(tableBytes(words), offset);
      report.repaired(wrong);
    }
  }
  step(8 * (l1.entries - handled));
}

/** Returns how many flags are wrong; they are turned in `words` when repairing. */
async function checkTable(
  header: Qcow2Header,
  words: Uint32Array,
  stored: StoredRefcounts,
  report: Report,
  verb: string,
): Promise<number> {
  let wrong = 0;
  const { clusterSize, extendedL2, externalData } = header;
  const step = extendedL2 ? 4 : 2;
  for (let at = 0; at < words.length; at += step) {
    const hi = words[at];
    const lo = words[at + 1];
    if ((hi === 0 && lo === 0) || hi & COMPRESSED_HI) continue;
    const offset = entryOffset(hi, lo);
    const copied = (hi & COPIED_HI) !== 0;
    const zero = !extendedL2 && (lo & ZERO_LO) !== 0;
    if (offset === 0 && (zero || !externalData || !copied)) continue;
    let refcount = 1;
    if (!externalData) {
      const cluster = Math.floor(offset / clusterSize);
      refcount = stored.peek(cluster);
      if (refcount === NOT_LOADED) refcount = await stored.read(cluster);
      if (refcount < 0) continue;
    }
    if ((refcount === 1) !== copied) {
      report.corruption(`${verb} OFLAG_COPIED data cluster: l2_entry=${bits64(hi, lo)} refcount=${refcount}`);
      if (verb === 'Repairing') words[at] = (hi ^ COPIED_HI) >>> 0;
      wrong++;
    }
  }
  return wrong;
}
