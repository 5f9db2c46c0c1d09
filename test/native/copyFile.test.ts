// copyFile, extend, dataRuns, writePieces: oracle is the system itself (read back, md5sum, blocks of stat).
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type CopyFileOptions, native } from '#src/native.js';
import { canMount, loopDevice, mountFresh } from '../support/mount.js';
import { allocated, newControl, openFile } from '../support/openFile.js';
import { Random } from '../support/random.js';
import { md5sum, qemuImg } from '../support/tools.js';

const KiB = 1024;
const MiB = 1024 * KiB;

const defaults = (): CopyFileOptions => ({
  reflink: 'auto',
  detectZeros: 0,
  threads: 2,
  control: newControl(),
  targetIsZero: true,
});

/** Data, zeros written as data, and holes, in a file of `size` bytes. */
function patchwork(path: string, seed: number, size: number): void {
  const random = new Random(seed);
  const fd = fs.openSync(path, 'w');
  fs.ftruncateSync(fd, size);
  for (let i = 0; i < 10; i++) {
    const at = random.integer(0, Math.floor(size / 4096) - 1) * 4096;
    const length = Math.min(size - at, random.integer(1, 150_000));
    fs.writeSync(fd, i % 3 === 0 ? Buffer.alloc(length) : random.bytes(length), 0, length, at);
  }
  fs.closeSync(fd);
}

