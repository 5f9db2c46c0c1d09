import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { info, infoChain } from '#src/operations/info.js';
import { randomChain } from '../support/images.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { qemuImg, tryRun } from '../support/tools.js';

t.test('a chain, top first, as qemu-img lists it', async (t) => {
  const dir = t.testdir();
  const layers = randomChain(dir, new Random(71), { depth: 4, size: 2 ** 20, uneven: true });
  const theirs = JSON.parse(qemuImg('info', '--backing-chain', '--output=json', layers[3]));
  const ours = await infoChain({ path: layers[3], format: 'qcow2' });
  t.strictSame(
    ours.map((one) => [
      one.filename,
      one.format,
      one.virtualSize,
      one.actualSize,
      one.clusterSize,
      one.backingFilename,
      one.backingFilenameFormat,
    ]),
    // biome-ignore lint/suspicious/noExplicitAny: qemu-img's JSON.
    theirs.map((one: any) => [
      one.filename,
      one.format,
      one['virtual-size'],
      one['actual-size'],
      one['cluster-size'],
      one['backing-filename'],
      one['backing-filename-format'],
    ]),
  );
  t.match(await info({ path: layers[3], format: 'qcow2' }), {
    filename: layers[3],
    virtualSize: ours[0].virtualSize,
  });
});

t.test('info opens neither backing nor data file', async (t) => {
  const dir = t.testdir();
  const path = join(dir, 'o.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', '/none/such', '-F', 'raw', path, '1M');
  t.match(await info({ path, format: 'qcow2', gate: 'deny' }), { backingFilename: '/none/such' });
  const external = join(dir, 'd.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${join(dir, 'data')}`, external, '1M');
  t.ok(existsSync(join(dir, 'data')));
  t.match(await info({ path: external, format: 'qcow2', gate: 'deny' }), { virtualSize: 2 ** 20 });
  await failsWith(t, infoChain({ path, format: 'qcow2', gate: 'deny' }), 'BACKING_DENIED', /\/none\/such/);
  await failsWith(t, infoChain({ path, format: 'qcow2' }), 'IO', /\/none\/such/);
});

t.test('loops and limits', async (t) => {
  const dir = t.testdir();
  const [a, b] = ['a', 'b'].map((name) => join(dir, `${name}.qcow2`));
  qemuImg('create', '-q', '-f', 'qcow2', a, '1M');
  qemuImg('create', '-q', '-f', 'qcow2', '-b', a, '-F', 'qcow2', b);
  qemuImg('rebase', '-u', '-b', b, '-F', 'qcow2', a);
  const theirs = tryRun('qemu-img', ['info', '--backing-chain', b]);
  const error = await failsWith(t, infoChain({ path: b, format: 'qcow2' }), 'BACKING_CYCLE', b);
  t.equal(theirs.stderr, `qemu-img: ${error.message}\n`);
  await failsWith(
    t,
    infoChain({ path: b, format: 'qcow2', limits: { chainDepth: 1 } }),
    'BACKING_TOO_DEEP',
    /1 layers/,
  );
});
