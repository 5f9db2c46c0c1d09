import type { JobControl } from '../../disk/control.js';
import type { Disk } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import type { CreateOptions } from '../../disk/format.js';
import { OptionValues } from '../optionText.js';
import { qcow2AmendOptions } from './amendOptions.js';
import { changeRefcountOrder } from './changeRefcountOrder.js';
import { Autoclear, Compatible, ExtensionType, KNOWN_AUTOCLEAR } from './constants.js';
import { downgrade, refuseDowngrade } from './downgrade.js';
import { textExtension } from './extensions.js';
import type { HeaderFields, Qcow2Header } from './header.js';
import { switchHeader } from './headerSwitch.js';
import type { ImageCore } from './imageCore.js';
import { qcow2CreateOptions } from './options.js';
import { upgrade } from './upgrade.js';
import { WritableQcow2Disk } from './writable.js';

/** What is to be different. */
interface Wanted {
  version: 2 | 3;
  refcountOrder: number;
  lazyRefcounts: boolean;
  /** Bytes; undefined: as it is. */
  size?: number;
  /** '': no name is stored any more. */
  dataFile?: string;
  dropDataFileRaw: boolean;
}

/**
 * Changes options of an existing image, in QEMU's order: version up, refcount width, data file, lazy refcounts, size,
 * version down. Each of these is whole or not at all; everything that can be refused is refused before the first.
 * @throws INVALID_ARGUMENT, UNSUPPORTED_OPERATION with QEMU's sentences; LIMIT_EXCEEDED, CORRUPT_IMAGE, IO.
 */
export async function amendQcow2(disk: Disk, options: CreateOptions, control: JobControl): Promise<void> {
  if (!(disk instanceof WritableQcow2Disk)) throw new RangeError(`'${disk.path}' was not opened for writing`);
  const wanted = parse(disk, options);
  await refuse(disk, wanted);
  const steps: ((core: ImageCore) => Promise<void>)[] = [];
  const { header } = disk;
  if (wanted.version > header.version) steps.push(upgrade);
  if (wanted.refcountOrder !== header.refcountOrder) {
    steps.push((core) => changeRefcountOrder(core, wanted.refcountOrder));
  }
  if (wanted.dataFile !== undefined || wanted.dropDataFileRaw) {
    steps.push((core) => changeDataFile(core, wanted));
  }
  if (wanted.lazyRefcounts !== header.lazyRefcounts && wanted.version === 3) {
    steps.push((core) => setLazyRefcounts(core, wanted.lazyRefcounts));
  }
  const total =
    steps.length + (wanted.size === undefined ? 0 : 1) + (wanted.version < header.version ? 1 : 0);
  control.total = Math.max(1, total);
  const step = async (work: (core: ImageCore) => Promise<void>) => {
    await disk.exclusive(async (core) => {
      await core.publish(true);
      await work(core);
      await core.reload();
    });
    control.advance(1);
  };
  for (const work of steps) await step(work);
  if (wanted.size !== undefined) {
    await disk.resize(wanted.size, { shrink: true });
    control.advance(1);
  }
  if (wanted.version < header.version) await step(downgrade);
}

function parse(disk: WritableQcow2Disk, options: CreateOptions): Wanted {
  const { header, path } = disk;
  for (const name of Object.keys(options)) {
    if (qcow2AmendOptions.some((spec) => spec.name === name)) continue;
    const hint = qcow2CreateOptions.some((spec) => spec.name === name)
      ? '\nThis option is only supported for image creation'
      : '';
    throw refusal(path, `Invalid parameter '${name}'${hint}`);
  }
  const values = new OptionValues(qcow2AmendOptions, options, path);
  const encryption = Object.keys(options).find((name) => name.startsWith('encrypt.'));
  if (encryption) throw refusal(path, "Can't amend encryption options - encryption not present");
  const bits = values.amount('refcount_bits') ?? BigInt(header.refcountBits);
  if (bits < 1n || bits > 64n || (bits & (bits - 1n)) !== 0n) {
    throw refusal(path, 'Refcount width must be a power of two and may not exceed 64 bits');
  }
  const dataFile = values.text('data_file');
  if (dataFile !== undefined && !header.externalData) {
    throw refusal(path, 'data-file can only be set for images that use an external data file');
  }
  const raw = values.has('data_file_raw') ? values.flag('data_file_raw') : header.dataFileRaw;
  if (raw && !header.dataFileRaw) throw refusal(path, 'data-file-raw cannot be set on existing images');
  const size = values.amount('size') ?? 0n;
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw refusal(path, `The size of ${size} bytes is too large`);
  const wanted: Wanted = {
    version: wantedVersion(values.text('compat'), header, path),
    refcountOrder: Math.log2(Number(bits)),
    lazyRefcounts: values.has('lazy_refcounts') ? values.flag('lazy_refcounts') : header.lazyRefcounts,
    size: size === 0n ? undefined : Number(size),
    dataFile,
    dropDataFileRaw: header.dataFileRaw && !raw,
  };
  if (wanted.version < 3 && bits !== 16n && values.has('refcount_bits')) {
    throw refusal(
      path,
      'Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)',
    );
  }
  // QEMU compares both when either is given: one that is left out counts as none.
  const told = values.has('backing_file') || values.has('backing_fmt');
  const same =
    values.text('backing_file') === header.backingFile && values.text('backing_fmt') === header.backingFormat;
  if (told && !same) {
    throw refusal(path, "Cannot amend the backing file\nYou can use 'qemu-img rebase' instead.");
  }
  if (values.flag('lazy_refcounts') && wanted.version < 3) {
    throw refusal(
      path,
      'Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)',
    );
  }
  return wanted;
}

function wantedVersion(compat: string | undefined, header: Qcow2Header, path: string): 2 | 3 {
  if (compat === undefined || compat === '') return header.version;
  if (compat === '0.10' || compat === 'v2') return 2;
  if (compat === '1.1' || compat === 'v3') return 3;
  throw refusal(path, `Unknown compatibility level ${compat}`);
}

/** What the last step would refuse when the others are done. */
async function refuse(disk: WritableQcow2Disk, wanted: Wanted): Promise<void> {
  const { header } = disk;
  if (wanted.version >= header.version) return;
  const { size = header.diskSize, refcountOrder } = wanted;
  await refuseDowngrade(disk, { refcountOrder, diskSize: size });
}

async function changeDataFile(core: ImageCore, { dataFile, dropDataFileRaw }: Wanted): Promise<void> {
  const { header, file } = core;
  let { extensions } = header;
  if (dataFile !== undefined) {
    const at = extensions.findIndex(({ type }) => type === ExtensionType.dataFile);
    const rest = extensions.filter(({ type }) => type !== ExtensionType.dataFile);
    const named = dataFile === '' ? [] : [textExtension(ExtensionType.dataFile, dataFile)];
    const place = Math.max(0, at);
    extensions = [...rest.slice(0, place), ...named, ...rest.slice(place)];
  }
  const kept = header.autoclear & KNOWN_AUTOCLEAR;
  const autoclear = dropDataFileRaw ? kept & ~Autoclear.dataFileRaw : kept;
  await switchHeader(file, { ...header, extensions, autoclear } as HeaderFields);
}

async function setLazyRefcounts(core: ImageCore, on: boolean): Promise<void> {
  const { compatible } = core.header;
  const bit = Compatible.lazyRefcounts;
  await core.updateHeader({ compatible: on ? compatible | bit : compatible & ~bit });
}

function refusal(path: string, message: string): DiskImageError {
  return new DiskImageError('INVALID_ARGUMENT', message, { path, operation: 'amend' });
}