t.test('copyFile', async (t) => {
  t.test('bytes are those of the source and holes stay holes', async (t) => {
    const dir = t.testdir();
    for (let seed = 1; seed <= 6; seed++) {
      const source = join(dir, `source${seed}`);
      patchwork(source, seed, 4 * MiB + seed * 1000);
      for (const options of [
        { reflink: 'auto' },
        { reflink: 'never' },
        { reflink: 'never', detectZeros: 4096 },
        { reflink: 'never', detectZeros: 65536, threads: 1 },
      ] as const) {
        const target = join(dir, 'target');
        const out = fs.openSync(target, 'w+');
        const given = { ...defaults(), ...options };
        const result = await native.copyFile(openFile(t, source, 'r'), source, out, target, given);
        fs.closeSync(out);
        const what = `seed ${seed} ${JSON.stringify(options)} ${result.method}`;
        t.equal(md5sum(target), md5sum(source), what);
        t.equal(fs.statSync(target).size, fs.statSync(source).size, what);
        // The filesystem's own extent blocks count too.
        t.ok(allocated(target) <= allocated(source) + 16 * KiB, `${what}: holes stayed`);
        if ('detectZeros' in options && options.detectZeros === 4096)
          t.ok(allocated(target) < allocated(source), `${what}: zeros became holes`);
        t.same(
          [...new Float64Array(given.control, 0, 2)],
          Array(2).fill(fs.statSync(source).size),
          'progress',
        );
      }
    }
  });

  t.test('an old target is overwritten, holes included, and may end larger', async (t) => {
    const dir = t.testdir();
    const source = join(dir, 'source');
    patchwork(source, 20, 3 * MiB + 512);
    for (const detectZeros of [0, 4096]) {
      const target = join(dir, 'target');
      fs.writeFileSync(target, Buffer.alloc(7 * MiB, 0xee));
      const size = 5 * MiB;
      await native.copyFile(openFile(t, source, 'r'), source, openFile(t, target), target, {
        ...defaults(),
        targetIsZero: false,
        detectZeros,
        size,
      });
      const expected = Buffer.alloc(size);
      fs.readFileSync(source).copy(expected);
      t.ok(fs.readFileSync(target).equals(expected), `detectZeros ${detectZeros}`);
    }
  });

  t.test('refusals name the sizes and leave the target alone', async (t) => {
    const dir = t.testdir({ source: Buffer.alloc(5000, 1).toString('latin1'), target: 'kept' });
    const source = join(dir, 'source');
    const target = join(dir, 'target');
    const from = openFile(t, source, 'r');
    const to = openFile(t, target);
    await t.rejects(native.copyFile(from, source, to, target, { ...defaults(), size: 4999 }), {
      code: 'EINVAL',
      syscall: 'ftruncate',
      path: target,
      message: /4999 bytes is below the source's 5000 bytes/,
    });
    await t.rejects(native.copyFile(from, source, from, source, defaults()), {
      code: 'EINVAL',
      message: /is the source itself/,
    });
    const cancelled = defaults();
    new Int32Array(cancelled.control, 16, 1)[0] = 1;
    await t.rejects(native.copyFile(from, source, to, target, cancelled), { code: 'ECANCELED' });
    t.equal(fs.readFileSync(target, 'utf8'), 'kept');
    await t.rejects(
      native.copyFile(from, source, openFile(t, target, 'r'), target, { ...defaults(), size: 6000 }),
      {
        code: 'EINVAL',
        syscall: 'ftruncate',
        path: target,
      },
    );
  });

  t.test('arguments of the wrong kind', async (t) => {
    const call = (options: object) => () =>
      native.copyFile(0, 'a', 1, 'b', { ...defaults(), ...options } as CopyFileOptions);
    t.throws(call({ detectZeros: 100 }), {
      code: 'ERR_OUT_OF_RANGE',
      message: /multiple of 512, received 100/,
    });
    t.throws(call({ threads: 17 }), { code: 'ERR_OUT_OF_RANGE', message: /1 to 16, received 17/ });
    t.throws(call({ reflink: 'maybe' }), {
      message: /one of 'auto', 'always', 'never', received the string 'maybe'/,
    });
    t.throws(call({ control: new ArrayBuffer(64) }), TypeError);
    t.throws(call({ control: new SharedArrayBuffer(8) }), { code: 'ERR_OUT_OF_RANGE' });
    t.throws(() => native.copyFile(-1, 'a', 1, 'b', defaults()), { code: 'ERR_OUT_OF_RANGE', message: /-1/ });
    t.throws(() => native.copyFile(0, 'a\0b', 1, 'b', defaults()), TypeError);
  });

  t.test(
    'across filesystems, on xfs by reflink, out of space',
    { skip: !canMount() && 'may not mount' },
    async (t) => {
      const dir = t.testdir();
      const source = join(dir, 'source');
      patchwork(source, 30, 8 * MiB);
      const sum = md5sum(source);
      const from = openFile(t, source, 'r');

      const memory = mountFresh(t, 'tmpfs', 64 * MiB);
      await native.copyFile(from, source, openFile(t, join(memory, 'a'), 'w+'), 'a', defaults());
      t.equal(md5sum(join(memory, 'a')), sum, 'to tmpfs');
      t.ok(allocated(join(memory, 'a')) <= allocated(source), 'sparse on tmpfs');

      const xfs = mountFresh(t, 'xfs', 320 * MiB);
      const inside = openFile(t, join(xfs, 'a'), 'w+');
      const first = await native.copyFile(from, source, inside, 'a', defaults());
      t.not(first.method, 'reflink', 'another filesystem');
      const refused = { ...defaults(), reflink: 'always' } as const;
      await t.rejects(native.copyFile(from, source, inside, 'a', refused), {
        code: 'EXDEV',
        syscall: 'ioctl(FICLONE)',
        path: 'a',
      });
      t.equal(md5sum(join(xfs, 'a')), sum, 'and the target is as it was');
      const clone = await native.copyFile(inside, 'a', openFile(t, join(xfs, 'b'), 'w+'), 'b', {
        ...defaults(),
        reflink: 'always',
      });
      t.equal(clone.method, 'reflink');
      // The source ends inside a block, the target is larger and full of other bytes.
      fs.ftruncateSync(inside, 5 * MiB + 10);
      fs.writeFileSync(join(xfs, 'c'), Buffer.alloc(9 * MiB, 1));
      await native.copyFile(inside, 'a', openFile(t, join(xfs, 'c')), 'c', {
        ...defaults(),
        reflink: 'always',
        targetIsZero: false,
      });
      t.equal(md5sum(join(xfs, 'b')), sum);
      t.equal(md5sum(join(xfs, 'c')), md5sum(join(xfs, 'a')));

      const small = mountFresh(t, 'tmpfs', 64 * KiB);
      await t.rejects(
        native.copyFile(from, source, openFile(t, join(small, 'a'), 'w+'), 'full', defaults()),
        {
          code: 'ENOSPC',
          path: 'full',
        },
      );
    },
  );

  t.test('to and from block devices', { skip: !canMount() && 'may not use loop devices' }, async (t) => {
    const dir = t.testdir();
    const source = join(dir, 'source');
    patchwork(source, 40, 4 * MiB);
    const from = openFile(t, source, 'r');

    const device = loopDevice(t, 6 * MiB);
    fs.writeFileSync(device, Buffer.alloc(6 * MiB, 0xdd));
    const to = openFile(t, device);
    t.equal(native.blockDeviceSize(to), 6 * MiB);
    t.same(native.dataRuns(to, 0, 6 * MiB, 10), { runs: new Float64Array([0, 6 * MiB]), next: 6 * MiB });
    for (const detectZeros of [0, 4096]) {
      await native.copyFile(from, source, to, device, { ...defaults(), targetIsZero: false, detectZeros });
      fs.fsyncSync(to);
      const expected = Buffer.alloc(6 * MiB, 0xdd);
      fs.readFileSync(source).copy(expected);
      t.ok(
        fs.readFileSync(device).equals(expected),
        `what lies behind the copy is kept, detectZeros ${detectZeros}`,
      );
    }
    const back = join(dir, 'back');
    await native.copyFile(to, device, openFile(t, back, 'w+'), back, { ...defaults(), detectZeros: 4096 });
    t.equal(md5sum(back), md5sum(device));

    const little = loopDevice(t, 2 * MiB);
    const before = md5sum(little);
    await t.rejects(
      native.copyFile(from, source, openFile(t, little), little, { ...defaults(), targetIsZero: false }),
      { code: 'ENOSPC', path: little, message: /holds 2097152 bytes, the source has 4194304 bytes/ },
    );
    t.equal(md5sum(little), before);
    t.throws(() => native.blockDeviceSize(from), { code: 'ENOTTY' });
  });
});

