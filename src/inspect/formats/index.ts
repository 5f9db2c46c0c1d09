import type { Detector } from '../report.js';
import { bochs, cloop, dmg, parallels, qed } from './banned.js';
import { hints } from './hints.js';
import { iso } from './iso.js';
import { luks } from './luks.js';
import { partitions } from './partitions.js';
import { qcow2 } from './qcow2/index.js';
import { vdi } from './vdi.js';
import { vhd } from './vhd.js';
import { vhdx } from './vhdx.js';
import { vmdk } from './vmdk/index.js';

/** All run on every image; findings are reported in this order. */
export const detectors: readonly Detector[] = [
  qcow2,
  qed,
  vmdk,
  vhd,
  vhdx,
  vdi,
  luks,
  parallels,
  bochs,
  cloop,
  dmg,
  iso,
  partitions,
  hints,
];
