// Small jobs of the engine: columns from rows, one batch or many, and the answer.
import {
  type BatchResult,
  type JobOptions,
  type JobTotals,
  type NativeBatch,
  type NativeColumns,
  native,
} from '#src/native.js';
import { newControl } from './openFile.js';

/** One extent as the engine takes it; numbers in bytes. */
export interface PlanRow {
  kind: 0 | 1 | 2 | 3 | 4;
  start: number;
  length: number;
  offset?: number;
  file?: number;
  compressedLength?: number;
  skip?: number;
  unit?: number;
}

export const columns = (rows: PlanRow[]): NativeColumns => ({
  count: rows.length,
  kind: Uint8Array.from(rows, (row) => row.kind),
  file: Uint16Array.from(rows, (row) => row.file ?? 0),
  start: Float64Array.from(rows, (row) => row.start),
  length: Float64Array.from(rows, (row) => row.length),
  offset: Float64Array.from(rows, (row) => row.offset ?? 0),
  compressedLength: Uint32Array.from(rows, (row) => row.compressedLength ?? 0),
  skip: Uint32Array.from(rows, (row) => row.skip ?? 0),
  unit: Uint32Array.from(rows, (row) => row.unit ?? 0),
});

export const batch = (start: number, end: number, rows: PlanRow[], ...fds: number[]): NativeBatch => ({
  start,
  end,
  columns: columns(rows),
  fds: Int32Array.from(fds),
  paths: fds.map((_, i) => `source${i}`),
});

/** Everything but the sink has a usual value. */
export const jobOptions = (sink: JobOptions['sink'], overrides: Partial<JobOptions> = {}): JobOptions => ({
  sink,
  control: newControl(),
  threads: 2,
  segment: 65536,
  shortRead: 'error',
  ...overrides,
});

/** Submits the batches at once, finishes, and returns what each and the whole came to. */
export async function runJob(
  options: JobOptions,
  ...batches: NativeBatch[]
): Promise<{ results: BatchResult[]; totals: JobTotals }> {
  const job = native.createJob(options);
  try {
    const results = await Promise.all(batches.map((one) => job.submit(one)));
    return { results, totals: await job.finish() };
  } catch (error) {
    await job.abort();
    throw error;
  }
}
