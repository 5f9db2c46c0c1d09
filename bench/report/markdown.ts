// The generated parts of docs/performance.md and README.md.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Row } from '#src/bench/model.js';
import { checkText, markdownTable } from '#src/bench/table.js';
import { bytes, rate } from '#src/bench/units.js';
import { GROUPS } from '../entry.js';
import type { Environment } from '../environment.js';
import type { Report } from './report.js';

const COLUMNS = [
  'what',
  'ours',
  'theirs',
  'rival',
  'ratio',
  'target',
  'rate',
  'note',
  'cpu',
  'memory',
  'size',
] as const;
const SHORT = ['what', 'ours', 'theirs', 'rival', 'ratio'] as const;

/** Rows that README.md tells, by id. */
const TOLD: readonly string[] = [
  "md5-one-stream/Node's createHash",
  'md5-chunks/md5sum',
  'sparse-md5/md5sum',
  'raw-raw/qemu-img convert',
  'raw-qcow2/qemu-img convert',
  'qcow2-raw/qemu-img convert',
  'write-zlib/qemu-img convert',
  'write-zstd/qemu-img convert',
  'read-zlib/qemu-img convert',
  'read-zstd/qemu-img convert',
  'overlay-one-by-one/qemu-img create, fdatasync',
  'overlay-group/qemu-img create, sync -f',
  'empty-info/qemu-img info',
  'provision-first/cp, sha512sum, qemu-img info, convert, create',
  'provision-next/qemu-img info, create',
];

function machineText({ machine }: Environment): string {
  const { cpu, cores, memory, kernel, node } = machine;
  return `${cores} × ${cpu}, ${bytes(memory)}, Linux ${kernel}, Node ${node}`;
}

const warningText = (warnings: readonly string[]): string =>
  warnings.map((warning) => `**Warning:** ${warning}.\n`).join('\n');

export function readmePart({ date, environment, dataBytes, warnings, rows }: Report): string {
  const told = TOLD.map((id) => rows.find((row) => row.id === id)).filter((row) => row !== undefined);
  return `Measured ${date} on ${machineText(environment)}, ${environment.filesystem.type}, with ${bytes(dataBytes)} of data;
rival / basecow, medians of interleaved rounds (spread of the times; least and largest ratio of a pair).

${warnings.length > 0 ? `${warningText(warnings)}\n` : ''}${markdownTable(told.length > 0 ? told : rows, SHORT)}`;
}

export interface Charts {
  ratio?: string;
  rate?: string;
}

/** `docs`: the folder, for the findings that are there. */
export function performancePart(report: Report, docs: string, charts: Charts): string {
  const groups = [...new Set([...GROUPS, ...report.rows.map(({ group }) => group)])];
  const sections = groups.map((group) =>
    groupText(
      group,
      report.rows.filter((row) => row.group === group),
    ),
  );
  const pictures = [
    charts.ratio && '![How many times faster than the rival](performance.svg)\n',
    charts.rate && '![Bytes a second](performance-rates.svg)\n',
  ];
  return [
    `## The run\n\n${runText(report)}`,
    warningText(report.warnings),
    ...pictures,
    targetsText(report.rows),
    ...sections,
    absentText(report.rows),
    findingsText(docs),
  ]
    .filter(Boolean)
    .join('\n');
}

