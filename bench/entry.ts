// An entry of the benchmark, and what all of them work with.
import type { ProgramMeter, ProgramOptions } from '#src/bench/measure.js';
import type { Case, Row } from '#src/bench/model.js';
import type { Inputs } from './inputs.js';
import type { Programs } from './programs.js';

export interface Bench {
  inputs: Inputs;
  programs: Programs;
  meter: ProgramMeter;
  signal: AbortSignal;
}

/** Rows that are not made by comparing sides. */
export interface Custom {
  id: string;
  group: string;
  name: string;
  measure: (rounds: number) => Promise<Row[]>;
}

/** Groups, in the order of the report. */
export const GROUPS = [
  'MD5',
  'Reading',
  'Conversion',
  'Codecs',
  'Reflink',
  'Empty',
  'Verbs',
  'Writes',
  'Many',
  'Start',
  'Provision',
  'Instructions',
];

/** `quick`: also in the short run of some minutes. */
export type Entry = (Case | Custom) & { quick?: boolean };

/** Seconds: what takes longer has failed, and the rest of the run goes on. */
export const TIME_LIMIT = 900;

/** A program as one sample. */
export const program =
  ({ meter, signal }: Pick<Bench, 'meter' | 'signal'>, ...words: readonly string[]) =>
  (options: ProgramOptions = {}) =>
    meter.run(words, { signal, timeLimit: TIME_LIMIT, ...options });

/** A row that says why it has no figures. */
export function absentRow(entry: Pick<Custom, 'id' | 'group' | 'name'>, absent: string): Row {
  const { id, group, name } = entry;
  return { id, group, name, terms: '', cache: 'none', durability: 'none', rounds: 0, checks: [], absent };
}
