import type { BatchResult, JobTotals, NativePlacement, PackSink, RawSink } from '../native.js';
import type { JobControl } from './control.js';
import type { Disk, SnapshotInfo } from './disk.js';
import type { ExtentColumns } from './extents.js';
import type { Gate } from './gate.js';
import type { HostFile } from './hostFile.js';
import type { Limits } from './limits.js';
import type { Secrets } from './secrets.js';

/** `-l PARAM`: a name or id, or exactly one of them. */
export interface SnapshotSelector {
  id?: string;
  name?: string;
  /** QEMU's plain form: matches an id or a name, id first. */
  idOrName?: string;
}

/** Options of opening by QEMU's names (QAPI's BlockdevOptions), flat: `on`, `64k`, `encrypt.key-secret` = id. */
export type RuntimeOptions = Readonly<Record<string, string>>;

/** How an already opened host file is turned into a Disk. */
export interface FormatOpenOptions {
  limits: Readonly<Limits>;
  gate: Gate;
  /** Open backing and data files too. `false` = header work only (info, inspect): QEMU's BDRV_O_NO_BACKING|NO_IO. */
  chain: boolean;
  write: boolean;
  /** Position in the chain, 0 = the image the caller asked for. */
  depth: number;
  /** (dev, ino) of the layers above, to find cycles. */
  ancestors: readonly string[];
  /** Internal snapshot to present instead of the active layer. */
  snapshot?: SnapshotSelector;
  /** Takes image locks like QEMU unless false (`-U`). */
  lock: boolean;
  /** This node's runtime options by QEMU's names, such as `lazy-refcounts` or `encrypt.key-secret`; values as text. */
  runtime?: RuntimeOptions;
  secrets?: Secrets;
  /** Opens an image that is flagged corrupt or dirty for `check`: no warnings are errors then. */
  check?: boolean;
  /**
   * Opens a backing file this image names: through the gate, cycle and depth checked, with these same options
   * (read-only, one deeper). Injected by formats/open.ts, so that no driver imports the registry.
   */
  openBacking(name: string, format: string | undefined, image: HostFile): Promise<Disk>;
  /** Opens an external data file this image names, through the gate. */
  openDataFile(name: string, image: HostFile): Promise<HostFile>;
}

/** One `-o` option, as `-o help` lists it. */
export interface CreateOptionSpec {
  name: string;
  type: 'size' | 'bool' | 'str' | 'num';
  /** QEMU's help text. */
  help: string;
  /** Belongs to the file underneath: QEMU lists it only when a target file is named. */
  protocol?: boolean;
}

/** `-o` options by QEMU's names, values as text (`on`, `64k`, `1.1`): the format parses and checks them. */
export type CreateOptions = Readonly<Record<string, string>>;

export interface CreateRequest {
  /**
   * Virtual size, bytes; a size among the options counts too, but not both. Inheriting it from a backing file is
   * the caller's part (operations/create.ts), so that no driver opens another format.
   */
  size?: number;
  options: CreateOptions;
  /** Says where an external data file named by the image lies. */
  gate: Gate;
  limits: Readonly<Limits>;
  /** Called once with CreateOutcome.effective after parsing, before anything is checked further or made. */
  announce?: (effective: CreateOutcome['effective']) => void;
  /** One fdatasync before the name appears. */
  sync: boolean;
  /** QEMU's locks on an existing target. */
  lock: boolean;
  control: JobControl;
}

/** What was made; texts are those of QEMU's `Formatting …` line, in its order. */
export interface CreateOutcome {
  virtualSize: number;
  /** All options that are set or have a default, in QEMU's list order. */
  effective: [name: string, value: string][];
}

/** The whole content of a small new image: a few pieces, holes between them. */
export interface ComposedImage extends CreateOutcome {
  /** Bytes of the file. */
  length: number;
  pieces: { offset: number; data: Uint8Array }[];
}