function runText({ date, mode, dataBytes, rounds, environment }: Report): string {
  const { machine, filesystem, disk, cold, programs, engine, commit, steadyMemory } = environment;
  const found = Object.values(programs).filter((version) => version !== undefined);
  const lines: [string, string][] = [
    ['date', `${date}, ${mode} run${commit ? `, ${commit}` : ''}`],
    ['machine', machineText(environment)],
    ['instruction sets', machine.flags.join(' ')],
    ['load before', machine.load.toFixed(2)],
    ['filesystem', `${filesystem.type} (${filesystem.options}) on ${filesystem.source}`],
    ['disk probe', `sequential write ${rate(disk.write)}, cold read ${rate(disk.read)}`],
    ['cold means', cold],
    ...(steadyMemory === undefined
      ? []
      : [
          [
            'memory',
            `${bytes(steadyMemory)} of free memory kept from being given back to the host`,
          ] satisfies [string, string],
        ]),
    ['rounds', `${rounds}, where a row has no number of its own; a round before them is not counted`],
    [
      'inputs',
      `${bytes(dataBytes)} of data; the disk of real files is four times as large, the rest of it holes`,
    ],
    ['rivals', found.join('; ')],
    [
      'engine',
      Object.entries(engine)
        .map(([name, value]) => `${name}: ${value ?? 'none'}`)
        .join('; '),
    ],
  ];
  return `| | |\n|---|---|\n${lines.map(([name, value]) => `| ${name} | ${value.replaceAll('|', '\\|')} |\n`).join('')}`;
}

function targetsText(rows: readonly Row[]): string {
  const all = rows.flatMap((row) => row.checks.map((check) => ({ row, check })));
  const missed = all.filter(({ check }) => !check.met);
  if (all.length === 0) return '';
  const head = `## Targets\n\n${all.length - missed.length} of ${all.length} are met.`;
  if (missed.length === 0) return `${head}\n`;
  const lines = missed.map(({ row, check }) => {
    const reached = check.kind === 'ratio' ? `, reached ${check.value.toFixed(2)}` : '';
    return `- ${row.name}${row.cache === 'cold' ? ', cold' : ''}${row.rival ? ` (${row.rival})` : ''}: ${checkText(check)}${reached}\n`;
  });
  return `${head} Missed:\n\n${lines.join('')}`;
}

function groupText(group: string, rows: readonly Row[]): string {
  const measured = rows.filter(({ ours, instructions }) => ours || instructions !== undefined);
  if (measured.length === 0) return '';
  const terms = new Map<string, string>();
  for (const { name, cache, durability, rounds, terms: own } of measured) {
    const place = cache === 'none' ? '' : `${cache} cache, `;
    const flushed = durability === 'none' ? 'no flush on any side' : `durable on all sides: ${durability}`;
    const cold = cache === 'cold' ? ', cold' : '';
    terms.set(`${name}${cold}`, `${place}${flushed}; ${own}; ${rounds} round${rounds === 1 ? '' : 's'}`);
  }
  const list = [...terms].map(([name, text]) => `- **${name}**: ${text}\n`).join('');
  return `## ${group}\n\n${markdownTable(measured, COLUMNS)}\n<details><summary>Terms</summary>\n\n${list}\n</details>\n`;
}

function absentText(rows: readonly Row[]): string {
  const absent = rows.filter((row) => row.absent !== undefined);
  if (absent.length === 0) return '';
  const lines = absent.map(
    ({ name, rival, absent: why }) => `- ${name}${rival ? ` (${rival})` : ''}: ${why}\n`,
  );
  return `## Not run\n\n${lines.join('')}`;
}

/** What others wrote about parts of it. */
function findingsText(docs: string): string {
  const files = existsSync(docs)
    ? readdirSync(docs).filter((name) => /^performance-[\w-]+\.md$/.test(name))
    : [];
  if (files.length === 0) return '';
  const lines = files.sort().map((name) => {
    const title = /^# (.+)$/m.exec(readFileSync(join(docs, name), 'utf8'))?.[1] ?? name;
    return `- [${title}](${name})\n`;
  });
  return `## Findings\n\n${lines.join('')}`;
}

/** Replaces what is between `<!-- name -->` and `<!-- /name -->`. @throws when the markers are not there, once each. */
export function replacePart(text: string, name: string, part: string): string {
  const pieces = text.split(new RegExp(`(<!-- ${name} -->\\n|<!-- /${name} -->)`));
  if (pieces.length !== 5 || pieces[3].startsWith('<!-- /') === false) {
    throw new Error(`There is not one pair of markers '${name}'`);
  }
  return `${pieces[0]}${pieces[1]}${part}${pieces[3]}${pieces[4]}`;
}
