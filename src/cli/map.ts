import { DiskImageError } from '../disk/errors.js';
import type { MapEntry } from '../operations/map.js';
import { mapBatches } from '../operations/map.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { openErrorOf, resolveOperand } from './operand.js';
import { outputFormat, print, reportWarning } from './output.js';
import { sizeArgument } from './sizes.js';
import { longOptions, usageError, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'f:s:l:hU',
  long: longOptions([
    ['format', 'f', 'required'],
    ['output', 'output', 'required'],
    ['object', 'object', 'required'],
    ['image-opts', 'image-opts'],
    ['force-share', 'U'],
    ['start-offset', 's', 'required'],
    ['max-length', 'l', 'required'],
  ]),
};

/** Rows that are printed in one write. */
const LINES_PER_WRITE = 512;

/** `map [-f FMT | --image-opts] [-s OFFSET] [-l LENGTH] [-U] [--output human|json] FILE`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  let format: string | undefined;
  let output: string | undefined;
  let imageOpts = false;
  let forceShare = false;
  let start = 0n;
  let length: bigint | undefined;
  const warn = (text: string) => reportWarning(ctx, text);
  const options = new VerbOptions(ctx, 'map', args, spec);
  for (const { value, argument } of options) {
    if (value === 'f') format = argument;
    else if (value === 'output') output = argument;
    else if (value === 's') start = sizeArgument('start offset', argument, warn);
    else if (value === 'l') length = sizeArgument('max length', argument, warn);
    else if (value === 'image-opts') imageOpts = true;
    else if (value === 'U') forceShare = true;
  }
  const { operands } = options;
  if (operands.length !== 1) throw usageError(ctx, 'Expecting one image file name');
  const human = outputFormat(output) === 'human';
  const operand = await resolveOperand(ctx, operands[0], { format, imageOpts, forceShare });
  const lines = new Lines(ctx, human, start);
  try {
    const range = { start: bounded(start), length: length === undefined ? undefined : bounded(length) };
    for await (const batch of mapBatches({ ...operand, ...range })) {
      if (ctx.signal.aborted) throw new DiskImageError('CANCELLED', 'map was cancelled');
      for (const entry of batch) lines.add(entry);
    }
  } catch (error) {
    if (error instanceof CliError) lines.flush();
    throw openErrorOf(error, operand);
  }
  lines.end();
  return 0;
}

/** No disk is larger; so the text is exact and the range ends where the disk does. */
function bounded(bytes: bigint): number {
  return Number(bytes > BigInt(Number.MAX_SAFE_INTEGER) ? BigInt(Number.MAX_SAFE_INTEGER) : bytes);
}

class Lines {
  readonly #ctx: CliContext;
  readonly #human: boolean;
  readonly #start: bigint;
  #pending: string[] = [];
  #count = 0;

  constructor(ctx: CliContext, human: boolean, start: bigint) {
    this.#ctx = ctx;
    this.#human = human;
    this.#start = start;
  }

  add(entry: MapEntry): void {
    if (this.#count === 0) this.#head();
    this.#count++;
    if (!this.#human) this.#pending.push(this.#count === 1 ? jsonLine(entry) : `,\n${jsonLine(entry)}`);
    else if (entry.data && entry.offset === undefined) {
      throw new CliError('File contains external, encrypted or compressed clusters.');
    } else if (entry.data && !entry.zero) this.#pending.push(humanLine(entry));
    if (this.#pending.length >= LINES_PER_WRITE) this.flush();
  }

  end(): void {
    if (this.#count === 0) {
      this.#head();
      // qemu-img prints the empty range that it began with.
      if (!this.#human) {
        this.#pending.push(
          `{ "start": ${this.#start}, "length": 0, "depth": 0, "present": false, "zero": false, "data": false}`,
        );
      }
    }
    if (!this.#human) this.#pending.push(']\n');
    this.flush();
  }

  flush(): void {
    print(this.#ctx, this.#pending.join(''));
    this.#pending = [];
  }

  #head(): void {
    this.#pending.push(
      this.#human ? `${column('Offset')}${column('Length')}${column('Mapped to')}File\n` : '[',
    );
  }
}

const column = (text: string) => text.padEnd(16);
const hexadecimal = (value: number) => (value === 0 ? '0' : `0x${value.toString(16)}`);

function humanLine({ start, length, offset = 0, filename = '' }: MapEntry): string {
  return `${column(hexadecimal(start))}${column(hexadecimal(length))}${column(hexadecimal(offset))}${filename}\n`;
}

function jsonLine({ start, length, depth, present, zero, data, offset }: MapEntry): string {
  return (
    `{ "start": ${start}, "length": ${length}, "depth": ${depth}, "present": ${present}, "zero": ${zero}, ` +
    `"data": ${data}${offset === undefined ? '' : `, "offset": ${offset}`}}`
  );
}
