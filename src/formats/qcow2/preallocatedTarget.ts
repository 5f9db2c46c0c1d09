// Preallocated images as convert's target: every cluster has its place from the start, one after another.
import type { ExtentColumns } from '../../disk/extents.js';
import type { ConvertTarget, TargetRequest } from '../../disk/format.js';
import type { NewFile } from '../../disk/newFile.js';
import { type BatchResult, native, type RawSink } from '../../native.js';
import { checkDeviceSize } from '../publish.js';
import { rawSink } from '../rawSink.js';
import { clearDevice } from './clearDevice.js';
import { forEachCluster } from './clusterRows.js';
import { firstPieces } from './create.js';
import { createDataFile } from './dataFile.js';
import { tableBytes } from './l2Entry.js';
import { type Geometry, type Layout, planLayout } from './layout.js';
import type { Qcow2Options } from './options.js';
import { l2TableWords, preallocate } from './preallocate.js';

const ALL_SUBCLUSTERS = 0xffffffff;

export class PreallocatedTarget implements ConvertTarget {
  readonly sink: RawSink;
  readonly alignment: number;
  readonly #target: NewFile;
  readonly #dataFile: NewFile | undefined;
  readonly #shape: Geometry;
  readonly #layout: Layout;
  readonly #subclusters: boolean;
  readonly #markZeros: boolean;
  #group = -1;
  #words: Uint32Array = new Uint32Array(0);

  private constructor(
    target: NewFile,
    dataFile: NewFile | undefined,
    options: Qcow2Options,
    shape: Geometry,
    layout: Layout,
    request: TargetRequest,
  ) {
    const { file } = dataFile ?? target;
    this.#target = target;
    this.#dataFile = dataFile;
    this.#shape = shape;
    this.#layout = layout;
    this.#subclusters = options.extendedL2;
    this.#markZeros = request.backing;
    this.alignment = shape.clusterSize;
    const zeros =
      request.sparseSize === 0 && !request.backing ? 'write' : file.isBlockDevice ? 'punch' : 'skip';
    this.sink = rawSink(file, request, zeros, dataFile ? 0 : layout.dataOffset);
  }

  static async create(
    target: NewFile,
    options: Qcow2Options,
    shape: Geometry,
    request: TargetRequest,
  ): Promise<PreallocatedTarget> {
    const external = options.dataFile !== undefined;
    const layout = planLayout(shape, { l2: true, data: !external }, target.path);
    checkDeviceSize(target, layout.fileLength);
    const dataFile = await createDataFile(target.path, options, shape, request);
    try {
      if (target.inPlace) await clearDevice(target.file, layout, request.control);
      else await target.file.truncate(layout.fileLength);
      for (const { offset, data } of firstPieces(options, shape, layout, target.path)) {
        await target.file.write(data, offset);
      }
      await preallocate(target.file, options, shape, layout, request.control, false);
      return new PreallocatedTarget(target, dataFile, options, shape, layout, request);
    } catch (error) {
      await dataFile?.discard();
      throw error;
    }
  }

  /** With subclusters an entry has a place but no content until its bitmap says so. */
  async accept(_result: BatchResult, columns: ExtentColumns): Promise<void> {
    if (!this.#subclusters) return;
    const { clusterSize, l2Coverage } = this.#shape;
    await forEachCluster(columns, clusterSize, (guest, zero) => {
      if (zero && !this.#markZeros) return undefined;
      const group = Math.floor(guest / l2Coverage);
      const mark = () => {
        const at = ((guest - group * l2Coverage) / clusterSize) * 4;
        this.#words[at + 2] = zero ? ALL_SUBCLUSTERS : 0;
        this.#words[at + 3] = zero ? 0 : ALL_SUBCLUSTERS;
      };
      if (group === this.#group) {
        mark();
        return undefined;
      }
      return this.#openGroup(group).then(mark);
    });
  }

  async finish(): Promise<void> {
    await this.#closeGroup();
  }

  async publish(options: { sync: boolean }): Promise<void> {
    await this.#dataFile?.publish(options);
    await this.#target.publish(options);
  }

  async discard(): Promise<void> {
    await this.#dataFile?.discard();
    await this.#target.discard();
  }

  async #openGroup(group: number): Promise<void> {
    await this.#closeGroup();
    this.#group = group;
    this.#words = l2TableWords(this.#shape, group, this.#dataFile ? 0 : this.#layout.dataOffset);
  }

  async #closeGroup(): Promise<void> {
    if (this.#group < 0) return;
    const { file } = this.#target;
    const data = tableBytes(this.#words);
    const offset = this.#layout.l2Offset + this.#group * this.#shape.clusterSize;
    this.#group = -1;
    await native.writePieces(file.fd, file.path, data, Float64Array.of(offset), Uint32Array.of(data.length));
  }
}
