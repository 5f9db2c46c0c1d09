import type { JobControl } from '../../../disk/control.js';
import type { Disk } from '../../../disk/disk.js';
import { DiskImageError } from '../../../disk/errors.js';
import type { CheckResult, RepairMode } from '../../../disk/format.js';
import { Incompatible } from '../constants.js';
import { Qcow2Disk } from '../disk.js';
import type { Qcow2Header } from '../header.js';
import { writeHeaderFields } from '../headerUpdate.js';
import { type L1Table, readL1 } from '../l1.js';
import { L2Cache } from '../l2Cache.js';
import { maxRefcount } from '../refcounts.js';
import type { Snapshot, SnapshotTable } from '../snapshots.js';
import { countBitmaps } from './bitmaps.js';
import { countBlocks, MAX_CLUSTERS } from './blocks.js';
import { type Correction, compareRefcounts, Tally } from './compare.js';
import { checkCopied } from './copied.js';
import { rebuildRefcounts } from './rebuild.js';
import { References, WINDOW_CLUSTERS } from './references.js';
import { Report } from './report.js';
import { readTable, rewriteTable } from './snapshots.js';
import { StoredRefcounts } from './storedRefcounts.js';
import { walkL1 } from './walk.js';

export interface Qcow2CheckOptions {
  /** What is wrong is repaired; the disk's file must be writable. */
  repair?: RepairMode;
  /** Clusters whose references are counted at a time. */
  windowClusters?: number;
}

/**
 * Checks the metadata of a qcow2 image: counts every reference to every host cluster, compares with the stored
 * refcounts, and COPIED flags with both. Counts and sentences are those of `qemu-img check`. Without `repair` nothing
 * is changed; with it, every change by itself leaves the image no worse, and the dirty and corrupt bits go last.
 * Memory: 32 MiB for references at most (larger files are walked once per window of 2^25 clusters), an L1 table of
 * at most Limits.l1Bytes, 8 MiB of caches. Progress counts L1 bytes.
 * @throws INVALID_ARGUMENT for another format's disk; CANCELLED (between changes); IO
 */
export async function checkQcow2(
  disk: Disk,
  control: JobControl,
  options: Qcow2CheckOptions = {},
): Promise<CheckResult> {
  if (!(disk instanceof Qcow2Disk)) {
    throw new DiskImageError('INVALID_ARGUMENT', `'${disk.path}' is not a qcow2 disk`, { path: disk.path });
  }
  return new Examination(disk, control, options).run();
}

class Examination {
  readonly #disk: Qcow2Disk;
  readonly #control: JobControl;
  readonly #repair: RepairMode | undefined;
  readonly #windowClusters: number;
  readonly #report = new Report();
  readonly #l2: L2Cache;
  #header: Qcow2Header;
  #l1!: L1Table;
  #stored!: StoredRefcounts;
  #snapshots: readonly Snapshot[] = [];
  #snapshotBytes = 0;
  /** The references of a file that one window holds. */
  #whole: References | undefined;
  /** The refcount structure cannot be corrected, only built anew. */
  #broken = false;
  /** Not everything that refers to clusters could be read: nothing may be corrected. */
  #unreadable = false;

  constructor(disk: Qcow2Disk, control: JobControl, { repair, windowClusters }: Qcow2CheckOptions) {
    this.#disk = disk;
    this.#control = control;
    this.#repair = repair;
    this.#windowClusters = windowClusters ?? WINDOW_CLUSTERS;
    this.#header = disk.header;
    this.#l2 = new L2Cache(disk.file, disk.header.clusterSize);
  }

