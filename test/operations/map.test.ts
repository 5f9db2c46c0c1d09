import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type MapRequest, map, mapAll } from '#src/operations/map.js';
import { randomChain, randomRaw, randomWrites } from '../support/images.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { qemuImg, qemuIo } from '../support/tools.js';

/** Equal to `qemu-img map --output=json` (7.2: without `compressed`), of the whole or a part. */
async function sameAsQemu(
  t: Test,
  path: string,
  format: string,
  part: Pick<MapRequest, 'start' | 'length'> = {},
) {
  const args = ['--output=json', '-f', format];
  if (part.start !== undefined) args.push('-s', String(part.start));
  if (part.length !== undefined) args.push('-l', String(part.length));
  const theirs = JSON.parse(qemuImg('map', ...args, path));
  const ours = await mapAll({ path, format, gate: 'qemu', ...part });
  t.strictSame(
    ours.map(({ compressed, filename, ...entry }) => ({ ...entry })),
    theirs,
    `${path.split('/').at(-1)} ${JSON.stringify(part)}: ${theirs.length} entries`,
  );
  for (const entry of ours) t.equal(entry.filename === undefined, entry.offset === undefined);
  return ours;
}

t.test('chains of every depth, and parts of them', async (t) => {
  const dir = t.testdir();
  const seed = 51;
  t.comment(`seed ${seed}`);
  const random = new Random(seed);
  for (let round = 0; round < 8; round++) {
    const options = random.pick([
      undefined,
      'cluster_size=512',
      'cluster_size=2M',
      'extended_l2=on',
      'compat=0.10',
    ]);
    const depth = 1 + (round % 5);
    const layers = randomChain(dir, random, { depth, size: 5 * 2 ** 20 + 512, options, uneven: true });
    for (const [i, path] of layers.entries()) await sameAsQemu(t, path, i === 0 ? 'raw' : 'qcow2');
    const top = layers[depth - 1];
    for (let i = 0; i < 4; i++) {
      const start = random.integer(0, 4 * 2 ** 20);
      await sameAsQemu(t, top, depth === 1 ? 'raw' : 'qcow2', { start, length: random.integer(1, 2 ** 20) });
    }
  }
});

t.test('preallocation: the holes of the file show through', async (t) => {
  const dir = t.testdir();
  const random = new Random(52);
  for (const preallocation of ['off', 'metadata', 'falloc', 'full']) {
    for (const cluster of ['4k', '64k']) {
      const path = join(dir, `${preallocation}${cluster}.qcow2`);
      qemuImg(
        'create',
        '-q',
        '-f',
        'qcow2',
        '-o',
        `preallocation=${preallocation},cluster_size=${cluster}`,
        path,
        '8M',
      );
      await sameAsQemu(t, path, 'qcow2');
      qemuIo(path, 'qcow2', ...randomWrites(random, 8 * 2 ** 20, 5));
      await sameAsQemu(t, path, 'qcow2');
    }
  }
});

t.test('compressed clusters have no offset; raw files to the byte', async (t) => {
  const dir = t.testdir();
  const raw = randomRaw(join(dir, 'a.raw'), new Random(53), 2 ** 21);
  const packed = join(dir, 'c.qcow2');
  qemuImg('convert', '-c', '-O', 'qcow2', raw, packed);
  const rows = await sameAsQemu(t, packed, 'qcow2');
  for (const { data, compressed, offset } of rows) t.strictSame([compressed, offset], [data, undefined]);
  for (const size of [1, 511, 512, 513, 5000, 70_000]) {
    const path = join(dir, `odd${size}`);
    writeFileSync(path, Buffer.alloc(size, 1));
    await sameAsQemu(t, path, 'raw');
    truncateSync(path, size + 100_001);
    await sameAsQemu(t, path, 'raw');
  }
});

t.test('cost follows metadata, not size', async (t) => {
  const path = join(t.testdir(), 'huge.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', path, '4P');
  qemuIo(path, 'qcow2', 'write -P 1 2P 2M');
  const size = 2 ** 52;
  const rows = await mapAll({ path, format: 'qcow2' });
  t.strictSame(
    rows.map(({ start, length, data }) => [start, length, data]),
    [
      [0, 2 ** 51, false],
      [2 ** 51, 2 ** 21, true],
      [2 ** 51 + 2 ** 21, size - 2 ** 51 - 2 ** 21, false],
    ],
  );
});

t.test('the generator can be left early; bad ranges are refused', async (t) => {
  const path = randomRaw(join(t.testdir(), 'a.raw'), new Random(54), 2 ** 20);
  for await (const entry of map({ path, format: 'raw' })) {
    t.equal(entry.start, 0);
    break;
  }
  t.strictSame(await mapAll({ path, format: 'raw', start: 2 ** 20 }), []);
  await failsWith(t, mapAll({ path, format: 'raw', start: -1 }), 'INVALID_ARGUMENT', /start.*-1/);
  await failsWith(t, mapAll({ path, format: 'raw', length: 0.5 }), 'INVALID_ARGUMENT', /length.*0\.5/);
  await failsWith(t, mapAll({ path: `${path}.none`, format: 'raw' }), 'IO', /none/);
  await failsWith(t, mapAll({ path, format: 'raw' }, { signal: AbortSignal.abort() }), 'CANCELLED');
});
