import type { ConvertTarget, TargetRequest } from '../disk/format.js';
import type { GuestFile } from '../disk/guestFile.js';
import type { NewFile } from '../disk/newFile.js';
import type { RawSink } from '../native.js';
import { rawSink } from './rawSink.js';

/** Zeros move by whole pages of the host at best; batches need no more than that. */
const ALIGNMENT = 4096;

/** A file or block device in which every guest byte has its place from the start: the engine writes it by itself. */
export class FlatTarget implements ConvertTarget {
  readonly sink: RawSink;
  readonly alignment = ALIGNMENT;
  readonly #file: GuestFile;
  readonly #target: NewFile | undefined;

  /**
   * @param target the new file; undefined for an existing image, which is its opener's to close
   * @param isZero the guest bytes read as zeros now (where they are encrypted, they never do)
   * @param origin host offset of guest byte 0
   */
  constructor(
    file: GuestFile,
    target: NewFile | undefined,
    isZero: boolean,
    request: TargetRequest,
    origin = 0,
  ) {
    this.#file = file;
    this.#target = target;
    this.sink = rawSink(
      file,
      request,
      request.sparseSize === 0 ? 'write' : isZero ? 'skip' : 'punch',
      origin,
    );
  }

  async accept(): Promise<void> {}

  async finish(): Promise<void> {}

  async publish(options: { sync: boolean }): Promise<void> {
    if (this.#target) await this.#target.publish(options);
    else if (options.sync) await this.#file.host.sync();
  }

  async discard(): Promise<void> {
    await this.#target?.discard();
  }
}
