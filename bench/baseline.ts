// Ratios of this run against those of an earlier one. Ratios, not times: both sides ran on the same machine, so they can
// be compared between machines of a kind.
import type { Row } from '#src/bench/model.js';
import { digits } from '#src/bench/units.js';

/** A ratio that fell by more than this part has fallen. */
export const FALL_LIMIT = 0.15;

export type Verdict = 'fell' | 'held' | 'rose' | 'new' | 'gone';

export interface Change {
  id: string;
  name: string;
  before?: number;
  after?: number;
  verdict: Verdict;
  /** The pairs' ratios of both runs overlap: noise may be all there is to it. It counts all the same. */
  noisy: boolean;
  /** What the first of two measurements said. */
  first?: number;
}

/** What is compared: the ratio; where there is no rival, the instructions, fewer being better. */
function figure(row: Row | undefined): { value: number; min: number; max: number } | undefined {
  if (row?.ratio) return { value: row.ratio.median, min: row.ratio.min, max: row.ratio.max };
  if (row?.instructions)
    return { value: 1 / row.instructions, min: 1 / row.instructions, max: 1 / row.instructions };
  return undefined;
}

function change(before: Row | undefined, after: Row | undefined): Change | undefined {
  const { id, name } = (after ?? before)!;
  const [old, now] = [figure(before), figure(after)];
  if (!old && !now) return undefined;
  if (!old || !now) {
    return { id, name, before: old?.value, after: now?.value, verdict: now ? 'new' : 'gone', noisy: false };
  }
  const factor = now.value / old.value;
  const verdict = factor < 1 - FALL_LIMIT ? 'fell' : factor > 1 / (1 - FALL_LIMIT) ? 'rose' : 'held';
  return {
    id,
    name,
    before: old.value,
    after: now.value,
    verdict,
    noisy: verdict !== 'held' && now.min <= old.max && now.max >= old.min,
  };
}

/** One line for each row that has something to compare. Rows of the baseline that were not asked for are left out. */
export function changes(
  baseline: readonly Row[],
  rows: readonly Row[],
  asked: (row: Row) => boolean,
): Change[] {
  const old = new Map(baseline.map((row) => [row.id, row]));
  const now = new Set(rows.map(({ id }) => id));
  const gone = baseline.filter((row) => !now.has(row.id) && asked(row));
  return [
    ...rows.map((row) => change(old.get(row.id), row)),
    ...gone.map((row) => change(row, undefined)),
  ].filter((one) => one !== undefined);
}

export const hasFallen = (list: readonly Change[]): boolean => list.some(({ verdict }) => verdict === 'fell');

/**
 * Rows that fell were measured a second time, with twice the rounds: that measurement counts, better or worse, and the
 * table tells both.
 */
export function withSecond(first: readonly Change[], second: readonly Change[]): Change[] {
  const again = new Map(second.map((one) => [one.id, one]));
  return first.map((one) => {
    const later = again.get(one.id);
    return later && one.verdict === 'fell' ? { ...later, first: one.after } : one;
  });
}

export function changesText(list: readonly Change[]): string {
  const lines = [
    ['', 'before', 'now', 'change', ''],
    ...list.map(({ name, before, after, verdict, noisy, first }) => [
      name,
      before === undefined ? '-' : digits(before),
      after === undefined ? '-' : digits(after),
      before === undefined || after === undefined ? '' : `${signed(100 * (after / before - 1))} %`,
      `${verdict}${noisy ? ' (spreads overlap)' : ''}${first === undefined ? '' : ` (first ${digits(first)})`}`,
    ]),
  ];
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => (i === 0 || i === 4 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

const signed = (value: number): string => `${value > 0 ? '+' : ''}${value.toFixed(1)}`;
