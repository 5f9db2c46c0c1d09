import type { HostFile } from '../../disk/hostFile.js';
import { L2Cache } from './l2Cache.js';
import { MetadataCache } from './metadataCache.js';

/** Clean tables kept, bytes. */
const CLEAN_BYTES = 4 * 2 ** 20;

/** The L2 cache of a disk that changes: what maps see is what was changed last, written or not. */
export class WritableL2Cache extends L2Cache {
  readonly tables: MetadataCache<Uint32Array>;

  constructor(file: HostFile, clusterSize: number) {
    super(file, clusterSize, 0);
    this.tables = MetadataCache.words(file, clusterSize, CLEAN_BYTES);
  }

  override get maxAhead(): number {
    return this.tables.maxAhead;
  }

  override peek(offset: number): Uint32Array | undefined {
    return this.tables.peek(offset);
  }

  override get(offset: number, ahead = 1): Promise<Uint32Array> {
    return this.tables.get(offset, ahead);
  }

  override invalidate(offset: number): void {
    this.tables.forget(offset);
  }

  override clear(): void {
    this.tables.clear();
  }
}
