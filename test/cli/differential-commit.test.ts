// `commit` beside qemu-img: words, exit codes, what is in base and overlay afterwards.
import t from 'tap';
import { makeChains } from '../support/chainImages.js';
import { Twins } from '../support/twins.js';

t.test('words', (t) =>
  new Twins(t, makeChains).table(t, [
    'commit',
    'commit -Z',
    'commit a b',
    'commit nope',
    'commit zero.raw',
    'commit -f raw zero.raw',
    'commit alone.qcow2',
    'commit -b nope top.qcow2',
    "commit -b '' top.qcow2",
    'commit -b top.qcow2 top.qcow2',
    'commit -t foo top.qcow2',
    'commit -r abc top.qcow2',
    'commit -f foo top.qcow2',
    'commit -f qcow2 flat.raw',
    'commit -f qcow2 --image-opts driver=qcow2,file.filename=top.qcow2',
  ]),
);

t.test('immediate backing file', (t) =>
  new Twins(t, makeChains).table(t, [
    'commit top.qcow2 => mid.qcow2 qcow2',
    'info base.qcow2 => top.qcow2 qcow2',
    'commit -q mid.qcow2 => base.qcow2 qcow2',
    'info base.qcow2 => mid.qcow2 qcow2',
    'info base.qcow2 => top.qcow2 qcow2',
    'commit top.qcow2 => mid.qcow2 qcow2',
  ]),
);

t.test('a base further down; the overlay stays', (t) =>
  new Twins(t, makeChains).table(t, [
    'commit -b base.qcow2 -r 100M top.qcow2 => base.qcow2 qcow2',
    'info base.qcow2 => top.qcow2 qcow2',
    'commit -d -t none ./top.qcow2 => mid.qcow2 qcow2',
    'commit -t unsafe top.qcow2 => mid.qcow2 qcow2',
  ]),
);

t.test('a layer in between that ends early', (t) =>
  new Twins(t, makeChains).table(t, [
    'commit -b base.qcow2 tall.qcow2 => base.qcow2 qcow2',
    'commit tall.qcow2 => short.qcow2 qcow2',
    'info base.qcow2 => tall.qcow2 qcow2',
    'commit short.qcow2 => base.qcow2 qcow2',
  ]),
);

t.test('raw base, versions, subclusters, image-opts', (t) =>
  new Twins(t, makeChains).table(t, [
    'commit --image-opts driver=qcow2,file.filename=over.qcow2 => flat.raw raw',
    'info base.qcow2 => over.qcow2 qcow2',
    'commit -f qcow2 v2.qcow2 => base.qcow2 qcow2',
    'commit sub.qcow2 => base.qcow2 qcow2',
    'info base.qcow2 => v2.qcow2 qcow2',
    'info base.qcow2 => sub.qcow2 qcow2',
  ]),
);
