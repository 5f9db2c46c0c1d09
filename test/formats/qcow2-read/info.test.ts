// info() against `qemu-img info --output=json`, and how the flags of an image are treated.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { DiskInfo } from '#src/disk/disk.js';
import { openDisk } from '#src/formats/open.js';
import { qemuImg, qemuIo, tryRun } from '../../support/tools.js';

/** Our info under QEMU's keys. */
function toQemu(info: DiskInfo): Record<string, unknown> {
  const { filename, format, virtualSize, actualSize, clusterSize, encrypted, dirtyFlag } = info;
  const all = {
    filename,
    format,
    'virtual-size': virtualSize,
    'actual-size': actualSize,
    'cluster-size': clusterSize,
    encrypted,
    'dirty-flag': dirtyFlag,
    'backing-filename': info.backingFilename,
    'full-backing-filename': info.fullBackingFilename,
    'backing-filename-format': info.backingFilenameFormat,
    snapshots: info.snapshots?.map((one) => ({
      id: one.id,
      name: one.name,
      'date-sec': one.dateSec,
      'date-nsec': one.dateNsec,
      'vm-clock-sec': Number(one.vmClockNsec / 1_000_000_000n),
      'vm-clock-nsec': Number(one.vmClockNsec % 1_000_000_000n),
      'vm-state-size': one.vmStateSize,
      ...(one.icount !== undefined && { icount: Number(one.icount) }),
    })),
    'format-specific': info.formatSpecific,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** QEMU times its key derivation and gives up when the clock of a busy machine jumps: ask again. */
function create(...args: string[]): void {
  for (let attempt = 0; ; attempt++) {
    const ran = tryRun('qemu-img', ['create', '-q', ...args]);
    if (ran.status === 0) return;
    if (attempt === 20 || !ran.stderr.includes('accurate CPU usage')) throw new Error(ran.stderr);
  }
}

async function same(t: Test, file: string, what: string, format = 'qcow2'): Promise<void> {
  const disk = await openDisk(file, { format, chain: false });
  t.same(toQemu(await disk.info()), JSON.parse(qemuImg('info', '-f', format, '--output=json', file)), what);
  await disk.close();
}

t.test('what info reports', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'x.qcow2');
  const secret = ['--object', 'secret,id=s,data=abc'];
  const cases: [string, string[]][] = [
    ['plain', []],
    ['version 2', ['-o', 'compat=0.10']],
    [
      'options',
      ['-o', 'cluster_size=2M,lazy_refcounts=on,refcount_bits=1,compression_type=zstd,extended_l2=on'],
    ],
    ['backing file', ['-u', '-b', '../some/base.raw', '-F', 'raw']],
    ['absolute backing file', ['-u', '-b', '/nowhere/base.raw', '-F', 'raw']],
    ['protocol backing file', ['-u', '-b', 'nbd:localhost:1', '-F', 'raw']],
    ['file: backing file', ['-u', '-b', 'file:base', '-F', 'raw']],
    ['data file', ['-o', `data_file=${dir}/data.img`]],
    ['raw data file', ['-o', `data_file=${dir}/raw.img,data_file_raw=on`]],
    ['AES', [...secret, '-o', 'encrypt.format=aes,encrypt.key-secret=s']],
    ['LUKS', [...secret, '-o', 'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10']],
    [
      'LUKS with other ciphers',
      [
        ...secret,
        '-o',
        'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10,encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256',
      ],
    ],
  ];
  for (const [what, options] of cases) {
    create(...options, '-f', 'qcow2', file, '3M');
    await same(t, file, what);
  }
  qemuImg('create', '-q', '-f', 'qcow2', file, '3M');
  qemuIo(file, 'qcow2', 'write -q 0 100k');
  for (const name of ['first', 'zweiter ß']) qemuImg('snapshot', '-c', name, file);
  await same(t, file, 'snapshots');
  qemuImg('create', '-q', '-f', 'qcow2', file, '3M');
  qemuImg('bitmap', '--add', file, 'b0');
  qemuImg('bitmap', '--add', '--disable', '-g', '4k', file, 'b1');
  await same(t, file, 'bitmaps');
  qemuImg('create', '-q', '-f', 'raw', join(dir, 'x.raw'), '3M');
  await same(t, join(dir, 'x.raw'), 'raw', 'raw');
});

t.test('damaged, dirty and encrypted images', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'x.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', file, '3M');
  qemuIo(file, 'qcow2', 'write -q 0 64k');
  const clean = readFileSync(file);
  for (const [flag, bit] of [
    ['dirty', 1],
    ['corrupt', 2],
  ] as const) {
    const bytes = Buffer.from(clean);
    bytes[79] = bit;
    writeFileSync(file, bytes);
    await same(t, file, flag);
    const disk = await openDisk(file, { format: 'qcow2' });
    t.equal(disk.warnings.length, 1, `${flag}: opens read-only, with a warning`);
    await disk.close();
    if (flag === 'dirty') {
      // Repaired first, as QEMU does.
      await (await openDisk(file, { format: 'qcow2', writable: true })).close();
      t.ok(readFileSync(file).equals(clean), 'dirty: clean after it was opened for writing');
      qemuImg('check', '-q', file);
      continue;
    }
    await t.rejects(openDisk(file, { format: 'qcow2', writable: true }), {
      code: 'CORRUPT_IMAGE',
      message: /marked corrupt.*before a repair/,
    });
    t.ok(readFileSync(file).equals(bytes), 'corrupt: nothing changed');
  }
  for (const method of ['aes', 'luks']) {
    const options = `encrypt.format=${method},encrypt.key-secret=s`;
    create('--object', 'secret,id=s,data=abc', '-f', 'qcow2', '-o', options, file, '3M');
    await t.rejects(openDisk(file, { format: 'qcow2' }), {
      code: 'UNSUPPORTED_FEATURE',
      message: new RegExp(method.toUpperCase()),
    });
    const disk = await openDisk(file, { format: 'qcow2', chain: false });
    t.equal((await disk.info()).encrypted, true);
    await disk.close();
  }
});