t.test('dataRuns agrees with qemu-img map', async (t) => {
  const dir = t.testdir();
  for (let seed = 50; seed < 54; seed++) {
    const path = join(dir, `f${seed}`);
    const size = 6 * MiB;
    patchwork(path, seed, size);
    const rows = JSON.parse(qemuImg('map', '-f', 'raw', '--output=json', path)) as {
      start: number;
      length: number;
      data: boolean;
    }[];
    const expected = rows.filter((row) => row.data).flatMap((row) => [row.start, row.start + row.length]);
    const fd = openFile(t, path, 'r');
    const all = native.dataRuns(fd, 0, size, 1000);
    t.same([...all.runs], expected, `seed ${seed}`);
    t.equal(all.next, size);
    const stepped: number[] = [];
    for (let at = 0; at < size; ) {
      const part = native.dataRuns(fd, at, size, 1);
      stepped.push(...part.runs);
      at = part.next;
    }
    t.same(stepped, expected, `seed ${seed} one by one`);
  }
  const empty = join(dir, 'empty');
  fs.writeFileSync(empty, '');
  t.same(native.dataRuns(openFile(t, empty, 'r'), 0, 100, 5), { runs: new Float64Array(0), next: 100 });
  t.throws(() => native.dataRuns(9999, 0, 10, 1), { code: 'EBADF' });
  t.throws(() => native.dataRuns(0, 0, 2 ** 53, 1), { code: 'ERR_OUT_OF_RANGE' });
});

t.test('extend', async (t) => {
  const dir = t.testdir({ a: 'head' });
  const path = join(dir, 'a');
  const fd = openFile(t, path);
  await native.extend(fd, path, 4, 2 * MiB, 'off', newControl());
  t.equal(fs.statSync(path).size, 2 * MiB);
  t.ok(allocated(path) <= 4096, 'off allocates nothing');
  await native.extend(fd, path, 2 * MiB, 3 * MiB, 'falloc', newControl());
  t.ok(allocated(path) >= MiB, 'falloc allocates');
  const control = newControl();
  await native.extend(fd, path, 3 * MiB, 4 * MiB, 'full', control);
  t.equal(new Float64Array(control)[0], MiB);
  t.equal(fs.readFileSync(path).subarray(0, 4).toString(), 'head');
  t.ok(
    fs
      .readFileSync(path)
      .subarray(4)
      .every((byte) => byte === 0),
  );
  await native.extend(fd, path, 0, 100, 'off', newControl());
  t.equal(fs.statSync(path).size, 4 * MiB, 'never smaller');

  const cancelled = newControl();
  new Int32Array(cancelled, 16, 1)[0] = 1;
  await t.rejects(native.extend(fd, path, 4 * MiB, 8 * MiB, 'full', cancelled), { code: 'ECANCELED' });
  t.equal(fs.statSync(path).size, 4 * MiB);

  if (canMount()) {
    const small = mountFresh(t, 'ext4', 16 * MiB);
    const full = join(small, 'full');
    fs.writeFileSync(full, 'x');
    for (const mode of ['falloc', 'full'] as const) {
      await t.rejects(native.extend(openFile(t, full), full, 1, 64 * MiB, mode, newControl()), {
        code: 'ENOSPC',
        path: full,
      });
      t.equal(fs.statSync(full).size, 1, `${mode}: size as before`);
    }
  }
});

