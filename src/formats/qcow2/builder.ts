// New images as convert's target: the engine packs clusters, this writes the tables that say where they went.
import type { EncryptedFile } from '../../disk/encryptedFile.js';
import type { ConvertTarget, TargetRequest } from '../../disk/format.js';
import type { NewFile } from '../../disk/newFile.js';
import type { BatchResult, JobTotals, PackSink } from '../../native.js';
import { ImageTables } from './imageTables.js';
import type { Geometry } from './layout.js';
import type { Qcow2Options } from './options.js';
import { maxRefcount } from './refcounts.js';

/** Header, early refcount blocks, L1 table; then data and L2 tables as they come; the refcount table last. */
export class PackedTarget implements ConvertTarget {
  readonly sink: PackSink;
  readonly alignment: number;
  readonly #target: NewFile;
  readonly #tables: ImageTables;
  #end: number;

  private constructor(target: NewFile, tables: ImageTables, sink: PackSink) {
    this.#target = target;
    this.#tables = tables;
    this.sink = sink;
    this.alignment = sink.clusterSize;
    this.#end = sink.firstFree;
  }

  static async create(
    target: NewFile,
    options: Qcow2Options,
    shape: Geometry,
    request: TargetRequest,
    encrypted?: EncryptedFile,
  ): Promise<PackedTarget> {
    const tables = new ImageTables(target.file, target.path, options, shape);
    await tables.begin();
    // Version 2 has no zero flag: over a backing file zeros must be stored.
    const zerosAreData = request.sparseSize === 0 || (request.backing && options.version === 2);
    return new PackedTarget(target, tables, {
      type: 'pack',
      fd: target.file.fd,
      path: target.path,
      clusterSize: shape.clusterSize,
      guestSize: shape.virtualSize,
      firstFree: tables.firstFree,
      reserveEvery: shape.refcountCoverage,
      groupBytes: shape.l2Coverage,
      groupTableBytes: shape.clusterSize,
      refcountMax: maxRefcount(options.refcountOrder),
      detectZeros: !zerosAreData,
      reportZeros: request.backing && !zerosAreData,
      compression: request.compress
        ? {
            codec: options.compressionType === 'zstd' ? 'zstd' : 'deflate',
            level: request.compressionLevel ?? 0,
          }
        : null,
      dropCache: request.dropCache,
      ...(encrypted && { cipher: encrypted.cipher }),
    });
  }

  async accept(result: BatchResult): Promise<void> {
    await this.#record(result);
  }

  async finish(totals: JobTotals): Promise<void> {
    await this.#record({ written: 0, groups: totals.groups, firstFree: totals.firstFree });
    await this.#tables.finish(this.#end);
  }

  publish(options: { sync: boolean }): Promise<void> {
    return this.#target.publish(options);
  }

  discard(): Promise<void> {
    return this.#target.discard();
  }

  /** Entries of packed and of zero clusters merge in guest order; a table closes before the next begins. */
  async #record({ packed, zeroed, groups, firstFree }: BatchResult): Promise<void> {
    const tables = this.#tables;
    const zeros = zeroed?.length ?? 0;
    const places = packed?.count ?? 0;
    let table = 0;
    let zero = 0;
    for (let place = 0; place < places || zero < zeros; ) {
      const isZero = place >= places || (zero < zeros && zeroed![zero] < packed!.guest[place]);
      const guest = isZero ? zeroed![zero] : packed!.guest[place];
      if (tables.openGroup >= 0 && tables.openGroup !== tables.groupOf(guest)) {
        await tables.closeGroup(groups!.host[table++]);
      }
      let pending: Promise<void> | undefined;
      if (isZero) {
        tables.setZero(guest);
        zero++;
      } else {
        const { host, size } = packed!;
        pending =
          size[place] === 0
            ? tables.setData(guest, host[place], true)
            : tables.setCompressed(guest, host[place], size[place]);
        place++;
      }
      if (pending) await pending;
    }
    for (; table < (groups?.count ?? 0); table++) await tables.closeGroup(groups!.host[table]);
    if (firstFree !== undefined) this.#end = Math.max(this.#end, firstFree);
  }
}
