import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { resizeImage } from '#src/operations/resize.js';
import { qemuImg } from '../support/tools.js';

const MiB = 2 ** 20;

t.test('raw grows by every preallocation mode; what is added reads as zeros', async (t) => {
  const dir = t.testdir();
  const image = join(dir, 'disk.raw');
  for (const preallocation of ['off', 'falloc', 'full'] as const) {
    writeFileSync(image, Buffer.alloc(MiB, 7));
    const outcome = await resizeImage(image, { format: 'raw', size: 5 * MiB + 1, preallocation });
    t.same(outcome, { before: MiB, after: 5 * MiB + 1 });
    const content = readFileSync(image);
    t.equal(content.length, 5 * MiB + 1);
    t.ok(content.subarray(0, MiB).equals(Buffer.alloc(MiB, 7)));
    t.ok(content.subarray(MiB).every((byte) => byte === 0));
    const taken = statSync(image).blocks * 512;
    if (preallocation === 'off') t.ok(taken < 2 * MiB, `${taken} bytes taken`);
    else t.ok(taken >= 5 * MiB, `${taken} bytes taken`);
  }
});

t.test('raw shrinks only when allowed', async (t) => {
  const image = join(t.testdir(), 'disk.raw');
  writeFileSync(image, Buffer.alloc(2 * MiB, 7));
  const wrong = resizeImage(image, { format: 'raw', size: MiB });
  await t.rejects(wrong, { code: 'INVALID_ARGUMENT', message: /--shrink.*from 2097152 to 1048576/ });
  const both = resizeImage(image, { format: 'raw', size: MiB, shrink: true, preallocation: 'full' });
  await t.rejects(both, {
    code: 'INVALID_ARGUMENT',
    message: 'Preallocation can only be used for growing images',
  });
  t.equal(statSync(image).size, 2 * MiB);
  await resizeImage(image, { format: 'raw', size: MiB, shrink: true });
  t.ok(readFileSync(image).equals(Buffer.alloc(MiB, 7)));
});

t.test('what cannot be is refused and changes nothing', async (t) => {
  const dir = t.testdir();
  const raw = join(dir, 'disk.raw');
  const qcow2 = join(dir, 'disk.qcow2');
  writeFileSync(raw, Buffer.alloc(MiB, 7));
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'compat=0.10', qcow2, '1M');
  qemuImg('snapshot', '-c', 's', qcow2);
  const before = readFileSync(qcow2);
  const metadata = resizeImage(raw, { format: 'raw', size: 2 * MiB, preallocation: 'metadata' });
  await t.rejects(metadata, {
    code: 'INVALID_ARGUMENT',
    message: 'Unsupported preallocation mode: metadata',
  });
  for (const size of [0, -5, 1.5, Number.NaN]) {
    await t.rejects(resizeImage(raw, { format: 'raw', size }), {
      code: 'INVALID_ARGUMENT',
      message: String(size),
    });
  }
  const unable = resizeImage(qcow2, { format: 'qcow2', size: 2 * MiB });
  await t.rejects(unable, {
    code: 'UNSUPPORTED_OPERATION',
    message: "Can't resize a v2 image which has snapshots",
  });
  await t.rejects(resizeImage(join(dir, 'none'), { format: 'raw', size: MiB }), {
    code: 'IO',
    errno: 'ENOENT',
  });
  t.ok(readFileSync(raw).equals(Buffer.alloc(MiB, 7)));
  t.ok(readFileSync(qcow2).equals(before));
});
