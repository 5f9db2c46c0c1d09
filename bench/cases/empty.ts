import { rm } from 'node:fs/promises';
import { convert, info, mapAll, measure } from 'basecow';
import { measureEach, measureHere } from '#src/bench/measure.js';
import { type Bench, type Entry, program } from '../entry.js';
import { BASECOW } from '../programs.js';

const TIMES = 20;

/** What an empty terabyte costs. */
export function emptyCases(bench: Bench): Entry[] {
  const { inputs } = bench;
  const path = inputs.path('empty');
  const source = { path, format: 'qcow2' };
  const target = inputs.scratch('empty.made.qcow2');
  const rivalTarget = inputs.scratch('empty.rival.qcow2');
  const calls: [verb: string, ours: () => Promise<unknown>, words: string[]][] = [
    ['info', () => info(source), ['info', '-f', 'qcow2', '--output=json', path]],
    ['map', () => mapAll(source), ['map', '-f', 'qcow2', '--output=json', path]],
    ['measure', () => measure({ format: 'qcow2', source }), ['measure', '-f', 'qcow2', '-O', 'qcow2', path]],
    [
      'convert',
      () => convert({ sources: [source], target: { path: target, format: 'qcow2' }, targetCache: 'unsafe' }),
      ['convert', '-f', 'qcow2', '-O', 'qcow2', path, rivalTarget],
    ],
  ];
  const common = {
    group: 'Empty',
    cache: 'warm',
    durability: 'none',
    setUp: () => inputs.make('empty'),
  } as const;
  const library = calls.map(
    ([verb, ours, words]): Entry => ({
      ...common,
      id: `empty-${verb}`,
      name: `${verb} of an empty 1 TiB qcow2, library`,
      terms: `basecow in this process, ${TIMES} calls; qemu-img as a process`,
      quick: verb === 'info',
      rounds: 7,
      targets: { milliseconds: 5 },
      ours: {
        name: verb,
        units: TIMES,
        work: () =>
          measureHere(async () => {
            for (let i = 0; i < TIMES; i++) await ours();
          }),
      },
      rivals: [
        {
          name: `qemu-img ${verb}`,
          units: 5,
          work: () => measureEach(5, () => program(bench, 'qemu-img', ...words)()),
        },
      ],
      cleanUp: async () => {
        await rm(target, { force: true });
        await rm(rivalTarget, { force: true });
      },
    }),
  );
  const command = ['info', 'map'].map((verb): Entry => {
    const words = [verb, '-f', 'qcow2', '--output=json', path];
    return {
      ...common,
      id: `empty-${verb}-command`,
      name: `${verb} of an empty 1 TiB qcow2, command`,
      terms: 'process against process',
      rounds: 11,
      ours: { name: `basecow ${verb}`, work: program(bench, ...BASECOW, ...words) },
      rivals: [{ name: `qemu-img ${verb}`, work: program(bench, 'qemu-img', ...words) }],
    };
  });
  return [...library, ...command];
}
