import { native } from '../native.js';
import { DiskImageError } from './errors.js';

/** QEMU's block permissions (include/block/block-common.h), as bits of the lock bytes. */
export const Permission = {
  consistentRead: 1 << 0,
  write: 1 << 1,
  writeUnchanged: 1 << 2,
  resize: 1 << 3,
} as const;

const ALL = 0b1111;
const PERM_BASE = 100;
const SHARED_BASE = 200;
const NAMES = ['consistent read', 'write', 'write unchanged', 'resize'];

/** What a holder does with an image, and what it lets others do. */
export interface LockMode {
  use: number;
  share: number;
}

/**
 * Byte sets as qemu-img 7.2 takes them (block/file-posix.c, raw_check_lock_bytes): byte 100+i = "I use
 * permission i", byte 200+i = "I forbid others permission i".
 */
export const LockModes = {
  /** Reader of a format with metadata: 100 | 201 203. */
  read: { use: Permission.consistentRead, share: ALL & ~(Permission.write | Permission.resize) },
  /** A layer over a base that is being written to: nobody else may count on what it reads. 100 | 200 201 203. */
  overChanging: {
    use: Permission.consistentRead,
    share: ALL & ~(Permission.consistentRead | Permission.write | Permission.resize),
  },
  /** `info` of such a format: - | 201 203. */
  metadata: { use: 0, share: ALL & ~(Permission.write | Permission.resize) },
  /** Reader of a raw file that tolerates writers: 100 | -. */
  readShared: { use: Permission.consistentRead, share: ALL },
  /** Writer that may resize: 100 101 103 | 201 203. */
  write: {
    use: Permission.consistentRead | Permission.write | Permission.resize,
    share: ALL & ~(Permission.write | Permission.resize),
  },
  /** Raw resize: 100 101 103 | -. */
  resizeShared: {
    use: Permission.consistentRead | Permission.write | Permission.resize,
    share: ALL,
  },
  /** About to empty a file: 101 103 | 203. */
  create: { use: Permission.write | Permission.resize, share: ALL & ~Permission.resize },
} as const satisfies Record<string, LockMode>;

/**
 * Takes QEMU's locks on an open descriptor, never waiting. Locks belong to the descriptor and go when it is
 * closed.
 * @throws LOCKED with QEMU's words when another process (or another descriptor of this one) conflicts.
 */
export function lockImage(fd: number, path: string, mode: LockMode): void {
  const forbidden = ALL & ~mode.share;
  for (let i = 0; i < NAMES.length; i++) {
    if (mode.use & (1 << i)) take(fd, path, PERM_BASE + i);
    if (forbidden & (1 << i)) take(fd, path, SHARED_BASE + i);
  }
  for (let i = 0; i < NAMES.length; i++) {
    if (mode.use & (1 << i) && native.ofdTest(fd, SHARED_BASE + i, 1)) {
      throw conflict(fd, path, `Failed to get "${NAMES[i]}" lock`);
    }
    if (forbidden & (1 << i) && native.ofdTest(fd, PERM_BASE + i, 1)) {
      throw conflict(fd, path, `Failed to get shared "${NAMES[i]}" lock`);
    }
  }
}

/** Releases every lock byte of the descriptor. */
export function unlockImage(fd: number): void {
  native.ofdLock(fd, PERM_BASE, NAMES.length, 'unlock');
  native.ofdLock(fd, SHARED_BASE, NAMES.length, 'unlock');
}

function take(fd: number, path: string, byte: number): void {
  if (!native.ofdLock(fd, byte, 1, 'read')) throw conflict(fd, path, `Failed to lock byte ${byte}`);
}

function conflict(fd: number, path: string, what: string): DiskImageError {
  unlockImage(fd);
  return new DiskImageError('LOCKED', `${what}\nIs another process using the image [${path}]?`, {
    path,
    operation: 'lock',
  });
}
