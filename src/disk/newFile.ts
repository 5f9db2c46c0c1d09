import * as fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { native } from '../native.js';
import { DiskImageError, toDiskImageError } from './errors.js';
import { HostFile } from './hostFile.js';
import { LockModes } from './lock.js';

const open = promisify(fs.open);

/** Linux's O_TMPFILE, which node:fs does not name: __O_TMPFILE | O_DIRECTORY (asm-generic/fcntl.h). */
const O_TMPFILE = 0o20000000 | fs.constants.O_DIRECTORY;

/**
 * `.NAME.XXXXXX.basecow-tmp`, in the target's folder; NAME cut so that the whole stays within NAME_MAX. It has to differ
 * from its neighbours', not to be hard to guess (O_EXCL and link refuse a taken one), and node:crypto is slow to load.
 */
export function temporaryName(path: string): string {
  const name = Buffer.from(basename(path)).subarray(0, 200).toString();
  const random = Math.floor(Math.random() * 2 ** 48);
  return join(dirname(path), `.${name}.${random.toString(16).padStart(12, '0')}.basecow-tmp`);
}

/** Advice to the filesystem; one that does not know it ignores it. */
export interface FileHints {
  /** Overwrite in place (btrfs). */
  noCopyOnWrite: boolean;
  /** Bytes of storage to allocate at a time (XFS); 0 = leave it to the filesystem. */
  extentSize: number;
}

export interface NewFileOptions {
  /** Permission bits before umask, default 0o644 (QEMU's). An existing target's bits and owner are kept. */
  mode?: number;
  /** `false`: fail with IO/EEXIST when the name is taken. Default true. */
  replace?: boolean;
  /** Take QEMU's lock on an existing target, so a running machine's disk is not replaced. Default true. */
  lock?: boolean;
  /** Not for block devices. */
  hints?: FileHints;
}

/**
 * A file that appears under its name only when it is complete. It is written without a name (O_TMPFILE; a
 * kill at any instant leaves nothing) or, on filesystems without that, under a temporary name beside the target.
 * A block device as target is written in place: it has no name to swap.
 */
export class NewFile {
  readonly path: string;
  readonly file: HostFile;
  readonly inPlace: boolean;
  readonly #temporary: string | undefined;
  readonly #replaced: HostFile | undefined;
  readonly #replace: boolean;
  #settled = false;

  private constructor(
    path: string,
    file: HostFile,
    inPlace: boolean,
    temporary: string | undefined,
    replaced: HostFile | undefined,
    replace: boolean,
  ) {
    this.path = path;
    this.file = file;
    this.inPlace = inPlace;
    this.#temporary = temporary;
    this.#replaced = replaced;
    this.#replace = replace;
  }

  /** @throws LOCKED when a process uses the existing target; IO for everything the filesystem refuses. */
  static async create(requested: string, options: NewFileOptions = {}): Promise<NewFile> {
    const path = resolveLinks(requested);
    const replace = options.replace ?? true;
    const lock = options.lock ?? true;
    const existing = fs.statSync(path, { throwIfNoEntry: false });
    if (existing?.isBlockDevice()) {
      const file = await HostFile.open(path, { write: true });
      try {
        if (lock) file.lock(LockModes.create);
      } catch (error) {
        await file.close();
        throw error;
      }
      return new NewFile(path, file, true, undefined, undefined, replace);
    }
    if (existing && !replace) {
      throw new DiskImageError('IO', `'${requested}' exists already`, {
        path: requested,
        operation: 'create',
        errno: 'EEXIST',
        syscall: 'open',
      });
    }
    let replaced: HostFile | undefined;
    if (existing) {
      replaced = await HostFile.open(path, { write: true });
      try {
        if (lock) replaced.lock(LockModes.create);
      } catch (error) {
        await replaced.close();
        throw error;
      }
    }
    let temporary: string | undefined;
    let file: HostFile | undefined;
    try {
      const mode = replaced?.mode ?? options.mode ?? 0o644;
      const opened = await openUnnamed(path, mode);
      temporary = opened.temporary;
      file = await HostFile.fromFd(opened.fd, requested, true);
      if (existing) keepOwner(file.fd, existing);
      if (replaced) fs.fchmodSync(file.fd, mode);
      if (options.hints) native.hintNewFile(file.fd, options.hints.noCopyOnWrite, options.hints.extentSize);
      return new NewFile(path, file, false, temporary, replaced, replace);
    } catch (error) {
      if (temporary) fs.rmSync(temporary, { force: true });
      await file?.close();
      await replaced?.close();
      throw toDiskImageError(error, { path: requested, operation: 'create' });
    }
  }

  /**
   * Gives the file its name and closes it. With `sync` (default) its data is on stable storage before the name
   * appears: one fdatasync.
   */
  async publish(options: { sync?: boolean } = {}): Promise<void> {
    try {
      if (options.sync ?? true) await this.file.sync();
      if (!this.inPlace) this.#name();
      this.#settled = true;
    } catch (error) {
      throw toDiskImageError(error, { path: this.path, operation: 'publish' });
    } finally {
      await this.discard();
    }
  }

  /** Closes; unless published, nothing of the file is left. Safe after publish. */
  async discard(): Promise<void> {
    if (!this.#settled && this.#temporary) fs.rmSync(this.#temporary, { force: true });
    this.#settled = true;
    await this.file.close();
    await this.#replaced?.close();
  }

  #name(): void {
    if (this.#temporary) {
      if (this.#replace) fs.renameSync(this.#temporary, this.path);
      else {
        fs.linkSync(this.#temporary, this.path);
        fs.unlinkSync(this.#temporary);
      }
      return;
    }
    if (!this.#replace || !this.#replaced) {
      try {
        native.linkFd(this.file.fd, this.path);
        return;
      } catch (error) {
        // Somebody made the name meanwhile: replacing is what was asked for, so go through a rename.
        if (!this.#replace || (error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
    const bridge = temporaryName(this.path);
    native.linkFd(this.file.fd, bridge);
    try {
      fs.renameSync(bridge, this.path);
    } catch (error) {
      fs.rmSync(bridge, { force: true });
      throw error;
    }
  }
}

/** A symbolic link as target means the file it points to, as with open(2); a dangling one names a file to make. */
function resolveLinks(path: string): string {
  let current = path;
  for (let hops = 0; hops < 40; hops++) {
    const stat = fs.lstatSync(current, { throwIfNoEntry: false });
    if (!stat?.isSymbolicLink()) return current;
    const target = fs.readlinkSync(current);
    current = target.startsWith('/') ? target : join(dirname(current), target);
  }
  throw new DiskImageError('IO', `too many levels of symbolic links at '${path}'`, {
    path,
    errno: 'ELOOP',
    syscall: 'readlink',
    operation: 'create',
  });
}

/** As far as the caller may: others than root cannot give files away. */
function keepOwner(fd: number, replaced: fs.Stats): void {
  const { uid, gid } = fs.fstatSync(fd);
  if (uid === replaced.uid && gid === replaced.gid) return;
  try {
    fs.fchownSync(fd, replaced.uid, replaced.gid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
  }
}

async function openUnnamed(path: string, mode: number): Promise<{ fd: number; temporary?: string }> {
  try {
    return { fd: await open(dirname(path), O_TMPFILE | fs.constants.O_RDWR, mode) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EOPNOTSUPP' && code !== 'EISDIR' && code !== 'EINVAL') throw error;
  }
  const temporary = temporaryName(path);
  const { O_RDWR, O_CREAT, O_EXCL } = fs.constants;
  return { fd: await open(temporary, O_RDWR | O_CREAT | O_EXCL, mode), temporary };
}
