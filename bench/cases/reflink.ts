import * as fs from 'node:fs';
import { compareSides } from '#src/bench/compareSides.js';
import type { Case, Row, Side } from '#src/bench/model.js';
import { absentRow, type Bench, type Entry, program } from '../entry.js';
import { inLibrary } from '../inLibrary.js';
import { BASECOW, isRoot, run } from '../programs.js';

const GiB = 2 ** 30;
const KINDS = ['xfs', 'btrfs'] as const;
type Kind = (typeof KINDS)[number];

/** On a filesystem that shares blocks, made in a file and mounted through a loop device: only root can. */
export function reflinkCases(bench: Bench): Entry[] {
  return KINDS.map((kind) => {
    const entry = { id: `reflink-${kind}`, group: 'Reflink', name: `copies on ${kind}` };
    return { ...entry, measure: (rounds) => onFilesystem(bench, kind, entry, rounds) };
  });
}

async function onFilesystem(
  bench: Bench,
  kind: Kind,
  entry: { id: string; group: string; name: string },
  rounds: number,
): Promise<Row[]> {
  if (!isRoot()) return [absentRow(entry, 'mounting needs root')];
  const { inputs, signal } = bench;
  inputs.make('raw');
  const file = inputs.scratch(`${kind}.filesystem`);
  const at = inputs.scratch(kind);
  fs.mkdirSync(at, { recursive: true });
  fs.rmSync(file, { force: true });
  fs.closeSync(fs.openSync(file, 'wx'));
  fs.truncateSync(file, inputs.dataBytes * 6 + GiB);
  let mounted = false;
  try {
    try {
      run(`mkfs.${kind}`, '-q', file);
      run('mount', '-o', 'loop', file, at);
      mounted = true;
    } catch (error) {
      return [absentRow(entry, `no ${kind} here: ${(error as Error).message.split('\n')[0]}`)];
    }
    run('cp', '--sparse=always', inputs.path('raw'), `${at}/disk.raw`);
    run('sync', '-f', at);
    const rows: Row[] = [];
    for (const one of copies(bench, kind, at)) rows.push(...(await compareSides(one, { rounds, signal })));
    return rows;
  } finally {
    if (mounted) run('umount', at);
    fs.rmSync(file, { force: true });
    fs.rmdirSync(at);
  }
}

function copies(bench: Bench, kind: Kind, at: string): Case[] {
  const source = `${at}/disk.raw`;
  const grown = bench.inputs.virtualSize + GiB;
  let sides = 0;
  const side = (name: string, work: (target: string) => Side['work']): Side => {
    const target = `${at}/made.${sides++}`;
    return {
      name,
      before: () => {
        fs.rmSync(target, { force: true });
        run('sync', '-f', at);
      },
      work: work(target),
    };
  };
  const words =
    (...before: string[]) =>
    (target: string) =>
      program(bench, ...before, source, target);
  const copy = (target: string) =>
    inLibrary(bench, {
      call: 'copyImage',
      warm: false,
      request: { source, target, size: grown, targetCache: 'unsafe' },
    });
  const common = {
    group: 'Reflink',
    cache: 'warm',
    durability: 'none',
  } as const;
  return [
    {
      ...common,
      id: `reflink-${kind}-convert`,
      name: `convert raw to raw on ${kind}`,
      terms: `loop-mounted ${kind} in a file; process against process`,
      ours: side('basecow convert', words(...BASECOW, 'convert', '-f', 'raw', '-O', 'raw')),
      rivals: [
        { ...side('qemu-img convert', words('qemu-img', 'convert', '-f', 'raw', '-O', 'raw')), target: 50 },
      ],
      verify: () => {
        run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', `${at}/made.0`, `${at}/made.1`);
        return undefined;
      },
    },
    {
      ...common,
      id: `reflink-${kind}-resized`,
      name: `copy of a base, grown by 1 GiB, on ${kind}`,
      terms: `loop-mounted ${kind}; library call without its process's start, against processes`,
      ours: side('copyImage', copy),
      rivals: [
        { ...side('cp --reflink=never', words('cp', '--reflink=never')), target: 50 },
        side('cp --reflink=always', words('cp', '--reflink=always')),
      ],
    },
  ];
}
