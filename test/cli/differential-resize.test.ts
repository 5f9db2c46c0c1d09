// `resize` beside qemu-img.
import t from 'tap';
import { makeCliImages } from '../support/cliImages.js';
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
