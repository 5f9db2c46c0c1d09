// npm run bench, npm run bench:full: basecow side by side with what does the same on this machine.
import { readFileSync, writeFileSync } from 'node:fs';
import { engineInfo } from 'basecow';
import { compareSides } from '#src/bench/compareSides.js';
import { ProgramMeter } from '#src/bench/measure.js';
import type { Row } from '#src/bench/model.js';
import { textTable } from '#src/bench/table.js';
import { seconds, times } from '#src/bench/units.js';
import { changes, changesText, hasFallen, withSecond } from './baseline.js';
import { entries } from './cases/index.js';
import { absentRow, type Entry } from './entry.js';
import { describeEnvironment, type Environment, IdleWatch, warningsOf } from './environment.js';
import { Inputs } from './inputs.js';
import { type Options, parseOptions, USAGE } from './options.js';
import { findPrograms, ROOT } from './programs.js';
import { parseReport, type Report } from './report/report.js';
import { writeDocuments } from './report/write.js';
import { type SteadyMemory, steadyMemory } from './steadyMemory.js';

const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => controller.abort(new Error(`ended by ${name}`)));
}

function isAsked({ full, only }: Options, entry: Pick<Entry, 'id' | 'group' | 'name' | 'quick'>): boolean {
  if (only.length > 0) {
    const words = `${entry.id} ${entry.group} ${entry.name}`.toLowerCase();
    return only.some((word) => words.includes(word.toLowerCase()));
  }
  return full || entry.quick === true;
}

/** The rows of one entry; one that can't be measured says why and does not end the run. */
async function measure(entry: Entry, rounds: number): Promise<Row[]> {
  try {
    return 'measure' in entry
      ? await entry.measure(rounds)
      : await compareSides(entry, { rounds, signal: controller.signal });
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    return [absentRow(entry, `failed: ${(error as Error).message.split('\n')[0]}`)];
  }
}

function rowText({ name, cache, ours, theirs, rival, ratio, absent, instructions }: Row): string {
  const what = cache === 'cold' ? `${name}, cold` : name;
  if (absent) return `${what}${rival ? ` against ${rival}` : ''}: ${absent}`;
  if (!ours)
    return `${what}: ${instructions?.toFixed(2)} instructions${ratio ? `, ${times(ratio.median)}` : ''}`;
  if (!theirs || !ratio) return `${what}: ${seconds(ours.wall.median)}`;
  return `${what}: ${seconds(ours.wall.median)} against ${seconds(theirs.wall.median)} of ${rival}, ${times(ratio.median)}`;
}

async function measureAll(asked: readonly Entry[], rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const entry of asked) {
    for (const row of await measure(entry, rounds)) {
      rows.push(row);
      console.error(rowText(row));
    }
  }
  return rows;
}

async function main(options: Options): Promise<number> {
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  // A baseline that can't be used is told before minutes are spent.
  const baseline = options.baseline === undefined ? undefined : readBaseline(options.baseline, options);
  const programs = findPrograms();
  const inputs = new Inputs(options.folder, options.dataBytes);
  const all = entries({ inputs, programs, meter: new ProgramMeter(), signal: controller.signal });
  const asked = all.filter((entry) => isAsked(options, entry));
  if (options.list) {
    for (const { id, group, name, quick } of asked)
      console.log(`${group}: ${name} [${id}]${quick ? '' : ' (full)'}`);
    return 0;
  }
  if (asked.length === 0)
    throw new Error(`--only ${options.only.join(',')}: there are no such rows (--list names them)`);
  const environment = describeEnvironment(inputs.folder, programs, { ...engineInfo() });
  const steady = await steadyMemory();
  try {
    return await measureAndTell(environment, steady, asked, options, baseline);
  } finally {
    steady?.release();
  }
}

async function measureAndTell(
  environment: Environment,
  steady: SteadyMemory | undefined,
  asked: readonly Entry[],
  options: Options,
  baseline: Report | undefined,
): Promise<number> {
  const watch = new IdleWatch();
  const rows = await measureAll(asked, options.rounds);
  const report: Report = {
    version: 1,
    date: new Date().toISOString().slice(0, 10),
    mode: options.full ? 'full' : 'quick',
    dataBytes: options.dataBytes,
    rounds: options.rounds,
    environment: { ...environment, steadyMemory: steady?.bytes },
    warnings: warningsOf(environment, watch.others()),
    rows,
  };
  process.stdout.write(
    textTable(rows, ['what', 'ours', 'theirs', 'rival', 'ratio', 'target', 'rate', 'cpu', 'memory', 'size']),
  );
  for (const warning of report.warnings) console.log(`Warning: ${warning}`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  if (options.write) writeDocuments(report, ROOT);
  return baseline ? judge(baseline, report, asked, options) : 0;
}

function readBaseline(path: string, { dataBytes }: Options): Report {
  const report = parseReport(readFileSync(path, 'utf8'), path);
  if (report.dataBytes !== dataBytes) {
    throw new Error(
      `${path} was measured with ${report.dataBytes} bytes of data, this run has ${dataBytes} (--data)`,
    );
  }
  return report;
}

/** A ratio that fell is measured again before it is believed. */
async function judge(
  baseline: Report,
  report: Report,
  asked: readonly Entry[],
  options: Options,
): Promise<number> {
  // Rows of a case are told apart by their rivals, those of other entries by more words.
  const belongs = (row: Row, entry: Entry): boolean =>
    row.id === entry.id ||
    row.id.startsWith(`${entry.id}/`) ||
    ('measure' in entry && row.id.startsWith(`${entry.id}-`));
  const compared = (rows: readonly Row[]) =>
    changes(baseline.rows, rows, (row) => asked.some((entry) => belongs(row, entry)));
  let list = compared(report.rows);
  const fell = new Set(list.filter(({ verdict }) => verdict === 'fell').map(({ id }) => id));
  if (fell.size > 0) {
    console.error('measuring again what fell');
    const again = asked.filter((entry) => report.rows.some((row) => fell.has(row.id) && belongs(row, entry)));
    list = withSecond(list, compared(await measureAll(again, 2 * options.rounds)));
  }
  if (baseline.environment.machine.cpu !== report.environment.machine.cpu) {
    console.log(`The baseline is of another processor: ${baseline.environment.machine.cpu}`);
  }
  process.stdout.write(`\nRatios against ${options.baseline}, ${baseline.date}:\n${changesText(list)}`);
  return hasFallen(list) ? 1 : 0;
}

try {
  process.exitCode = await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  if ((error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS')) console.error(USAGE);
  process.exitCode = 2;
}
