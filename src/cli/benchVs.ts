import { statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { textTable } from '../bench/table.js';
import { bytes } from '../bench/units.js';
import { type VersusReport, versus } from '../bench/versus.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { outputFormat, print, reportWarning } from './output.js';
import { sizeArgument } from './sizes.js';
import { longOptions, VerbOptions } from './verbOptions.js';

const spec = {
  short: 'hq',
  long: longOptions([
    ['rival', 'rival', 'required'],
    ['dir', 'dir', 'required'],
    ['size', 'size', 'required'],
    ['rounds', 'rounds', 'required'],
    ['output', 'output', 'required'],
    ['quiet', 'q'],
  ]),
};

const MiB = 2 ** 20;
const MIN_SIZE = 4 * MiB;
const MAX_SIZE = 2 ** 40;
const MAX_ROUNDS = 1000;
const COLUMNS = ['what', 'ours', 'theirs', 'rival', 'ratio', 'rate', 'cpu', 'memory', 'size'] as const;

interface Words {
  rival: string;
  folder: string;
  /** Bytes. */
  size: number;
  rounds: number;
  json: boolean;
  quiet: boolean;
}

/** `bench-vs [--rival PATH] [--dir DIR] [--size SIZE] [--rounds N] [--output human|json] [-q]`. */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  const words = parse(args, ctx);
  const tell = words.quiet ? undefined : (text: string) => ctx.stderr.write(text);
  tell?.(
    `${ctx.programName}: a disk of ${bytes(words.size)} in ${words.folder}, ${words.rounds} rounds a row\n`,
  );
  const report = await versus(words, {
    signal: ctx.signal,
    onRow: (row) =>
      tell?.(`${row.name}: ${row.ratio ? `${row.ratio.median.toFixed(2)} times` : row.absent}\n`),
  });
  print(ctx, words.json ? `${JSON.stringify(report, null, 4)}\n` : humanText(report));
  return 0;
}

function parse(args: string[], ctx: CliContext): Words {
  const words: Words = {
    rival: 'qemu-img',
    folder: tmpdir(),
    size: 256 * MiB,
    rounds: 3,
    json: false,
    quiet: false,
  };
  const options = new VerbOptions(ctx, 'bench-vs', args, spec);
  for (const { value, argument } of options) {
    if (value === 'rival') words.rival = argument;
    else if (value === 'dir') words.folder = argument;
    else if (value === 'size') words.size = sizeWord(argument, ctx);
    else if (value === 'rounds') words.rounds = roundsWord(argument);
    else if (value === 'output') words.json = outputFormat(argument) === 'json';
    else if (value === 'q') words.quiet = true;
  }
  if (options.operands.length > 0) throw new CliError(`Unexpected argument: ${options.operands[0]}`);
  if (words.rival === '') throw new CliError('--rival needs a program');
  if (!statSync(words.folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new CliError(`'${words.folder}' is no folder`);
  }
  return words;
}

function sizeWord(text: string, ctx: CliContext): number {
  const size = Number(sizeArgument('size', text, (warning) => reportWarning(ctx, warning)));
  if (size < MIN_SIZE || size > MAX_SIZE || size % MiB !== 0) {
    throw new CliError(`Size '${text}' is not a multiple of 1M between 4M and 1T`);
  }
  return size;
}

function roundsWord(text: string): number {
  const rounds = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (rounds < 1 || rounds > MAX_ROUNDS) {
    throw new CliError(`Rounds '${text}' is not a number between 1 and ${MAX_ROUNDS}`);
  }
  return rounds;
}

function humanText({ machine, filesystem, rival, size, warnings, rows }: VersusReport): string {
  const { cpu, cores, memory, kernel, node } = machine;
  const lines = [
    `${cores} × ${cpu}, ${bytes(memory)}, Linux ${kernel}, Node ${node}, ${filesystem.type}`,
    `Rival: ${rival}`,
    `Disk: ${bytes(size)} made up (text, noise, holes). Medians (spread); ratio = rival / basecow; warm cache, no flush.`,
    ...warnings.map((warning) => `Warning: ${warning}`),
  ];
  return `${lines.join('\n')}\n\n${textTable(rows, COLUMNS)}`;
}
