// Raw files with holes and odd sizes: map and bytes as qemu-img sees them.
import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ExtentColumns } from '#src/disk/extents.js';
import { readDisk } from '#src/disk/view.js';
import { openDisk } from '#src/formats/open.js';
import { ourMap, qemuMap } from '../../support/qemuMap.js';
import { Random } from '../../support/random.js';
import { qemuImg } from '../../support/tools.js';

function sparse(path: string, size: number, runs: [number, number][]): void {
  const fd = openSync(path, 'w');
  for (const [offset, length] of runs) writeSync(fd, Buffer.alloc(length, 0x5a), 0, length, offset);
  ftruncateSync(fd, size);
  closeSync(fd);
}

t.test('holes and sizes', async (t) => {
  const dir = t.testdir();
  const cases: [string, number, [number, number][]][] = [
    ['empty', 0, []],
    ['one byte', 1, [[0, 1]]],
    ['a hole', 1_000_000, []],
    ['not whole sectors', 1000, [[0, 1000]]],
    ['hole at the end, not whole sectors', 100_001, [[0, 4096]]],
    ['data at the end', 1_048_577, [[1_040_384, 8193]]],
    ['many runs', 4_000_000, Array.from({ length: 200 }, (_, i) => [i * 16_384, 4096])],
  ];
  for (const [what, size, runs] of cases) {
    const file = join(dir, `${what}.raw`);
    sparse(file, size, runs);
    const disk = await openDisk(file, { format: 'raw' });
    t.equal(disk.virtualSize, Math.ceil(size / 512) * 512, `${what}: whole sectors`);
    if (size > 0) t.same(await ourMap(disk), qemuMap(file, 'raw'), `${what}: map`);
    const bytes = await readDisk(disk, 0, disk.virtualSize);
    t.ok(bytes.subarray(0, size).equals(readFileSync(file)), `${what}: bytes`);
    t.ok(
      bytes.subarray(size).every((byte) => byte === 0),
      `${what}: zeros after the end`,
    );
    const info = await disk.info();
    const expected = JSON.parse(qemuImg('info', '-f', 'raw', '--output=json', file));
    t.same(
      [info.virtualSize, info.actualSize, info.format],
      [expected['virtual-size'], expected['actual-size'], expected.format],
      `${what}: info`,
    );
    await disk.close();
  }
});

t.test('random parts of a sparse file', async (t) => {
  const seed = Number(process.env.SEED ?? 11);
  t.comment(`SEED=${seed}`);
  const random = new Random(seed);
  const file = join(t.testdir(), 'random.raw');
  const runs: [number, number][] = [];
  for (let i = 0; i < 60; i++) runs.push([random.integer(0, 3_000_000), random.integer(1, 50_000)]);
  sparse(file, 3_210_123, runs);
  const content = Buffer.alloc(3_210_240);
  readFileSync(file).copy(content);
  const disk = await openDisk(file, { format: 'raw' });
  for (let i = 0; i < 40; i++) {
    const start = random.integer(0, content.length);
    const length = random.integer(0, content.length - start);
    const found = await readDisk(disk, start, length);
    t.ok(found.equals(content.subarray(start, start + length)), `${length} bytes at ${start}`);
  }
  await disk.close();
});

t.test('what a raw disk refuses', async (t) => {
  const file = join(t.testdir({ 'x.raw': 'x'.repeat(2048) }), 'x.raw');
  await t.rejects(openDisk(file, { format: 'raw', limits: { virtualSize: 1024 } }), {
    code: 'LIMIT_EXCEEDED',
    message: /2048.*1024/,
  });
  await t.rejects(openDisk(file, { format: 'raw', snapshot: { name: 's' } }), { code: 'SNAPSHOT_NOT_FOUND' });
  t.equal(readFileSync(file, 'latin1'), 'x'.repeat(2048), 'nothing changed');
});

t.test('a raw disk that is written to', async (t) => {
  const path = join(t.testdir(), 'disk.raw');
  writeFileSync(path, Buffer.alloc(65536, 7));
  const disk = await openDisk(path, { format: 'raw', writable: true });
  const places = new ExtentColumns();
  await disk.allocate(places, 4096, 8192);
  t.equal(places.count, 1);
  t.same([places.start[0], places.length[0], places.offset[0]], [4096, 8192, 4096]);
  await disk.file.write(Buffer.alloc(8192, 9), places.offset[0]);
  await disk.zero(16384, 4096);
  await t.rejects(disk.allocate(places, 65536, 512), { code: 'INVALID_ARGUMENT', message: /65536/ });
  await t.rejects(disk.zero(-512, 512), { code: 'INVALID_ARGUMENT', message: /-512/ });
  t.equal(disk.flushDue, false);
  await disk.flush();
  await disk.close();
  const expected = Buffer.alloc(65536, 7).fill(9, 4096, 12288).fill(0, 16384, 20480);
  t.ok(readFileSync(path).equals(expected));
});
