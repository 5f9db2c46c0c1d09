import { rmSync } from 'node:fs';
import { compareSides } from '#src/bench/compareSides.js';
import type { Row } from '#src/bench/model.js';
import { type Bench, type Entry, program } from '../entry.js';
import { BASECOW } from '../programs.js';

/** What a verb may take beyond Node's own start. */
const ALLOWED_MS = 15;
const ROUNDS = 20;

/** Rounds in which both sides run in turn; the row says by how much ours is slower, and whether that is little enough. */
export function startCases(bench: Bench): Entry[] {
  const { inputs, signal } = bench;
  const image = inputs.path('empty');
  const made = inputs.scratch('start.qcow2');
  const verbs: [id: string, name: string, words: string[], allowed?: number][] = [
    ['version', '--version', ['--version']],
    ['info', 'info', ['info', '-f', 'qcow2', image]],
    ['create', 'create', ['create', '-q', '-f', 'qcow2', made, '1G']],
    ['open-16t', 'open a qcow2 of 16 TiB', ['map', '-f', 'qcow2', '-l', '1M', inputs.path('huge')], 20],
  ];
  return verbs.map(([id, name, words, allowed = ALLOWED_MS]) => {
    const entry = { id: `start-${id}`, group: 'Start', name: `${name}, command` };
    return {
      ...entry,
      quick: true,
      measure: async (): Promise<Row[]> => {
        const rows = await compareSides(
          {
            ...entry,
            terms: `process against process, which does nothing; at most ${allowed} ms more`,
            cache: 'warm',
            durability: 'none',
            setUp: () => inputs.make('empty', 'huge'),
            ours: { name: `basecow ${name}`, work: program(bench, ...BASECOW, ...words) },
            rivals: [{ name: 'node -e 0', work: program(bench, process.execPath, '-e', '0') }],
            cleanUp: () => rmSync(made, { force: true }),
          },
          { rounds: ROUNDS, signal },
        );
        return rows.map((row) => judged(row, allowed));
      },
    };
  });
}

function judged(row: Row, allowed: number): Row {
  if (!row.ours || !row.theirs) return row;
  const target = Math.round(row.theirs.wall.median * 1000 + allowed);
  const value = Math.round(row.ours.wall.median * 1000);
  return { ...row, checks: [...row.checks, { kind: 'milliseconds', target, value, met: value <= target }] };
}
