// A raw file into a raw file on a filesystem that shares blocks: nothing is read or written.
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { convert } from '#src/operations/convert.js';
import { randomWrites } from '../support/images.js';
import { canMount, mountFresh } from '../support/mount.js';
import { Random } from '../support/random.js';
import { md5sum, qemuImg, qemuIo, run } from '../support/tools.js';

const MiB = 2 ** 20;

t.test('raw to raw shares blocks', { skip: !canMount() && 'may not mount' }, async (t) => {
  const folder = mountFresh(t, 'xfs', 320 * MiB);
  const source = join(folder, 'source');
  qemuImg('create', '-q', '-f', 'raw', source, String(100 * MiB));
  qemuIo(source, 'raw', ...randomWrites(new Random(4712), 100 * MiB, 20), 'write -P 0 50M 20M');
  const target = join(folder, 'target');
  const request = { sources: [{ path: source, format: 'raw' }], target: { path: target, format: 'raw' } };
  const shared = () => /shared/.test(run('filefrag', ['-v', target]));

  const outcome = await convert(request);
  t.same(outcome, { virtualSize: 100 * MiB, written: 0, unreadable: [] });
  t.equal(md5sum(target), md5sum(source));
  t.ok(shared(), 'blocks are shared');

  const sparse = await convert({ ...request, sparseSize: 4096 });
  t.ok(sparse.written > 0, 'zeros were asked for: bytes are looked at');
  t.equal(md5sum(target), md5sum(source));
  t.notOk(shared());
  t.ok(
    fs.statSync(target).blocks * 512 <= fs.statSync(source).blocks * 512 - 19 * MiB,
    'the zeros are holes',
  );
  t.same(fs.readdirSync(folder).sort(), ['source', 'target'], 'nothing else is left');
});
