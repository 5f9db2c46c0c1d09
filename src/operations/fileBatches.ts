import { DiskImageError } from '../disk/errors.js';
import { ExtentColumns } from '../disk/extents.js';
import type { MapBatch } from './batches.js';
import { type HostMap, openHostMap } from './hostMap.js';

const ROWS = 4096;
/** Open files in one batch; a few batches are under way at once. */
const FILES = 64;

/** A file among many that are digested as if they lay one behind the other. */
export interface JoinedFile {
  /** The caller's number. */
  index: number;
  /** Where its bytes begin among those of all files. */
  base: number;
  size: number;
}

export interface FileBatch extends MapBatch {
  /** The files that touch the batch, in order; the last one may go on in the next. */
  files: JoinedFile[];
  /** Those that end in it, open until it is recycled. */
  ending: HostMap[];
}

/** Puts the maps of many files one behind the other, and cuts them into batches. */
export class FileBatches {
  readonly #paths: readonly { index: number; path: string }[];
  readonly #failed: (index: number, error: unknown) => void;
  readonly #open = new Set<HostMap>();
  readonly #spare: ExtentColumns[] = [];
  #next = 0;
  #current: { file: JoinedFile; map: HostMap; done: number } | undefined;
  #end = 0;

  /** `failed` hears of files that cannot be opened, and are passed over. */
  constructor(
    paths: readonly { index: number; path: string }[],
    failed: (index: number, error: unknown) => void,
  ) {
    this.#paths = paths;
    this.#failed = failed;
  }

  /** The next batch; undefined at the end. Its columns and open files are the caller's until recycled. */
  async next(): Promise<FileBatch | undefined> {
    const columns = this.#spare.pop() ?? new ExtentColumns(ROWS);
    columns.clear();
    columns.capacity = ROWS;
    const piece = new ExtentColumns(ROWS);
    const files: JoinedFile[] = [];
    const ending: HostMap[] = [];
    const start = this.#end;
    while (!columns.full && files.length < FILES) {
      this.#current ??= await this.#openNext();
      if (!this.#current) break;
      const { file, map, done } = this.#current;
      piece.clear();
      piece.capacity = ROWS - columns.count;
      const next = await map.map(piece, done, file.size);
      for (let row = 0; row < piece.count; row++) {
        columns.appendPart(piece, row, 0, piece.length[row], file.base + piece.start[row]);
      }
      files.push(file);
      this.#end = file.base + next;
      this.#current = next < file.size ? { file, map, done: next } : undefined;
      if (!this.#current) ending.push(map);
    }
    return files.length > 0 ? { columns, start, end: this.#end, files, ending } : undefined;
  }

  /** Hands a batch back that the engine is done with: closes the files that end in it. */
  async recycle({ columns, ending }: FileBatch): Promise<void> {
    this.#spare.push(columns);
    for (const map of ending) await this.#close(map);
  }

  async close(): Promise<void> {
    for (const map of this.#open) await this.#close(map);
  }

  #close(map: HostMap): Promise<void> {
    this.#open.delete(map);
    return map.close();
  }

  async #openNext() {
    while (this.#next < this.#paths.length) {
      const { index, path } = this.#paths[this.#next++];
      try {
        const map = await openHostMap(path);
        this.#open.add(map);
        const size = map.virtualSize;
        if (size > 0) return { file: { index, base: this.#end, size }, map, done: 0 };
        await this.#close(map);
        throw new DiskImageError('SOURCE_CHANGED', `'${path}' shrank to nothing before it was read`, {
          path,
          operation: 'hash',
        });
      } catch (error) {
        this.#failed(index, error);
      }
    }
    return undefined;
  }
}
