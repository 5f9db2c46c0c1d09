// Images as qemu-img, mke2fs, mkfs.vfat and sgdisk make them: recognised, with the size that qemu-img tells.
import { cpSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { codes, judge, patch, u32be } from '../support/inspection.js';
import { Random } from '../support/random.js';
import { qemuImg, qemuIo, run } from '../support/tools.js';

const MiB = 2 ** 20;
const random = new Random(77001);
const dir = t.testdir({ files: {} });
const disk = `${dir}/disk.raw`;
cpSync(process.execPath, `${dir}/files/program`, { dereference: true });
truncateSync(`${dir}/files/program`, 5 * MiB);
writeFileSync(disk, '');
run('mke2fs', ['-q', '-t', 'ext4', '-F', '-d', `${dir}/files`, disk, '24M']);

function virtualSize(path: string, format: string): number {
  return JSON.parse(qemuImg('info', '--output=json', '-f', format, path))['virtual-size'];
}

/** Claim, qemu-img's format, `-c`, options. */
const goods: [claim: string, format: string, compress: boolean, options: string][] = [
  ...[512, 4096, 65536, 2 * MiB].map((size): [string, string, boolean, string] => [
    'qcow2',
    'qcow2',
    false,
    `cluster_size=${size}`,
  ]),
  ...[1, 2, 4, 8, 32, 64].map((bits): [string, string, boolean, string] => [
    'qcow2',
    'qcow2',
    false,
    `refcount_bits=${bits},cluster_size=1k`,
  ]),
  ['qcow2', 'qcow2', false, 'compat=0.10'],
  ['qcow2', 'qcow2', false, 'extended_l2=on'],
  ['qcow2', 'qcow2', false, 'lazy_refcounts=on'],
  ['qcow2', 'qcow2', false, 'preallocation=metadata'],
  ['qcow2', 'qcow2', false, 'preallocation=falloc'],
  ['qcow2', 'qcow2', true, 'compression_type=zlib'],
  ['qcow2', 'qcow2', true, 'compression_type=zstd'],
  ['vmdk', 'vmdk', false, 'subformat=monolithicSparse'],
  ['vmdk', 'vmdk', false, 'subformat=streamOptimized'],
  ['vdi', 'vdi', false, 'static=off'],
  ['vdi', 'vdi', false, 'static=on'],
  ['vhd', 'vpc', false, 'subformat=dynamic'],
  ['vhd', 'vpc', false, 'subformat=dynamic,force_size=on'],
  ['vhd', 'vpc', false, 'subformat=fixed'],
  ['vpc', 'vpc', false, 'subformat=fixed,force_size=on'],
  ['vhdx', 'vhdx', false, 'subformat=dynamic'],
  ['vhdx', 'vhdx', false, 'subformat=fixed'],
];

goods.forEach(([claimed, format, compress, options], index) => {
  t.test(`${format} ${options}${compress ? ' -c' : ''} as ${claimed} is safe`, async (t) => {
    const path = `${dir}/good${index}`;
    qemuImg('convert', '-f', 'raw', '-O', format, '-o', options, ...(compress ? ['-c'] : []), disk, path);
    const verdict = await judge(t, path, { claimed }, random);
    t.same(verdict.violations, []);
    t.same(verdict.warnings, []);
    t.equal(verdict.detected, claimed === 'vpc' ? 'vhd' : claimed);
    t.equal(verdict.virtualSize, virtualSize(path, format));
    t.equal((await judge(t, path, { maxVirtualSize: 24 * MiB - 1 }, random)).safe, false);
  });
});

t.test('qcow2 with snapshots and bitmaps is safe', async (t) => {
  const path = `${dir}/snapshots.qcow2`;
  qemuImg('create', '-q', '-f', 'qcow2', path, '10M');
  qemuIo(path, 'qcow2', 'write -P 1 0 5M');
  qemuImg('snapshot', '-c', 'one', path);
  qemuIo(path, 'qcow2', 'write -P 2 0 5M');
  qemuImg('snapshot', '-c', 'two', path);
  qemuImg('bitmap', '--add', path, 'b0');
  t.same((await judge(t, path, { claimed: 'qcow2' }, random)).violations, []);
});

t.test('the virtual size of refused formats is told too', async (t) => {
  for (const format of ['qed', 'qcow', 'parallels']) {
    const path = `${dir}/banned.${format}`;
    qemuImg('create', '-q', '-f', format, path, '12M');
    const verdict = await judge(t, path, {}, random);
    t.equal(verdict.detected, format);
    t.equal(verdict.virtualSize, 12 * MiB);
    t.same(codes(verdict), ['banned-format']);
  }
});

t.test('an encrypted qcow2 is refused, and how it is encrypted is told', async (t) => {
  const path = `${dir}/encrypted.qcow2`;
  const secret = ['--object', 'secret,id=s,data=x', '-o', 'encrypt.key-secret=s,encrypt.format=aes'];
  qemuImg('create', '-q', '-f', 'qcow2', ...secret, path, '1M');
  const aes = await judge(t, path, { claimed: 'qcow2' }, random);
  t.same(codes(aes), ['encrypted']);
  t.equal(aes.encryption, 'aes');
  patch(path, 32, u32be(2)); // crypt_method: LUKS, whose key derivation would take qemu-img seconds
  const luks = await judge(t, path, { claimed: 'qcow2' }, random);
  t.same(codes(luks), ['encrypted']);
  t.equal(luks.encryption, 'luks');
});

t.test('file systems without partitions are raw, FAT too', async (t) => {
  const fat = `${dir}/fat.raw`;
  writeFileSync(fat, Buffer.alloc(4 * MiB));
  run('mkfs.vfat', [fat]);
  for (const path of [disk, fat]) {
    const verdict = await judge(t, path, { claimed: 'raw' }, random);
    t.equal(verdict.detected, 'raw');
    t.same(verdict.violations, []);
  }
});

t.test('a GPT disk is raw content, inside a fixed VHD too', async (t) => {
  const gpt = `${dir}/gpt.raw`;
  writeFileSync(gpt, Buffer.alloc(8 * MiB));
  run('sgdisk', ['-n', '1:2048:0', gpt]);
  const verdict = await judge(t, gpt, { claimed: 'raw' }, random);
  t.equal(verdict.detected, 'gpt');
  t.same(verdict.violations, []);
  t.same(verdict.warnings, []);
  t.equal(verdict.virtualSize, 8 * MiB);
  t.same(codes(await judge(t, gpt, { claimed: 'mbr' }, random)), ['format-mismatch']);

  const vhd = `${dir}/gpt.vhd`;
  qemuImg('convert', '-f', 'raw', '-O', 'vpc', '-o', 'subformat=fixed,force_size=on', gpt, vhd);
  const wrapped = await judge(t, vhd, { claimed: 'vhd', maxVirtualSize: 8 * MiB }, random);
  t.equal(wrapped.detected, 'vhd');
  t.same(wrapped.violations, []);
});

t.test('VMDK kinds that need other files are refused', async (t) => {
  for (const kind of ['monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat']) {
    mkdirSync(`${dir}/${kind}`);
    const path = `${dir}/${kind}/disk.vmdk`;
    qemuImg('create', '-q', '-f', 'vmdk', '-o', `subformat=${kind}`, path, '10M');
    const verdict = await judge(t, path, { claimed: 'vmdk' }, random);
    t.equal(verdict.safe, false);
    t.match(verdict.violations.map(({ message }) => message).join('\n'), `'${kind}'`);
  }
});
