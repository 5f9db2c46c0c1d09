// Rows as a table, for terminals and for Markdown.
import type { Check, Figures, Row } from './model.js';
import type { Spread } from './statistics.js';
import { bytes, digits, rate, seconds, times } from './units.js';

interface Column {
  head: string;
  align: 'left' | 'right';
  cell: (row: Row) => string;
}

export type ColumnName =
  | 'what'
  | 'ours'
  | 'theirs'
  | 'rival'
  | 'ratio'
  | 'target'
  | 'cpu'
  | 'memory'
  | 'size'
  | 'rate'
  | 'note';

const columns: Readonly<Record<ColumnName, Column>> = {
  what: {
    head: 'what',
    align: 'left',
    cell: ({ name, cache }) => (cache === 'cold' ? `${name}, cold` : name),
  },
  ours: { head: 'basecow', align: 'right', cell: ({ ours, instructions }) => time(ours, instructions) },
  theirs: {
    head: 'rival',
    align: 'right',
    cell: ({ theirs, theirInstructions, absent }) => (absent ? 'absent' : time(theirs, theirInstructions)),
  },
  rival: { head: 'which', align: 'left', cell: ({ rival = '' }) => rival },
  ratio: {
    head: 'ratio',
    align: 'right',
    cell: ({ ratio }) => (ratio ? ratioText(ratio) : ''),
  },
  target: { head: 'target', align: 'left', cell: ({ checks }) => checks.map(checkText).join('; ') },
  cpu: { head: 'CPU', align: 'right', cell: (row) => pair(row, ({ cpu }) => cpu, seconds) },
  memory: {
    head: 'peak memory',
    align: 'right',
    cell: (row) => pair(row, ({ peakMemory }) => peakMemory, bytes),
  },
  size: {
    head: 'size',
    align: 'right',
    cell: ({ sizes }) =>
      sizes ? `${bytes(sizes.ours)} / ${bytes(sizes.rival)} (${digits(sizes.ours / sizes.rival)}×)` : '',
  },
  note: { head: 'note', align: 'left', cell: ({ note = '' }) => note },
  rate: {
    head: 'rate',
    align: 'right',
    cell: (row) => (row.bytes === undefined ? '' : pair(row, ({ wall }) => row.bytes! / wall.median, rate)),
  },
};

function time(figures: Figures | undefined, instructions?: number): string {
  if (instructions !== undefined) return `${count(instructions)} instr.`;
  if (!figures) return '';
  const { median, min, max } = figures.wall;
  if (min === max) return seconds(median);
  return `${seconds(median)} (${digits((100 * (max - min)) / median)} %)`;
}

function ratioText({ median, min, max }: Spread): string {
  return min === max ? times(median) : `${times(median)} (${digits(min)}–${digits(max)})`;
}

const count = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en') : digits(value);

/** `ours / rival's` of one figure. */
function pair(
  { ours, theirs }: Row,
  pick: (figures: Figures) => number | undefined,
  text: (value: number) => string,
): string {
  const [a, b] = [ours && pick(ours), theirs && pick(theirs)];
  if (a === undefined && b === undefined) return '';
  if (!theirs) return a === undefined ? '' : text(a);
  return `${a === undefined ? '?' : text(a)} / ${b === undefined ? '?' : text(b)}`;
}

/** A target and whether it is met: `≥ 20 ✓`. */
export function checkText({ kind, target, value, met }: Check): string {
  const mark = met ? '✓' : '✗';
  if (kind === 'ratio') return `≥ ${target} ${mark}`;
  if (kind === 'throughput') return `≥ ${rate(target)} ${mark} ${rate(value)}`;
  if (kind === 'milliseconds') return `≤ ${Number(digits(target))} ms ${mark} ${digits(value)}`;
  if (kind === 'size') return `size ≤ ${target}× ${mark} ${digits(value)}`;
  return `memory ≤ ${bytes(target)} ${mark} ${bytes(value)}`;
}

/** Columns in which no row has anything are left out. */
function table(rows: readonly Row[], names: readonly ColumnName[]): { used: Column[]; lines: string[][] } {
  const used = names.map((name) => columns[name]).filter(({ cell }) => rows.some((row) => cell(row) !== ''));
  return { used, lines: rows.map((row) => used.map(({ cell }) => cell(row))) };
}

export function textTable(rows: readonly Row[], names: readonly ColumnName[]): string {
  const { used, lines } = table(rows, names);
  const all = [used.map(({ head }) => head), ...lines];
  const widths = used.map((_, column) => Math.max(...all.map((line) => line[column].length)));
  const padded = (line: string[]): string =>
    line
      .map((cell, i) => (used[i].align === 'left' ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd();
  return all.map((line) => `${padded(line)}\n`).join('');
}

export function markdownTable(rows: readonly Row[], names: readonly ColumnName[]): string {
  const { used, lines } = table(rows, names);
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  const rule = `|${used.map(({ align }) => (align === 'left' ? '---|' : '--:|')).join('')}\n`;
  return line(used.map(({ head }) => head)) + rule + lines.map(line).join('');
}
