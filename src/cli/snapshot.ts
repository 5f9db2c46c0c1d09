import { constants } from 'node:os';
import { DiskImageError } from '../disk/errors.js';
import { applySnapshot, createSnapshot, deleteSnapshot, listSnapshots } from '../operations/snapshot.js';
import type { CliContext } from './context.js';
import { errnoText } from './errno.js';
import { CliError } from './errors.js';
import { snapshotList } from './infoText.js';
import { systemText } from './messages.js';
import { type Operand, openErrorOf, resolveOperand } from './operand.js';
import { print } from './output.js';
import { warnProbedRaw } from './probedRaw.js';
import { longOptions, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'la:c:d:hqU',
  long: longOptions([
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
    ['force-share', 'U'],
  ]),
  extra: longOptions([
    ['list', 'l'],
    ['apply', 'a', 'required'],
    ['create', 'c', 'required'],
    ['delete', 'd', 'required'],
    ['format', 'f', 'required'],
    ['quiet', 'q'],
  ]),
};

type Action = 'l' | 'a' | 'c' | 'd';

/** `snapshot [--format FMT | --image-opts] [-U] [-q] [-l | -a SNAPSHOT | -c NAME | -d NAME] FILE`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  let action: Action | undefined;
  let name = '';
  let format: string | undefined;
  let imageOpts = false;
  let forceShare = false;
  const options = new VerbOptions(ctx, 'snapshot', args, spec);
  for (const { value, argument } of options) {
    if (value === 'l' || value === 'a' || value === 'c' || value === 'd') {
      if (action) throw usageError(ctx, "Cannot mix '-l', '-a', '-c', '-d'");
      [action, name] = [value, argument];
    } else if (value === 'f') format = argument;
    else if (value === 'U') forceShare = true;
    else if (value === 'image-opts') imageOpts = true;
  }
  if (options.operands.length !== 1) throw usageError(ctx, 'Expecting one image file name');
  const operand = await resolveOperand(ctx, options.operands[0], { format, imageOpts, forceShare });
  if (action === 'l') {
    const lines = await listSnapshots(operand, { signal: ctx.signal }).catch((error: unknown) => {
      throw openErrorOf(error, operand);
    });
    print(
      ctx,
      snapshotList(lines)
        .map((line) => `${line}\n`)
        .join(''),
    );
    return 0;
  }
  if (operand.lock === false) {
    throw new CliError(
      `Could not open '${operand.name}': force-share=on can only be used with read-only images`,
    );
  }
  // qemu-img looks for an image below when a raw one is to be reset.
  warnProbedRaw(ctx, operand, action === 'a' ? 2 : 1);
  try {
    await act(action, name, operand, ctx);
  } catch (error) {
    throw snapshotFailure(error, action, name, operand);
  }
  return 0;
}

async function act(
  action: Action | undefined,
  name: string,
  operand: Operand,
  { signal }: CliContext,
): Promise<void> {
  if (action === 'c') await createSnapshot({ ...operand, name }, { signal });
  else if (action === 'a') {
    await applySnapshot({ ...operand, snapshot: { idOrName: name } }, { signal });
    // qemu-img deletes by name alone.
  } else if (action === 'd') await deleteSnapshot({ ...operand, snapshot: { name } }, { signal });
  else await listSnapshots(operand, { signal });
}

function snapshotFailure(
  error: unknown,
  action: Action | undefined,
  name: string,
  operand: Operand,
): unknown {
  if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') return error;
  const fail = (message: string) => new CliError(message, { cause: error });
  const unsupported = error.code === 'UNSUPPORTED_OPERATION' && operand.format === 'raw';
  if (action === 'd' && (error.code === 'SNAPSHOT_NOT_FOUND' || unsupported)) {
    return fail(`Could not delete snapshot '${name}': snapshot not found`);
  }
  if (action === 'a' && error.code === 'SNAPSHOT_NOT_FOUND') {
    return fail(`Could not apply snapshot '${name}': Failed to load snapshot: ${errnoText('ENOENT')}`);
  }
  const opened = error.operation === 'snapshot' ? error : openErrorOf(error, operand);
  if (opened !== error || action === undefined) return opened;
  if (action === 'c') return fail(`Could not create snapshot '${name}': ${numbered(error)}`);
  const verb = action === 'a' ? 'apply' : 'delete';
  return fail(`Could not ${verb} snapshot '${name}': ${error.syscall ? systemText(error) : error.message}`);
}

/** `-95 (Operation not supported)`. */
function numbered(error: DiskImageError): string {
  const number = constants.errno[error.errno as keyof typeof constants.errno];
  return number === undefined ? error.message : `-${number} (${systemText(error)})`;
}
