// `amend` beside qemu-img: words, exit codes, and images that qemu-img calls clean and reads alike.
import { join } from 'node:path';
import { amend } from 'basecow';
import t from 'tap';
import { makeSnapshots } from '../support/snapshotImages.js';
import { run } from '../support/tools.js';
import { Twins } from '../support/twins.js';

function make(dir: string): void {
  const img = (...args: string[]) => run('qemu-img', args, { cwd: dir });
  const io = (file: string, ...commands: string[]) =>
    run('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), file], { cwd: dir });
  img('create', '-q', '-f', 'qcow2', 'a.qcow2', '1M');
  io('a.qcow2', 'write -P 1 64k 100k', 'write -z 256k 64k', 'write -P 2 320k 64k', 'write -z 320k 64k');
  img('create', '-q', '-f', 'qcow2', '-b', 'a.qcow2', '-F', 'qcow2', 'o.qcow2');
  io('o.qcow2', 'write -z 64k 64k', 'write -P 3 512k 128k', 'write -z 512k 64k', 'write -z 900k 100k');
  img('snapshot', '-c', 'one', 'o.qcow2');
  io('o.qcow2', 'write -P 4 900k 10k', 'write -z 128k 64k');
  img('create', '-q', '-f', 'qcow2', '-o', 'data_file=d.raw', 'd.qcow2', '1M');
  img('create', '-q', '-f', 'qcow2', '-o', 'data_file=d2.raw,data_file_raw=on', 'd2.qcow2', '1M');
  img('create', '-q', '-f', 'qcow2', '-o', 'compression_type=zstd', 'z.qcow2', '1M');
  img('convert', '-c', '-O', 'qcow2', '-o', 'compression_type=zstd', 'a.qcow2', 'zc.qcow2');
  img('create', '-q', '-f', 'qcow2', '-o', 'extended_l2=on', 'e.qcow2', '1M');
  img('create', '-q', '-f', 'raw', 'r.raw', '1M');
}

t.test('words', (t) =>
  new Twins(t, (dir) => {
    make(dir);
    makeSnapshots(dir, 's.qcow2');
    makeSnapshots(dir, 'lost.qcow2');
  }).table(t, [
    'amend',
    'amend a.qcow2',
    'amend -o compat=0.10',
    'amend -o compat=0.10 a.qcow2 b',
    'amend -o help a.qcow2',
    'amend -f qcow2 -o help',
    'amend -o help',
    'amend -f foo -o help',
    'amend -f raw -o help',
    'amend -o foo=1 a.qcow2',
    'amend -o cluster_size=4k a.qcow2',
    'amend -o compression_type=zstd a.qcow2',
    'amend -o encryption=on a.qcow2',
    'amend -o encrypt.state=active a.qcow2',
    'amend -o compat=7 a.qcow2',
    'amend -o lazy_refcounts=foo a.qcow2',
    'amend -o refcount_bits=63 a.qcow2',
    'amend -o refcount_bits=128 a.qcow2',
    'amend -o size=xx a.qcow2',
    'amend -o size=0 a.qcow2',
    'amend -o backing_file=x a.qcow2',
    'amend -o backing_file=a.qcow2 o.qcow2',
    'amend -o backing_file=a.qcow2,backing_fmt=qcow2 o.qcow2',
    'amend -o backing_fmt=raw o.qcow2',
    'amend -o data_file=x a.qcow2',
    'amend -o data_file_raw=on d.qcow2',
    'amend -o data_file_raw=on d2.qcow2',
    'amend -o compat=0.10 d2.qcow2',
    'amend -o compat=0.10 zc.qcow2',
    'amend -o compat=0.10 e.qcow2',
    'amend -o compat=0.10 s.qcow2',
    'amend -o size=1M r.raw',
    'amend -o size=1M nope',
    'amend -o size=1M lost.qcow2',
    'amend -t foo -o size=3M a.qcow2',
    'amend -Z a.qcow2',
    "amend -o '' a.qcow2",
    'amend -o a.qcow2',
    'amend -o refcount_bits=1 s.qcow2',
  ]),
);

t.test('version, width of refcounts, lazy refcounts, size, data file', (t) =>
  new Twins(t, make).table(t, [
    'amend -o compat=0.10 a.qcow2 => a.qcow2 qcow2',
    'amend -o compat=0.10 a.qcow2 => a.qcow2 qcow2',
    'amend -o lazy_refcounts=on a.qcow2',
    'amend -o refcount_bits=8 a.qcow2',
    'amend -o compat=1.1 a.qcow2 => a.qcow2 qcow2',
    'amend --force -o lazy_refcounts=on,refcount_bits=64 a.qcow2 => a.qcow2 qcow2',
    'amend -o compat=0.10 a.qcow2',
    'amend -o compat=0.10,refcount_bits=16 a.qcow2 => a.qcow2 qcow2',
    'amend -o compat=v3,refcount_bits=32,lazy_refcounts=on a.qcow2 => a.qcow2 qcow2',
    'amend -o lazy_refcounts=off a.qcow2 => a.qcow2 qcow2',
    'amend -q --image-opts -o size=5M driver=qcow2,file.filename=a.qcow2 => a.qcow2 qcow2',
    'amend -o compat=0.10 z.qcow2 => z.qcow2 qcow2',
    'amend -o data_file_raw=off d2.qcow2 => d2.qcow2 qcow2',
    'amend -o data_file=./d.raw d.qcow2 => d.qcow2 qcow2',
    'amend -o data_file=x.raw d.qcow2',
    'amend -o data_file=d.raw d.qcow2',
  ]),
);

t.test('over a backing file, with a snapshot', (t) =>
  new Twins(t, make).table(t, [
    'amend -o refcount_bits=32 o.qcow2 => o.qcow2 qcow2',
    'amend -o compat=v2,refcount_bits=16 o.qcow2 => o.qcow2 qcow2',
    'snapshot -a one o.qcow2 => o.qcow2 qcow2',
    'amend -o compat=v3 o.qcow2 => o.qcow2 qcow2',
  ]),
);

t.test('small clusters', (t) =>
  new Twins(t, (dir) => {
    makeSnapshots(dir, 'tiny.qcow2');
    makeSnapshots(dir, 'v2.qcow2');
  }).table(t, [
    'amend -o refcount_bits=1 tiny.qcow2 => tiny.qcow2 qcow2',
    'amend -o refcount_bits=2 tiny.qcow2 => tiny.qcow2 qcow2',
    'amend -o refcount_bits=32 tiny.qcow2 => tiny.qcow2 qcow2',
    'amend -o refcount_bits=4 tiny.qcow2 => tiny.qcow2 qcow2',
    'amend -o refcount_bits=64 tiny.qcow2 => tiny.qcow2 qcow2',
    'snapshot -c x tiny.qcow2 => tiny.qcow2 qcow2',
    'amend -o refcount_bits=8 tiny.qcow2 => tiny.qcow2 qcow2',
    'amend -o compat=1.1 v2.qcow2 => v2.qcow2 qcow2',
  ]),
);

t.test(
  'a zero flag over a cluster that a snapshot shares: qemu-img 7.2 loses the snapshot there',
  async (t) => {
    const cwd = t.testdir();
    const img = (...args: string[]) => run('qemu-img', args, { cwd });
    const io = (...commands: string[]) =>
      run('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), 'o.qcow2'], { cwd });
    img('create', '-q', '-f', 'raw', 'base.raw', '1M');
    img('create', '-q', '-f', 'qcow2', '-b', 'base.raw', '-F', 'raw', 'o.qcow2');
    io('write -P 3 512k 128k');
    img('snapshot', '-c', 'one', 'o.qcow2');
    io('write -z 576k 64k');
    await amend({
      path: join(cwd, 'o.qcow2'),
      format: 'qcow2',
      options: { compat: '0.10' },
    });
    t.match(img('check', 'o.qcow2'), 'No errors');
    t.match(img('info', 'o.qcow2'), 'compat: 0.10');
    t.match(io('read -P 0 576k 64k'), 'read 65536/65536');
    img('snapshot', '-a', 'one', 'o.qcow2');
    t.notMatch(io('read -P 3 576k 64k'), 'Pattern verification failed');
  },
);
