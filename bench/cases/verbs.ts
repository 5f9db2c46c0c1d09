import * as fs from 'node:fs';
import type { Case, Side } from '#src/bench/model.js';
import { makeWarm } from '../cache.js';
import { type Bench, type Entry, program } from '../entry.js';
import { BASECOW, run } from '../programs.js';

type Prepare = (image: string) => void;

interface Verb {
  id: string;
  name: string;
  target: number;
  /** Words for both programs; `image` is what each has to itself, for verbs that change it. */
  words: (image: string) => string[];
  /** Before each run, untimed. Verbs without it only read. */
  before?: Prepare;
  /** After the last round. */
  verify?: (ours: string, theirs: string) => void;
}

/** Verbs on a large image whose clusters are scattered, program against program, in the page cache, nothing flushed. */
export function verbCases(bench: Bench): Entry[] {
  const { inputs } = bench;
  const spread = inputs.path('spread');
  const size = String(inputs.spreadSize);
  const base = (image: string) => `${image}.base`;
  const remove = (path: string): void => fs.rmSync(path, { force: true });
  const fresh = (path: string, ...words: string[]): void => {
    remove(path);
    run('qemu-img', 'create', '-q', '-f', 'qcow2', ...words, path, size);
  };
  const compare = (a: string, b: string): void =>
    void run('qemu-img', 'compare', '-q', '-f', 'qcow2', '-F', 'qcow2', a, b);
  const check = (path: string): void => void run('qemu-img', 'check', '-q', '-f', 'qcow2', path);
  // A copy with its holes, for verbs that change the image.
  const copy = (image: string): void => {
    if (!fs.existsSync(image)) run('cp', '--sparse=always', spread, image);
  };
  const withoutSnapshot = (image: string): void => {
    copy(image);
    if (run('qemu-img', 'snapshot', '-l', image) !== '') run('qemu-img', 'snapshot', '-d', 's', image);
  };
  const withSnapshot = (image: string): void => {
    withoutSnapshot(image);
    run('qemu-img', 'snapshot', '-c', 's', image);
  };
  const verbs: Verb[] = [
    { id: 'check', name: 'check', target: 2, words: () => ['check', '-f', 'qcow2', spread] },
    { id: 'map', name: 'map', target: 2, words: () => ['map', '-f', 'qcow2', '--output=json', spread] },
    {
      id: 'compare',
      name: 'compare with the same disk in another order',
      target: 2,
      words: () => ['compare', '-f', 'qcow2', '-F', 'qcow2', spread, inputs.path('spreadTwin')],
    },
    {
      id: 'measure',
      name: 'measure',
      target: 1,
      words: () => ['measure', '-f', 'qcow2', '-O', 'qcow2', spread],
    },
    {
      id: 'snapshot-create',
      name: 'snapshot, create',
      target: 1,
      words: (image) => ['snapshot', '-c', 's', image],
      before: withoutSnapshot,
      verify: (ours) => check(ours),
    },
    {
      id: 'snapshot-apply',
      name: 'snapshot, apply',
      target: 1,
      words: (image) => ['snapshot', '-a', 's', image],
      before: withSnapshot,
      verify: (ours) => check(ours),
    },
    {
      id: 'commit',
      name: 'commit into an empty base, the overlay kept',
      target: 1,
      words: (image) => ['commit', '-q', '-d', '-f', 'qcow2', image],
      before: (image) => {
        copy(image);
        fresh(base(image));
        run('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-b', base(image), '-F', 'qcow2', image);
      },
      verify: (ours, theirs) => {
        check(base(ours));
        compare(base(ours), base(theirs));
      },
    },
    {
      id: 'rebase',
      name: 'rebase of an empty overlay to no backing file',
      target: 1,
      words: (image) => ['rebase', '-f', 'qcow2', '-b', '', image],
      before: (image) => fresh(image, '-b', spread, '-F', 'qcow2'),
      verify: (ours, theirs) => {
        check(ours);
        compare(ours, theirs);
      },
    },
  ];
  return verbs.map((verb) => verbCase(bench, verb));
}

function verbCase(bench: Bench, { id, name, target, words, before, verify }: Verb): Case {
  const { inputs } = bench;
  const images = ['ours', 'theirs'].map((side) => inputs.scratch(`verb.${side}.qcow2`));
  const side = (index: number, command: readonly string[], sideName: string): Side => ({
    name: sideName,
    before:
      before &&
      (() => {
        before(images[index]);
        run('sync');
      }),
    work: program(bench, ...command, ...words(images[index])),
  });
  return {
    id: `verb-${id}`,
    group: 'Verbs',
    name,
    terms:
      'process against process, the same words; clusters of 64 KiB in a shuffled order, a sixteenth of the disk',
    cache: 'warm',
    durability: before ? "each program's own" : 'none',
    setUp: () => {
      inputs.make('spread', 'spreadTwin');
      makeWarm(inputs.path('spread'));
      makeWarm(inputs.path('spreadTwin'));
    },
    ours: side(0, BASECOW, `basecow ${id}`),
    rivals: [{ ...side(1, ['qemu-img'], `qemu-img ${id}`), target }],
    verify: () => {
      verify?.(images[0], images[1]);
      return undefined;
    },
    cleanUp: () => {
      for (const image of images)
        for (const path of [image, `${image}.base`]) fs.rmSync(path, { force: true });
    },
  };
}
