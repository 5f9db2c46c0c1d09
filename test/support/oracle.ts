// Images judged from both sides: qemu-img over what we made, our reader over what anybody made.
import type { Test } from 'tap';
import { likeQemu } from '#src/disk/gates.js';
import { readDisk } from '#src/disk/view.js';
import { openDisk } from '#src/formats/open.js';
import { ourMap, qemuMap } from './qemuMap.js';
import { qemuImg } from './tools.js';

/** qemu-img finds no error or leak in the qcow2 image, and the same guest bytes as in `other`. */
export function checkedEqual(t: Test, image: string, other: string, format: string, about: string): void {
  qemuImg('check', '-q', '-f', 'qcow2', image);
  t.match(qemuImg('compare', '-f', 'qcow2', '-F', format, image, other), 'identical', about);
}

/** Our map of the qcow2 image is qemu-img's, and our reader finds `bytes`. */
export async function sameAsQemu(t: Test, image: string, bytes: Buffer, about: string): Promise<void> {
  const disk = await openDisk(image, { format: 'qcow2', gate: likeQemu });
  try {
    t.same(await ourMap(disk), qemuMap(image, 'qcow2'), `map: ${about}`);
    t.equal(disk.virtualSize, bytes.length, `size: ${about}`);
    t.ok((await readDisk(disk, 0, disk.virtualSize)).equals(bytes), `bytes: ${about}`);
  } finally {
    await disk.close();
  }
}