t.test('zeroRange makes a hole and keeps the size', async (t) => {
  const path = join(t.testdir(), 'a');
  fs.writeFileSync(path, Buffer.alloc(MiB, 7));
  const before = allocated(path);
  await native.zeroRange(openFile(t, path), path, 4096, 512 * KiB);
  const bytes = fs.readFileSync(path);
  t.equal(bytes.length, MiB);
  t.same([bytes[4095], bytes[4096], bytes[4096 + 512 * KiB - 1], bytes[4096 + 512 * KiB]], [7, 0, 0, 7]);
  t.equal(before - allocated(path), 512 * KiB);
});

t.test('zeroRange answers a cancel', async (t) => {
  const path = join(t.testdir(), 'a');
  const content = Buffer.alloc(MiB, 7);
  fs.writeFileSync(path, content);
  const control = new SharedArrayBuffer(64);
  new Int32Array(control)[4] = 1;
  await t.rejects(native.zeroRange(openFile(t, path), path, 0, MiB, control), { code: 'ECANCELED' });
  t.ok(fs.readFileSync(path).equals(content), 'nothing was zeroed');
  new Int32Array(control)[4] = 0;
  await native.zeroRange(openFile(t, path), path, 0, MiB, control);
  t.ok(fs.readFileSync(path).equals(Buffer.alloc(MiB)));
  const fd = openFile(t, path);
  t.throws(() => native.zeroRange(fd, path, 0, MiB, new SharedArrayBuffer(8)), { code: 'ERR_OUT_OF_RANGE' });
});

t.test('writePieces', async (t) => {
  const dir = t.testdir();
  const random = new Random(60);
  const path = join(dir, 'a');
  const fd = openFile(t, path, 'w+');
  const lengths = Uint32Array.from({ length: 3000 }, () => random.integer(0, 100));
  const offsets = new Float64Array(lengths.length);
  let end = 0;
  for (let i = 0; i < lengths.length; i++) {
    if (random.next() < 0.05) end += random.integer(1, 5000);
    offsets[i] = end;
    end += lengths[i];
  }
  const buffer = random.bytes(lengths.reduce((sum, length) => sum + length, 0));
  await native.writePieces(fd, path, buffer, offsets, lengths);
  const expected = Buffer.alloc(fs.statSync(path).size);
  for (let i = 0, at = 0; i < lengths.length; at += lengths[i++])
    buffer.copy(expected, offsets[i], at, at + lengths[i]);
  t.ok(fs.readFileSync(path).equals(expected));

  const few = Uint32Array.of(buffer.length, 1);
  t.throws(() => native.writePieces(fd, path, buffer, Float64Array.of(0, 1), few), {
    code: 'ERR_OUT_OF_RANGE',
  });
  t.throws(() => native.writePieces(fd, path, buffer, Float64Array.of(0), few), { code: 'ERR_OUT_OF_RANGE' });
  t.throws(() => native.writePieces(fd, path, buffer, Float64Array.of(0.5), Uint32Array.of(1)), {
    message: /0\.5/,
  });
  await t.rejects(
    native.writePieces(openFile(t, path, 'r'), path, buffer, Float64Array.of(8), Uint32Array.of(1)),
    { code: 'EBADF', path },
  );
  t.ok(fs.readFileSync(path).equals(expected), 'refusals wrote nothing');
});
