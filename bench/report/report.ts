// What a run leaves behind: docs/performance.json is this, the rest is made from it.
import type { Row } from '#src/bench/model.js';
import type { Environment } from '../environment.js';

export interface Report {
  version: 1;
  /** Day of the run. */
  date: string;
  mode: 'quick' | 'full';
  /** Bytes of data in the inputs: runs with other inputs can't be compared. */
  dataBytes: number;
  /** Rounds of a row that has no number of its own. */
  rounds: number;
  environment: Environment;
  warnings: string[];
  rows: Row[];
}

/** @throws when the text is no report of this version. */
export function parseReport(text: string, from: string): Report {
  let report: Partial<Report>;
  try {
    report = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${from} is no report of a benchmark: ${(cause as Error).message}`, { cause });
  }
  if (report?.version !== 1 || !Array.isArray(report.rows) || typeof report.dataBytes !== 'number') {
    throw new Error(`${from} is no report of a benchmark, or of another version of it`);
  }
  return report as Report;
}

/** Rows against another program, not against ourselves done otherwise. */
export const hasRival = ({ rival, ratio }: Row): boolean =>
  ratio !== undefined && !rival!.startsWith('basecow');