/** What convert wants of its target. */
export interface TargetRequest {
  /** Virtual size, bytes. */
  size: number;
  options: CreateOptions;
  /** `-c`. */
  compress: boolean;
  compressionLevel?: number;
  /** `-S`: zero runs of this many bytes become holes or unallocated clusters; 0 = everything is allocated. */
  sparseSize: number;
  /** The target has a backing file: ranges not mapped by the source layer are left to it, zeros must be marked. */
  backing: boolean;
  gate: Gate;
  limits: Readonly<Limits>;
  lock: boolean;
  /** Cache mode none: written pages leave the page cache. */
  dropCache: boolean;
  control: JobControl;
}

/** A place between batches at which nothing is under way, so that metadata may be published. */
export interface Checkpoint {
  readonly due: boolean;
  reach(): Promise<void>;
}

/**
 * Receives a guest disk in order. convert makes a job of `sink`, submits batches that end at multiples of
 * `alignment`, hands each result back in order, and publishes.
 */
export interface ConvertTarget {
  readonly sink: RawSink | PackSink;
  /** Bytes; batches end at multiples of it (except the last). */
  readonly alignment: number;
  /**
   * Before a batch is submitted: host places for targets that scatter (existing or preallocated images), and the
   * target's own treatment of zero rows. Undefined = the sink places the bytes itself.
   */
  prepare?(columns: ExtentColumns, start: number, end: number): Promise<NativePlacement | undefined>;
  /** Guest bytes of one batch at most, where `prepare` changes metadata in memory; multiple of `alignment`. */
  readonly span?: number;
  /** For such targets: when `due`, everything in flight is let finish before the next batch, and `reach` called. */
  readonly checkpoint?: Checkpoint;
  /** After a batch is done, in order: writes the metadata for what was packed. */
  accept(result: BatchResult, columns: ExtentColumns, start: number, end: number): Promise<void>;
  /** Last metadata. The image is complete after it, not yet published. */
  finish(totals: JobTotals): Promise<void>;
  /** Makes it durable when `sync`, and visible under its name. */
  publish(options: { sync: boolean }): Promise<void>;
  /** Nothing of a new file is left. Safe after publish. */
  discard(): Promise<void>;
}

/** `check -r`: counts that are too high alone, or everything. */
export type RepairMode = 'leaks' | 'all';

/** qemu-img check's counts (QAPI ImageCheck); bytes and clusters. */
export interface CheckResult {
  checkErrors: number;
  /** What is still wrong; repaired findings are counted by the next two. */
  corruptions: number;
  leaks: number;
  corruptionsFixed: number;
  leaksFixed: number;
  totalClusters: number;
  allocatedClusters: number;
  fragmentedClusters: number;
  compressedClusters: number;
  imageEndOffset: number;
  /** errno name: the check could not be brought to its end, and what it counted means nothing. */
  failure?: string;
  /** QEMU's sentences, one per finding, as it writes them to stderr. At most `maxMessages`; counts go on. */
  messages: string[];
}

export interface MeasureResult {
  required: number;
  fullyAllocated: number;
  /** Only where source and target both can hold bitmaps. */
  bitmaps?: number;
}

export interface MeasureRequest {
  /** Virtual size, bytes. */
  size: number;
  options: CreateOptions;
  /** Source to measure for; undefined = `--size`: nothing is allocated. */
  source?: Disk;
  control: JobControl;
}

/** A new internal snapshot. */
export interface NewSnapshot {
  /** At most 255 bytes are kept, as with qemu-img. */
  name: string;
  /** Microseconds since the epoch. */
  microseconds: number;
}

/**
 * Internal snapshots of a disk opened for writing. Each call is whole or not at all, whenever the machine stops.
 * Writes under way wait.
 */
export interface SnapshotAbility {
  /**
   * @throws LIMIT_EXCEEDED when refcount_bits or the table hold no more; UNSUPPORTED_OPERATION with an external data file.
   */
  create(disk: Disk, snapshot: NewSnapshot): Promise<SnapshotInfo>;
  /** The disk reads as it did then, and has the size it had then. @throws SNAPSHOT_NOT_FOUND, UNSUPPORTED_OPERATION. */
  apply(disk: Disk, which: SnapshotSelector): Promise<SnapshotInfo>;
  /** @throws SNAPSHOT_NOT_FOUND. */
  remove(disk: Disk, which: SnapshotSelector): Promise<SnapshotInfo>;
}

