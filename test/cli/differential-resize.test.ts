// `resize` beside qemu-img.

import { join } from 'node:path';
import t from 'tap';
import { bitmapMap } from '../support/bitmapMap.js';
import { makeCliImages } from '../support/cliImages.js';
import { run, tryRun } from '../support/tools.js';
import { Twins } from '../support/twins.js';

const twins = new Twins(t, makeCliImages);

await twins.table(t, [
  'resize',
  'resize a',
  'resize a b c',
  'resize grow.raw 2M => grow.raw raw',
  'resize -f raw grow.raw +1M => grow.raw raw',
  'resize -f raw grow.raw 1M',
  'resize -f raw --shrink grow.raw 1M',
  'resize -f raw grow.raw -512K',
  'resize -f raw --shrink grow.raw -512K => grow.raw raw',
  'resize -f raw grow.raw foo',
  'resize -f raw grow.raw 0',
  'resize -f raw --shrink grow.raw -1G',
  'resize -f raw --preallocation=foo grow.raw +1M',
  'resize -f raw --preallocation=metadata grow.raw +1M',
  'resize -f raw --preallocation=full grow.raw +1M => grow.raw raw',
  'resize -f raw --preallocation=falloc grow.raw +1M => grow.raw raw',
  'resize -f raw --preallocation=falloc grow.raw 1M',
  'resize -q -f raw grow.raw +1M',
  'resize -f raw nope 1M',
  'resize nope 1M',
  'resize -f qcow2 grow.raw 1M',
  'resize -f raw -Z grow.raw 1M',
  'resize grow.raw +1000 => grow.raw raw',
  'resize -f raw grow.raw 1.5M',
  'resize -f raw grow.raw +1e',
  "resize -f raw grow.raw ''",
  'resize -f raw grow.raw 16E',
  'resize -f foo grow.raw 10M',
  'resize --image-opts driver=raw,file.filename=grow.raw +1M',
  'resize --image-opts file.filename=grow.raw +1M',
  'resize -f raw grow.raw 20M --shrink => grow.raw raw',
]);

function make(dir: string): void {
  const img = (...args: string[]) => run('qemu-img', args, { cwd: dir });
  const io = (file: string, ...commands: string[]) =>
    run('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), file], { cwd: dir });
  const create = (file: string, ...options: string[]) =>
    img('create', '-q', '-f', 'qcow2', ...options, file, '10M');
  const fill = (file: string) => io(file, 'write -q -P 1 0 1M', 'write -q -P 2 8M 1M', 'write -q -z 5M 64k');
  for (const [file, ...options] of [
    ['plain'],
    ['tiny', '-o', 'cluster_size=512'],
    ['ext', '-o', 'extended_l2=on'],
    ['v2', '-o', 'compat=0.10'],
    ['snap'],
    ['bits'],
    ['bits2', '-o', 'cluster_size=512'],
    ['ones', '-o', 'refcount_bits=1,cluster_size=4k'],
    ['outside', '-o', 'data_file=outside.raw'],
    ['mirror', '-o', 'data_file=mirror.raw,data_file_raw=on'],
  ]) {
    create(file, ...options);
    fill(file);
  }
  for (const file of ['snap', 'v2']) img('snapshot', '-c', 's', file);
  for (const file of ['bits', 'bits2']) {
    img('bitmap', '--add', '-g', '512', file, 'b1');
    img('bitmap', '--add', '-g', '64k', file, 'b2');
    io(file, 'write -q 2M 512', 'write -q 9M 100k', 'write -q 4999k 60k');
    img('bitmap', '--disable', file, 'b2');
  }
  create('base');
  fill('base');
  create('over', '-b', 'base', '-F', 'qcow2');
  create('odd');
  fill('odd');
  io('over', 'write -q -P 7 3M 70k');
  create('lost', '-u', '-b', 'nowhere', '-F', 'qcow2');
}

const images = new Twins(t, make);

/** What qemu-img check says of both; the end of the image is where their makers put things. */
function sameAllocation(file: string): void {
  const [theirs, ours] = images.dirs.map((cwd) =>
    tryRun('qemu-img', ['check', file], { cwd }).stdout.replace(/Image end offset: \d+\n/, ''),
  );
  t.equal(
    ours.replace(/ [\d.]+% fragmented/, ''),
    theirs.replace(/ [\d.]+% fragmented/, ''),
    `${file}: allocated`,
  );
}

const qcow2Lines: [file: string, ...words: string[]][] = [
  [
    'plain',
    'plain 5M',
    '--shrink plain 5M',
    'plain 20M',
    'plain +100000',
    '--shrink plain 1',
    '--shrink plain 1M',
  ],
  ['plain', 'plain 20G', 'plain +0', '--shrink plain 7M', 'plain 1000P', 'plain 8E', '--shrink plain -7M'],
  ['plain', '--preallocation=metadata plain 1M', '--preallocation=falloc plain +1M', '-q plain +64k'],
  ['tiny', '--shrink tiny 1M', 'tiny 12M', '--shrink tiny 9000448', '--preallocation=metadata tiny 11M'],
  [
    'ext',
    '--preallocation=metadata ext 20M',
    '--preallocation=falloc ext 21M',
    '--preallocation=full ext 22M',
  ],
  ['v2', 'v2 20M', '--shrink v2 5M'],
  [
    'snap',
    'snap 20M',
    '--shrink snap 5M',
    '--preallocation=metadata snap 40M',
    '--shrink snap 3M',
    'snap 520M',
  ],
  ['bits', 'bits 40M', '--shrink bits 5M', 'bits 6M', 'bits 200M', '--shrink bits 2562048', 'bits 100M'],
  ['bits2', 'bits2 40M', '--shrink bits2 5M', 'bits2 6M', '--shrink bits2 2562048', 'bits2 30M'],
  ['ones', '--shrink ones 5M', 'ones 30M', '--preallocation=full ones 31M'],
  ['outside', 'outside 20M', '--shrink outside 5M', '--preallocation=full outside 7M'],
  ['mirror', 'mirror 20M', '--shrink mirror 5M', '--preallocation=metadata mirror 7M'],
  [
    'over',
    '--shrink over 2M',
    'over 12M',
    '--preallocation=metadata over 14M',
    '--preallocation=full over 15M',
  ],
];

for (const [file, ...all] of qcow2Lines) {
  for (const words of all) {
    await images.table(t, [`resize ${words} => ${file} qcow2`]);
    sameAllocation(file);
    if (!file.startsWith('bits')) continue;
    for (const name of ['b1', 'b2']) {
      const [theirs, ours] = images.dirs.map((dir) => bitmapMap(join(dir, file), name));
      t.same(ours, theirs, `${name} after ${words}`);
    }
  }
}

await images.table(t, [
  'resize lost 20M',
  'resize --shrink lost 1M',
  'resize -f qcow2 nope 10M',
  'resize --image-opts driver=qcow2,file.filename=ext +1M => ext qcow2',
]);

t.test('bytes behind a former end do not come back, which they do with qemu-img', async (t) => {
  for (const words of ['resize --shrink odd 512', 'resize odd 10M']) {
    const { theirs, ours } = await images.both(words.split(' '));
    t.strictSame(ours, theirs, words);
  }
  const [theirs, ours] = images.dirs.map((cwd) =>
    tryRun('qemu-io', ['-f', 'qcow2', '-c', 'read -P 0 512 1M', 'odd'], { cwd }),
  );
  t.equal(ours.status, 0, 'zeros');
  t.equal(theirs.status, 1, 'old bytes');
});
