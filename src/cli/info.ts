import type { DiskInfo, SnapshotInfo } from '../disk/disk.js';
import { DiskImageError } from '../disk/errors.js';
import { info, infoChain } from '../operations/info.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { infoText } from './infoText.js';
import { openError } from './messages.js';
import { type Operand, resolveOperand } from './operand.js';
import { outputFormat, print } from './output.js';
import { type JsonValue, qemuJson } from './qdict.js';
import { longOptions, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'f:hU',
  long: longOptions([
    ['format', 'f', 'required'],
    ['output', 'output', 'required'],
    ['backing-chain', 'chain'],
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
    ['force-share', 'U'],
  ]),
};

/** `info [-f FMT | --image-opts] [--backing-chain] [-U] [--output human|json] FILE`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  let format: string | undefined;
  let output: string | undefined;
  let chain = false;
  let imageOpts = false;
  let forceShare = false;
  const options = new VerbOptions(ctx, 'info', args, spec);
  for (const { value, argument } of options) {
    if (value === 'f') format = argument;
    else if (value === 'output') output = argument;
    else if (value === 'chain') chain = true;
    else if (value === 'image-opts') imageOpts = true;
    else if (value === 'U') forceShare = true;
  }
  const { operands } = options;
  if (operands.length !== 1) throw usageError(ctx, 'Expecting one image file name');
  const human = outputFormat(output) === 'human';
  const operand = await resolveOperand(ctx, operands[0], { format, imageOpts, forceShare });
  const layers = await collect(operand, chain, ctx);
  if (human) print(ctx, layers.map((layer) => infoText(layer)).join('\n'));
  else print(ctx, `${qemuJson(chain ? layers.map(infoJson) : infoJson(layers[0]))}\n`);
  return 0;
}

async function collect(operand: Operand, chain: boolean, ctx: CliContext): Promise<DiskInfo[]> {
  try {
    if (chain) return await infoChain(operand, { signal: ctx.signal });
    return [await info(operand, { signal: ctx.signal })];
  } catch (error) {
    if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') throw error;
    if (error.code === 'BACKING_CYCLE') throw new CliError(error.message, { cause: error });
    // A layer below is opened for itself here, so it is named as the image that failed.
    const own = error.path === undefined || error.path === operand.path;
    throw openError(own ? operand.name : error.path!, own ? operand.path : error.path!, error);
  }
}

/** QAPI's BlockNodeInfo. */
function infoJson(disk: DiskInfo): JsonValue {
  return {
    filename: disk.filename,
    format: disk.format,
    'dirty-flag': disk.dirtyFlag ?? false,
    'actual-size': disk.actualSize,
    'virtual-size': disk.virtualSize,
    'cluster-size': disk.clusterSize,
    encrypted: disk.encrypted || undefined,
    compressed: disk.compressed || undefined,
    'backing-filename': disk.backingFilename,
    'full-backing-filename': disk.fullBackingFilename,
    'backing-filename-format': disk.backingFilenameFormat,
    snapshots: disk.snapshots?.length ? disk.snapshots.map(snapshotJson) : undefined,
    'format-specific': disk.formatSpecific as JsonValue | undefined,
  };
}

/** QAPI's SnapshotInfo. */
function snapshotJson(snapshot: SnapshotInfo): JsonValue {
  return {
    id: snapshot.id,
    name: snapshot.name,
    'vm-state-size': snapshot.vmStateSize,
    'date-sec': snapshot.dateSec,
    'date-nsec': snapshot.dateNsec,
    'vm-clock-sec': snapshot.vmClockNsec / 1_000_000_000n,
    'vm-clock-nsec': snapshot.vmClockNsec % 1_000_000_000n,
    icount: snapshot.icount,
  };
}
