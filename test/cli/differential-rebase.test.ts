// `rebase` beside qemu-img: words, exit codes, what the overlay holds and names afterwards.
import t from 'tap';
import { makeChains } from '../support/chainImages.js';
import { Twins } from '../support/twins.js';

const long = 'a'.repeat(1100);

t.test('words', (t) =>
  new Twins(t, makeChains).table(t, [
    'rebase',
    'rebase top.qcow2',
    'rebase -F qcow2 top.qcow2',
    'rebase -b zero.raw',
    'rebase -b zero.raw a b',
    'rebase -Z top.qcow2',
    'rebase -b nope top.qcow2',
    'rebase -b nope -F raw top.qcow2',
    'rebase -b zero.raw top.qcow2',
    'rebase -b zero.raw -F foo top.qcow2',
    'rebase -b zero.raw -F raw -f raw flat.raw',
    "rebase -b '' zero.raw",
    "rebase -u -b '' -f raw zero.raw",
    'rebase -u -b x -F raw zero.raw',
    'rebase -u -b base.qcow2 top.qcow2',
    'rebase -u -b base.qcow2 -F foo top.qcow2',
    "rebase -t foo -b '' top.qcow2",
    "rebase -T foo -b '' top.qcow2",
    `rebase -u -b ${long} -F raw top.qcow2`,
    'rebase -b top.qcow2 -F qcow2 top.qcow2',
    'rebase -b base.qcow2 -F qcow2 nope',
    'rebase -f qcow2 -b base.qcow2 flat.raw',
  ]),
);

t.test('safe', (t) =>
  new Twins(t, makeChains).table(t, [
    'rebase -b base.qcow2 -F qcow2 top.qcow2 => top.qcow2 qcow2',
    'rebase -b zero.raw -F raw top.qcow2 => top.qcow2 qcow2',
    'rebase -b mid.qcow2 -F qcow2 top.qcow2 => top.qcow2 qcow2',
    "rebase -b '' top.qcow2 => top.qcow2 qcow2",
    'rebase -b packed.qcow2 -F qcow2 over.qcow2 => over.qcow2 qcow2',
    'rebase -U -b base.qcow2 -F qcow2 over.qcow2 => over.qcow2 qcow2',
    'rebase -t unsafe -b flat.raw -F raw v2.qcow2 => v2.qcow2 qcow2',
    "rebase -b '' v2.qcow2 => v2.qcow2 qcow2",
    'rebase -b flat.raw -F raw sub.qcow2 => sub.qcow2 qcow2',
    'rebase -b short.qcow2 -F qcow2 sub.qcow2 => sub.qcow2 qcow2',
    "rebase --image-opts -b '' driver=qcow2,file.filename=sub.qcow2 => sub.qcow2 qcow2",
    'rebase -b tall.qcow2 -F qcow2 alone.qcow2 => alone.qcow2 qcow2',
  ]),
);

t.test('unsafe', (t) =>
  new Twins(t, makeChains).table(t, [
    'rebase -u -b flat.raw -F raw top.qcow2 => top.qcow2 qcow2',
    'rebase -u top.qcow2 => top.qcow2 qcow2',
    'rebase -u -b base.qcow2 -F qcow2 top.qcow2 => top.qcow2 qcow2',
    "rebase -u -b '' v2.qcow2 => v2.qcow2 qcow2",
    'rebase -u -b gone -F vmdk top.qcow2',
    'rebase -b base.qcow2 -F qcow2 top.qcow2',
    'rebase -u -b tall.qcow2 -F qcow2 top.qcow2 => top.qcow2 qcow2',
    'rebase -q -u -b top.qcow2 -F qcow2 top.qcow2',
    'info --output=json top.qcow2',
  ]),
);
