import type { Report } from './report.js';

/** Clusters whose references are counted in one pass: 32 MiB of memory, 2 TiB of file at 64 KiB clusters. */
export const WINDOW_CLUSTERS = 2 ** 25;

/**
 * References found for each host cluster of a window of the file. One byte each; the few counts above 254 are in a
 * map. Sized by the file, never by what the image claims.
 */
export class References {
  readonly clusterSize: number;
  fileSize: number;
  /** Host clusters of the file; grows by one when the last one is only half there. */
  clusters: number;
  readonly start: number;
  #counts: Uint8Array;
  readonly #large = new Map<number, number>();
  readonly #max: number;
  readonly #windowClusters: number;
  readonly #report: Report;
  /** Whether this pass says what is wrong with a region itself: only the first does. */
  readonly #first: boolean;

  constructor(
    clusterSize: number,
    fileSize: number,
    start: number,
    max: number,
    report: Report,
    windowClusters = WINDOW_CLUSTERS,
  ) {
    this.clusterSize = clusterSize;
    this.fileSize = fileSize;
    this.clusters = Math.ceil(fileSize / clusterSize);
    this.start = start;
    this.#max = max;
    this.#report = report;
    this.#first = start === 0;
    this.#windowClusters = windowClusters;
    this.#counts = new Uint8Array(Math.max(0, Math.min(windowClusters, this.clusters + 1 - start)));
  }

  /** One past the window's last cluster. */
  get end(): number {
    return Math.min(this.start + this.#counts.length, this.clusters);
  }

  count(cluster: number): number {
    const count = this.#counts[cluster - this.start];
    return count < 255 ? count : (this.#large.get(cluster) ?? 255);
  }

  /** The first cluster from `from` on that is referred to (`used`) or not, at most the window's end. */
  next(used: boolean, from: number): number {
    let at = from - this.start;
    const stop = this.end - this.start;
    while (at < stop && (this.#counts[at] !== 0) !== used) at++;
    return this.start + at;
  }

  /** The file has grown to `fileSize` bytes. */
  grow(fileSize: number): void {
    this.fileSize = fileSize;
    this.clusters = Math.max(this.clusters, Math.ceil(fileSize / this.clusterSize));
    const length = Math.max(0, Math.min(this.#windowClusters, this.clusters + 1 - this.start));
    if (length <= this.#counts.length) return;
    const counts = new Uint8Array(length);
    counts.set(this.#counts);
    this.#counts = counts;
  }

  holds(cluster: number): boolean {
    return cluster >= this.start && cluster < this.start + this.#counts.length;
  }

  /** Adds a reference to every cluster that [offset, offset + size) touches. Less than a cluster may lie past the end. */
  add(offset: number, size: number, hex?: string): void {
    if (size <= 0) return;
    const { clusterSize } = this;
    if (offset + size - this.fileSize >= clusterSize) {
      if (this.#first) {
        this.#report.corruption(
          'ERROR: counting reference for region exceeding the end of the file by one cluster or more: ' +
            `offset 0x${hex ?? offset.toString(16)} size 0x${size.toString(16)}`,
        );
      }
      return;
    }
    const last = Math.floor((offset + size - 1) / clusterSize);
    if (last >= this.clusters) this.clusters = last + 1;
    const from = Math.max(Math.floor(offset / clusterSize), this.start);
    const to = Math.min(last, this.start + this.#counts.length - 1);
    for (let cluster = from; cluster <= to; cluster++) this.#add(cluster);
  }

  #add(cluster: number): void {
    const at = cluster - this.start;
    const count = this.#counts[at];
    if (count < 254 && count < this.#max) {
      this.#counts[at] = count + 1;
      return;
    }
    const exact = this.count(cluster);
    if (exact >= this.#max) {
      this.#report.corruption(
        `ERROR: overflow cluster offset=0x${(cluster * this.clusterSize).toString(16)}`,
      );
      this.#report.say(
        'Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a clean copy ' +
          'if the image cannot be opened for writing',
      );
      return;
    }
    if (exact + 1 < 255) {
      this.#counts[at] = exact + 1;
      return;
    }
    this.#counts[at] = 255;
    this.#large.set(cluster, exact + 1);
  }
}
