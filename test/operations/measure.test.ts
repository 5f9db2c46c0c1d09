// Against qemu-img measure, number by number.
import { join } from 'node:path';
import t from 'tap';
import { measure } from '#src/operations/measure.js';
import { randomWrites } from '../support/images.js';
import { Random } from '../support/random.js';
import { qemuImg, qemuIo, tryRun } from '../support/tools.js';

const sets: Record<string, string>[] = [
  {},
  { cluster_size: '512' },
  { cluster_size: '2M' },
  { cluster_size: '4k', refcount_bits: '64' },
  { cluster_size: '4k', refcount_bits: '1' },
  { extended_l2: 'on' },
  { compat: '0.10' },
  { preallocation: 'metadata' },
  { preallocation: 'falloc' },
  { preallocation: 'full', cluster_size: '1k' },
  { backing_file: 'x', preallocation: 'full' },
  { backing_file: 'x' },
];

const optionText = (options: Record<string, string>): string[] => {
  const text = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  return text.length ? ['-o', text.join(',')] : [];
};

function theirs(...args: string[]): unknown {
  const {
    required,
    'fully-allocated': fullyAllocated,
    bitmaps,
  } = JSON.parse(qemuImg('measure', '--output=json', ...args));
  return { required, fullyAllocated, ...(bitmaps !== undefined && { bitmaps }) };
}

t.test('empty disks', async (t) => {
  for (const options of sets) {
    for (const size of [0, 1, 512, 1000, 65536, 2 ** 30, 10 * 2 ** 30 + 12345]) {
      const ours = await measure({ format: 'qcow2', size, options });
      t.same(
        ours,
        theirs('--size', String(size), '-O', 'qcow2', ...optionText(options)),
        `${JSON.stringify(options)} ${size}`,
      );
    }
  }
  for (const size of [0, 1, 2 ** 30 + 1]) {
    t.same(await measure({ size }), theirs('--size', String(size), '-O', 'raw'), `raw ${size}`);
  }
});

t.test('sources: raw, qcow2, an overlay, compressed, with bitmaps', async (t) => {
  const dir = t.testdir();
  const at = (name: string) => join(dir, name);
  const random = new Random(4711);
  const size = 20 * 2 ** 20 + 512;
  qemuImg('create', '-q', '-f', 'raw', at('a.raw'), String(size));
  qemuIo(at('a.raw'), 'raw', ...randomWrites(random, size, 12));
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', at('b.qcow2'), String(size));
  qemuIo(at('b.qcow2'), 'qcow2', ...randomWrites(random, size, 12));
  qemuImg('create', '-q', '-f', 'qcow2', '-b', at('a.raw'), '-F', 'raw', at('c.qcow2'));
  qemuIo(at('c.qcow2'), 'qcow2', ...randomWrites(random, size, 5));
  qemuImg('convert', '-c', '-O', 'qcow2', at('a.raw'), at('d.qcow2'));
  qemuImg('create', '-q', '-f', 'qcow2', at('e.qcow2'), '1G');
  qemuImg('bitmap', '--add', at('e.qcow2'), 'first');
  qemuImg('bitmap', '--add', '-g', '512', at('e.qcow2'), 'a second, finer one');
  for (const name of ['a.raw', 'b.qcow2', 'c.qcow2', 'd.qcow2', 'e.qcow2']) {
    const format = name.slice(2);
    for (const options of sets) {
      const ours = await measure({ format: 'qcow2', options, source: { path: at(name), format } });
      const expected = theirs('-f', format, '-O', 'qcow2', ...optionText(options), at(name));
      t.same(ours, expected, `${name} ${JSON.stringify(options)}`);
    }
    const ours = await measure({ format: 'raw', source: { path: at(name), format } });
    t.same(ours, theirs('-f', format, '-O', 'raw', at(name)), `${name} raw`);
  }
});

t.test('what cannot be measured', async (t) => {
  const wrong: Record<string, string>[] = [
    { cluster_size: '1000' },
    { refcount_bits: '3' },
    { extended_l2: 'on', cluster_size: '4k' },
    { bogus: '1' },
  ];
  for (const options of wrong) {
    const ran = tryRun('qemu-img', ['measure', '--size', '1G', '-O', 'qcow2', ...optionText(options)]);
    const [said] = ran.stderr.replace(/^qemu-img: /, '').split('\n');
    await t.rejects(measure({ format: 'qcow2', size: 2 ** 30, options }), {
      code: 'INVALID_ARGUMENT',
      message: said,
    });
  }
  const huge = measure({ format: 'qcow2', size: 200 * 2 ** 30, options: { cluster_size: '512' } });
  await t.rejects(huge, {
    code: 'LIMIT_EXCEEDED',
    message: 'The image size is too large (try using a larger cluster size)',
  });
  await t.rejects(measure({ format: 'qcow2' }), { code: 'INVALID_ARGUMENT' });
  await t.rejects(measure({ format: 'vdi', size: 1 }), { code: 'UNKNOWN_FORMAT', message: /'vdi'/ });
});
