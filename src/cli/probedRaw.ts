import type { CliContext } from './context.js';
import type { Operand } from './operand.js';

/** QEMU's warning about an image that is opened for writing as raw because nobody said what it is. */
export function warnProbedRaw(ctx: CliContext, { probed, format, path }: Operand, times = 1): void {
  if (!probed || format !== 'raw') return;
  const text =
    `WARNING: Image format was not specified for '${path}' and probing guessed raw.\n` +
    '         Automatically detecting the format is dangerous for raw images, ' +
    'write operations on block 0 will be restricted.\n' +
    "         Specify the 'raw' format explicitly to remove the restrictions.\n";
  ctx.stderr.write(text.repeat(times));
}
