import type { GuestFile } from '../../disk/guestFile.js';
import type { HostFile } from '../../disk/hostFile.js';
import type { Qcow2Header } from './header.js';
import type { L1Table } from './l1.js';
import type { L2Cache } from './l2Cache.js';

/** What mapping one layer needs: its header, tables, and the file its data clusters are in. */
export interface Layer {
  readonly header: Qcow2Header;
  readonly file: HostFile;
  /** The image itself, or its external data file. */
  readonly dataFile: HostFile;
  /** The same for the guest bytes in it, which may be encrypted there; compressed ones never are. */
  readonly guest: GuestFile;
  readonly l1: L1Table;
  readonly l2: L2Cache;
}