  async run(): Promise<CheckResult> {
    const report = this.#report;
    const { file, limits } = this.#disk;
    const table = await readTable(this.#disk, report, this.#repair === 'all');
    const ofSnapshots = report.corruptions;
    report.corruptions = 0;
    await file.refresh();
    const clusters = Math.ceil(file.size / this.#header.clusterSize);
    if (clusters > MAX_CLUSTERS) {
      report.checkError(`ERROR ${clusters} clusters exceed the limit of ${MAX_CLUSTERS}`);
      report.failure = 'EFBIG';
    } else if (table) {
      const { header } = this;
      report.totalClusters = Math.ceil(header.diskSize / header.clusterSize);
      this.#stored = await StoredRefcounts.open(file, header);
      this.#l1 = await readL1(file, header.l1Offset, header.l1Entries, { zeroFill: true });
      this.#snapshotBytes = table.bytes;
      this.#snapshots = this.#usableSnapshots(table.snapshots);
      await this.#refcounts();
    }
    report.corruptions += ofSnapshots;
    if (report.failure !== undefined || !table) return report.result();
    if (ofSnapshots > 0 && this.#repair === 'all' && report.corruptions === ofSnapshots) {
      this.#header = await rewriteTable({ file, header: this.#header, limits }, table);
      report.repaired(ofSnapshots);
    }
    if (this.#repair && report.checkErrors === 0 && report.corruptions === 0) await this.#markSound();
    return report.result();
  }

  get header(): Qcow2Header {
    return this.#header;
  }

  /** QEMU: qcow2_check_refcounts. */
  async #refcounts(): Promise<void> {
    const report = this.#report;
    const { file } = this.#disk;
    const all = this.#repair === 'all';
    let tally = new Tally();
    await this.#eachWindow({ judge: true, repair: all }, (references) =>
      this.#compare(references, tally, undefined),
    );
    if (this.#unreadable && this.#repair) {
      report.failure = 'EINVAL';
      return;
    }
    const rebuild = this.#broken || tally.rebuild;
    if (rebuild && all) {
      tally = await this.#rebuild(tally);
    } else if (rebuild && this.#repair) {
      report.say('ERROR need to rebuild refcount structures');
      report.failure = 'EIO';
      return;
    } else if (this.#repair && (tally.corruptions > 0 || tally.leaks > 0 || report.corruptions > 0)) {
      tally = new Tally();
      await this.#correct(tally, { leaks: true, errors: all });
      report.leaksFixed += tally.leaksFixed;
      report.corruptionsFixed += tally.corruptionsFixed;
    }
    report.leaks += tally.leaks;
    report.corruptions += tally.corruptions;
    // Flags say what the counts are: never before them.
    if (tally.corruptionsFixed > 0 || tally.leaksFixed > 0) await file.sync();
    const sound = report.checkErrors === 0 && report.corruptions === 0 && report.leaks === 0;
    await checkCopied(
      this.#header,
      this.#l1,
      this.#l2,
      this.#stored,
      report,
      (bytes) => this.#step(bytes),
      all || (this.#repair && sound) ? file : undefined,
    );
    report.imageEndOffset = (tally.highest + 1) * this.#header.clusterSize;
    if (!this.#repair) return;
    await file.sync();
    // What is still wrong may refer to what seemed to be free.
    if (report.corruptions === 0) await this.#punch(tally.freed);
  }

  async #rebuild(before: Tally): Promise<Tally> {
    const report = this.#report;
    const { file } = this.#disk;
    report.say('Rebuilding refcount structure');
    const found = { corruptions: report.corruptions + before.corruptions, leaks: before.leaks };
    const quiet = new Report();
    const placed = await rebuildRefcounts(file, this.#header, (visit) =>
      this.#whole ? visit(this.#whole) : this.#eachWindow({ into: quiet }, visit),
    );
    this.#header = Object.freeze({ ...this.#header, ...placed });
    await file.refresh();
    this.#stored = await StoredRefcounts.open(file, this.#header);
    this.#broken = false;
    report.corruptions = 0;
    const tally = new Tally();
    await this.#eachWindow({ judge: true }, (references) =>
      this.#compare(references, tally, { leaks: true, errors: false }),
    );
    await this.#stored.flush();
    if (tally.rebuild || this.#broken) report.say('ERROR rebuilt refcount structure is still broken');
    report.corruptionsFixed += Math.max(0, found.corruptions - report.corruptions);
    report.leaksFixed += Math.max(0, found.leaks - report.leaks);
    return tally;
  }

  async #correct(tally: Tally, correct: Correction): Promise<void> {
    const compare = (references: References) => this.#compare(references, tally, correct);
    if (this.#whole) await compare(this.#whole);
    else await this.#eachWindow({ into: new Report() }, compare);
    await this.#stored.flush();
  }

  #compare(references: References, tally: Tally, correct: Correction | undefined): Promise<void> {
    return compareRefcounts(this.#stored, references, this.#report, tally, correct, () => this.#step());
  }

  /**
   * Counts the references of one window after the other. `judge`: entries are judged, in the first pass; `into`: what is
   * found on the way goes there instead of the report.
   */
  async #eachWindow(
    {
      judge = false,
      repair = false,
      into = this.#report,
    }: { judge?: boolean; repair?: boolean; into?: Report },
    visit: (references: References) => Promise<void>,
  ): Promise<void> {
    const { file } = this.#disk;
    const { clusterSize, refcountOrder } = this.#header;
    const window = this.#windowClusters;
    const clusters = () => Math.ceil(file.size / clusterSize) + 1;
    const passes = Math.ceil(clusters() / window);
    const snapshotEntries = this.#snapshots.reduce((sum, { l1Entries }) => sum + l1Entries, 0);
    const { done } = this.#control.progress;
    this.#control.total = done + 8 * (passes * (this.#l1.entries + snapshotEntries) + this.#l1.entries);
    for (let start = 0; start === 0 || start < clusters(); start += window) {
      const max = maxRefcount(refcountOrder);
      const references = new References(clusterSize, file.size, start, max, into, window);
      const first = judge && start === 0;
      await this.#countAll(references, first ? into : undefined, first && repair);
      const broken = await countBlocks(this.#stored, references, into, first && repair ? file : undefined);
      this.#broken ||= broken;
      this.#whole = start === 0 && references.end >= references.clusters ? references : undefined;
      await visit(references);
    }
  }

  /** Everything that refers to clusters but the refcount blocks, in QEMU's order. */
  async #countAll(references: References, report: Report | undefined, repair: boolean): Promise<void> {
    const header = this.#header;
    const { file, limits } = this.#disk;
    const walk = {
      header,
      l2: this.#l2,
      references,
      report,
      step: (bytes: number) => this.#step(bytes),
      ...(repair && { repair: file }),
    };
    references.add(0, header.clusterSize);
    await walkL1(walk, this.#l1, report !== undefined);
    for (const { l1Offset, l1Entries } of this.#snapshots) {
      await walkL1(walk, await readL1(file, l1Offset, l1Entries, { zeroFill: true }), false);
    }
    references.add(header.snapshotTableOffset, this.#snapshotBytes);
    references.add(header.refcountTableOffset, header.refcountTableClusters * header.clusterSize);
    if (header.luksHeader) references.add(header.luksHeader.offset, header.luksHeader.length);
    if (!(await countBitmaps({ file, header, limits }, references, report, () => this.#step())))
      this.#unreadable = true;
  }

  #usableSnapshots(snapshots: SnapshotTable['snapshots']): Snapshot[] {
    const report = this.#report;
    const { clusterSize, externalData } = this.#header;
    if (externalData && snapshots.length > 0) {
      report.corruption(`ERROR ${snapshots.length} snapshots in image with data file`);
    }
    return snapshots.filter(({ id, name, l1Offset, l1Entries }) => {
      if (l1Offset % clusterSize !== 0) {
        report.corruption(
          `ERROR snapshot ${id} (${name}) l1_offset=0x${l1Offset.toString(16)}: L1 table is not cluster aligned; snapshot table entry corrupted`,
        );
        return false;
      }
      if (l1Entries * 8 > this.#disk.limits.l1Bytes) {
        report.corruption(
          `ERROR snapshot ${id} (${name}) l1_size=0x${l1Entries.toString(16)}: L1 table is too large; snapshot table entry corrupted`,
        );
        return false;
      }
      return true;
    });
  }

  /** QEMU: qcow2_mark_clean, qcow2_mark_consistent. */
  async #markSound(): Promise<void> {
    const { file } = this.#disk;
    const { version, incompatible } = this.#header;
    const kept = incompatible & ~(Incompatible.dirty | Incompatible.corrupt);
    if (version < 3 || kept === incompatible) return;
    await file.sync();
    await writeHeaderFields(file, version, { incompatible: kept });
    await file.sync();
  }

  async #punch(freed: readonly number[]): Promise<void> {
    const { file } = this.#disk;
    if (file.isBlockDevice) return;
    const { clusterSize } = this.#header;
    for (let i = 0; i < freed.length; i += 2) {
      const from = freed[i] * clusterSize;
      const to = Math.min(file.size, from + freed[i + 1] * clusterSize);
      if (to > from) await file.zero(from, to - from);
    }
  }

  #step(bytes = 0): void {
    if (this.#control.cancelled) {
      const { path } = this.#disk;
      throw new DiskImageError('CANCELLED', 'check was cancelled', { path, operation: 'check' });
    }
    this.#control.advance(bytes);
  }
}
