// A new image with an external data file as convert's target: the engine writes the data file, this maps it.
import type { ExtentColumns } from '../../disk/extents.js';
import type { ConvertTarget, TargetRequest } from '../../disk/format.js';
import type { NewFile } from '../../disk/newFile.js';
import type { BatchResult, RawSink } from '../../native.js';
import { rawSink } from '../rawSink.js';
import { forEachCluster } from './clusterRows.js';
import { createDataFile } from './dataFile.js';
import { ImageTables } from './imageTables.js';
import type { Geometry } from './layout.js';
import type { Qcow2Options } from './options.js';

export class DataFileTarget implements ConvertTarget {
  readonly sink: RawSink;
  readonly alignment: number;
  readonly #target: NewFile;
  readonly #dataFile: NewFile;
  readonly #tables: ImageTables;
  readonly #shape: Geometry;
  readonly #markZeros: boolean;
  readonly #mapAll: boolean;
  /** First free byte of the image file. */
  #end: number;

  private constructor(
    target: NewFile,
    dataFile: NewFile,
    tables: ImageTables,
    shape: Geometry,
    request: TargetRequest,
  ) {
    this.#target = target;
    this.#dataFile = dataFile;
    this.#tables = tables;
    this.#shape = shape;
    this.#markZeros = request.backing;
    this.#mapAll = request.sparseSize === 0;
    this.#end = tables.firstFree;
    this.alignment = shape.clusterSize;
    const { file, inPlace } = dataFile;
    const zeros = this.#mapAll && !request.backing ? 'write' : inPlace ? 'punch' : 'skip';
    this.sink = rawSink(file, request, zeros);
  }

  static async create(
    target: NewFile,
    options: Qcow2Options,
    shape: Geometry,
    request: TargetRequest,
  ): Promise<DataFileTarget> {
    const dataFile = await createDataFile(target.path, options, shape, request);
    if (!dataFile) throw new RangeError('an image without a data file');
    try {
      const tables = new ImageTables(target.file, target.path, options, shape);
      await tables.begin();
      return new DataFileTarget(target, dataFile, tables, shape, request);
    } catch (error) {
      await dataFile.discard();
      throw error;
    }
  }

  async accept(_result: BatchResult, columns: ExtentColumns): Promise<void> {
    const tables = this.#tables;
    await forEachCluster(columns, this.#shape.clusterSize, (guest, zero) => {
      if (zero && !this.#markZeros && !this.#mapAll) return undefined;
      const mark = () => {
        if (zero && this.#markZeros) tables.setZero(guest);
        else tables.setData(guest, guest, false);
      };
      if (tables.openGroup < 0 || tables.openGroup === tables.groupOf(guest)) {
        mark();
        return undefined;
      }
      return tables.closeGroup(this.#allocate()).then(mark);
    });
  }

  async finish(): Promise<void> {
    if (this.#tables.openGroup >= 0) await this.#tables.closeGroup(this.#allocate());
    await this.#tables.finish(this.#end);
  }

  async publish(options: { sync: boolean }): Promise<void> {
    await this.#dataFile.publish(options);
    await this.#target.publish(options);
  }

  async discard(): Promise<void> {
    await this.#dataFile.discard();
    await this.#target.discard();
  }

  /** A cluster for a table, past the places of refcount blocks. */
  #allocate(): number {
    const { clusterSize, refcountCoverage } = this.#shape;
    if (this.#end % refcountCoverage === 0) this.#end += clusterSize;
    const place = this.#end;
    this.#end += clusterSize;
    return place;
  }
}