/**
 * Changes persistent bitmaps, one after the other in memory; `finish` makes all of them durable at once. Names that are
 * not there, sizes that do not fit and bitmaps that are inconsistent are refused with INVALID_ARGUMENT in QEMU's words.
 */
export interface BitmapEditor {
  readonly names: string[];
  /** `granularity`: guest bytes per bit, a power of 2 from 512 to 2 GiB; default: the cluster size, 4 to 64 KiB. */
  add(name: string, granularity?: number, enabled?: boolean): void;
  remove(name: string): void;
  clear(name: string): void;
  /** Whether it follows writes. */
  enable(name: string, enabled?: boolean): void;
  /** Adds what bitmap `source` of `from` (undefined: of the same image) has. */
  merge(name: string, from: Disk | undefined, source: string): Promise<void>;
  finish(): Promise<void>;
}

/** A persistent bitmap as it is listed. */
export interface BitmapInfo {
  name: string;
  /** Guest bytes per bit. */
  granularity: number;
  /** It follows writes. */
  enabled: boolean;
  /** It was not stored by the one who used it last: what it says is worth nothing. */
  inconsistent: boolean;
}

export interface BitmapAbility {
  /** Of a disk that was opened for writing; its chain need not be open. */
  edit(disk: Disk): Promise<BitmapEditor>;
  list(disk: Disk): Promise<BitmapInfo[]>;
}

/** A format driver. Abilities that a format lacks are simply absent. */
export interface ImageFormat {
  readonly name: string;
  /** 0 = not this format, 100 = certain; like QEMU's bdrv_probe. `head` is the first 64 KiB or less. */
  probe(head: Buffer, fileSize: number): number;
  open(file: HostFile, options: FormatOpenOptions): Promise<Disk>;

  readonly createOptions?: readonly CreateOptionSpec[];
  create?(path: string, request: CreateRequest): Promise<CreateOutcome>;
  /**
   * The content that `create` would publish, when it is small and a single file; undefined otherwise. The same
   * request gives the same content wherever it is put: many overlays are made from one composition.
   */
  compose?(
    path: string,
    request: Pick<CreateRequest, 'size' | 'options'>,
  ): Promise<ComposedImage | undefined>;
  /** New image at `path` as convert's target. */
  createTarget?(path: string, request: TargetRequest): Promise<ConvertTarget>;
  /** Existing, writable disk as convert's target (`-n`); `targetIsZero`: caller vouches that it reads as zeros. */
  openTarget?(disk: Disk, request: TargetRequest & { targetIsZero: boolean }): Promise<ConvertTarget>;
  /** With `repair` the disk was opened with `check` and `write`. */
  check?(disk: Disk, control: JobControl, repair?: RepairMode): Promise<CheckResult>;
  measure?(request: MeasureRequest): Promise<MeasureResult>;
  readonly bitmaps?: BitmapAbility;
  /** The layer holds nothing any more: what lies behind it shows. Whole or not at all, when the machine stops meanwhile. */
  makeEmpty?(disk: Disk): Promise<void>;
  /**
   * The image names another backing file from now on, or none; what the layer holds stays. `disk` may have been opened
   * without its chain, for writing.
   * @throws INVALID_ARGUMENT when name and format do not fit the header; nothing has changed then.
   */
  changeBacking?(disk: Disk, backing: { name: string; format: string } | undefined): Promise<void>;
  readonly snapshots?: SnapshotAbility;
  /** Options that `amend` takes. */
  readonly amendOptions?: readonly CreateOptionSpec[];
  /** Changes options of an existing image. @throws INVALID_ARGUMENT, UNSUPPORTED_OPERATION with QEMU's sentences. */
  amend?(disk: Disk, options: CreateOptions, control: JobControl): Promise<void>;
  /** Resizes in place; `preallocation` of what is added. Bytes. */
  resize?(
    disk: Disk,
    size: number,
    preallocation: 'off' | 'metadata' | 'falloc' | 'full',
    control: JobControl,
  ): Promise<void>;
}

export type { Disk };
