// The malicious and odd images that cloud inspectors are tried with, each under its claim.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import {
  codes,
  cutFile,
  isoBytes,
  judge,
  mbrSector,
  patch,
  u32be,
  u64be,
  u64le,
  writeBytes,
} from '../support/inspection.js';
import { Random } from '../support/random.js';
import { qemuImg, qemuIo } from '../support/tools.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const TiB = 2 ** 40;
const random = new Random(20260801);
const dir = t.testdir();
const at = (name: string) => `${dir}/${name}`;

/** Makes the image `name`; returns its path. */
function qcow2(name: string, ...args: string[]): string {
  qemuImg('create', '-q', '-f', 'qcow2', ...args, at(name), '10M');
  return at(name);
}

function patched(name: string, offset: number, bytes: Buffer | number[]): string {
  const path = qcow2(name);
  patch(path, offset, bytes);
  return path;
}

function bytes(name: string, ...parts: Buffer[]): string {
  writeBytes(at(name), ...parts);
  return at(name);
}

function vmdkWith(name: string, from: RegExp, to: string): string {
  qemuImg('create', '-q', '-f', 'vmdk', at(name), '10M');
  const image = readFileSync(at(name));
  const text = image.subarray(512, image.indexOf(0, 512)).toString('latin1');
  const changed = text.replace(from, to);
  if (changed === text) throw new Error(`${from} is not in ${text}`);
  const area = Buffer.alloc(20 * 512);
  area.write(changed, 'latin1');
  area.copy(image, 512);
  writeFileSync(at(name), image);
  return at(name);
}

interface Case {
  name: string;
  path: string;
  claims: string[];
  /** Codes of all violations; [] = safe. */
  codes: string[];
  options?: { maxVirtualSize?: number; strict?: boolean };
  /** Must be in one of the messages. */
  says?: string;
  warns?: RegExp;
}

writeFileSync(at('host-secret'), Buffer.alloc(MiB));
mkdirSync(at('split'));
qemuImg('create', '-q', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', at('flat.vmdk'), '10M');
qemuImg('create', '-q', '-f', 'vmdk', '-o', 'subformat=twoGbMaxExtentSparse', at('split/twogb.vmdk'), '10M');
qemuImg('create', '-q', '-f', 'vmdk', at('good.vmdk'), '10M');
writeFileSync(at('source.raw'), Buffer.alloc(3 * MiB, 'content '));
qemuImg('convert', '-O', 'vmdk', '-o', 'subformat=streamOptimized', at('source.raw'), at('so.vmdk'));
qemuImg('create', '-q', '-f', 'vmdk', '-b', at('good.vmdk'), '-F', 'vmdk', at('backing.vmdk'));
for (const format of ['vdi', 'vhdx', 'qed', 'parallels', 'qcow']) {
  qemuImg('create', '-q', '-f', format, at(`good.${format}`), '10M');
}
qemuImg('create', '-q', '-f', 'vpc', at('good.vhd'), '10M');
qemuImg('create', '-q', '-f', 'vpc', '-o', 'subformat=fixed', at('fixed.vhd'), '10M');
const secret = ['--object', 'secret,id=s,data=x', '-o', 'key-secret=s,iter-time=10'];
qemuImg('create', '-q', '-f', 'luks', ...secret, at('luks1'), '1M');
qcow2('datafile.qcow2', '-o', `data_file=${at('guest-data')}`);
qcow2('trunc');
cutFile(at('trunc'), 100);
qcow2('trunc2');
cutFile(at('trunc2'), 70_000);
qemuImg('create', '-q', '-f', 'qcow2', at('bomb'), '2G');
qemuIo(at('bomb'), 'qcow2', 'write -c -P 1 0 64k');
qemuImg('create', '-q', '-f', 'qcow2', at('huge'), '500T');
copyFileSync(at('good.qcow'), at('qcow1'));
qcow2('nested');
qemuImg('convert', '-f', 'raw', '-O', 'qcow2', at('nested'), at('nested.qcow2'));

const dmg = Buffer.alloc(512);
dmg.write('koly');
const bootable = mbrSector([{ boot: 0x80, type: 0x83, lba: 64, sectors: 64 }]);

const cases: Case[] = [
  { name: 'raw', path: at('source.raw'), claims: ['raw'], codes: [] },
  ...['/etc/passwd', 'nbd://127.0.0.1:10809/x', 'json:{"driver":"file","filename":"/etc/passwd"}'].flatMap(
    (backing, index): Case[] => {
      const path = qcow2(`backing${index}`, '-u', '-b', backing, '-F', 'raw');
      return [
        { name: `backing ${backing}`, path, claims: ['qcow2'], codes: ['backing-file'] },
        { name: `backing ${backing}`, path, claims: ['raw'], codes: ['backing-file', 'format-mismatch'] },
      ];
    },
  ),
  {
    name: 'data file',
    path: at('datafile.qcow2'),
    claims: ['qcow2'],
    codes: ['data-file'],
    says: 'guest-data',
  },
  { name: 'data file', path: at('datafile.qcow2'), claims: ['raw'], codes: ['data-file', 'format-mismatch'] },
  {
    name: 'unknown bit',
    path: patched('unknownbit', 72, u64be(1n << 62n)),
    claims: ['qcow2'],
    codes: ['unknown-features'],
    says: 'feature bit 62',
  },
  {
    name: 'version 99',
    path: patched('v99', 4, u32be(99)),
    claims: ['qcow2'],
    codes: ['unsupported-version'],
    says: '99',
  },
  { name: 'qcow1', path: at('qcow1'), claims: ['qcow2', 'raw'], codes: ['banned-format', 'format-mismatch'] },
  { name: 'qcow1', path: at('qcow1'), claims: ['qcow', 'qcow1'], codes: ['banned-format'] },
  { name: 'extended L2', path: qcow2('extl2', '-o', 'extended_l2=on'), claims: ['qcow2'], codes: [] },
  {
    name: 'extended L2, strict',
    path: at('extl2'),
    claims: ['qcow2'],
    codes: ['strict-feature'],
    options: { strict: true },
  },
  { name: 'zstd', path: qcow2('zstd', '-o', 'compression_type=zstd'), claims: ['qcow2'], codes: [] },
  {
    name: 'version 2',
    path: qcow2('v2', '-o', 'compat=0.10'),
    claims: ['qcow2'],
    codes: [],
    options: { strict: true },
  },
  { name: 'dirty', path: patched('dirty', 79, [1]), claims: ['qcow2'], codes: [], warns: /dirty/ },
  { name: 'corrupt', path: patched('corrupt', 79, [2]), claims: ['qcow2'], codes: ['corrupt'] },
  {
    name: '500 TiB',
    path: at('huge'),
    claims: ['qcow2'],
    codes: ['virtual-size'],
    options: { maxVirtualSize: GiB },
    says: `${500 * TiB}`,
  },
  { name: '500 TiB, no limit', path: at('huge'), claims: ['qcow2'], codes: [] },
  {
    name: 'bomb',
    path: at('bomb'),
    claims: ['qcow2'],
    codes: ['virtual-size'],
    options: { maxVirtualSize: GiB },
    says: `${2 * GiB}`,
  },
  {
    name: 'size 2^64 - 512',
    path: patched('badsize', 24, u64be(2n ** 64n - 512n)),
    claims: ['qcow2'],
    codes: ['virtual-size'],
    says: '18446744073709551104',
  },
  {
    name: 'L1 bomb',
    path: patched('l1bomb', 36, u32be(0xffffffff)),
    claims: ['qcow2'],
    codes: ['table-size'],
    says: '4294967295',
  },
  {
    name: 'cluster_bits 63',
    path: patched('bits', 20, u32be(63)),
    claims: ['qcow2'],
    codes: ['invalid-header'],
    says: '63',
  },
  {
    name: 'snapshots 4G',
    path: patched('snaps', 60, u32be(0xffffffff)),
    claims: ['qcow2'],
    codes: ['table-size'],
    says: '4294967295',
  },
  { name: 'cut at 100 bytes', path: at('trunc'), claims: ['qcow2'], codes: ['truncated'], says: '100' },
  { name: 'cut at 70,000 bytes', path: at('trunc2'), claims: ['qcow2'], codes: ['truncated'], says: '70000' },
  { name: 'empty', path: bytes('empty'), claims: ['raw', 'qcow2', 'vhd', 'iso'], codes: ['empty'] },
  {
    name: '4 bytes of magic',
    path: bytes('tiny', Buffer.from('QFI\xfb', 'latin1')),
    claims: ['raw'],
    codes: ['format-mismatch', 'truncated'],
  },
  {
    name: 'qcow2 and MBR',
    path: patched('poly-mbr', 510, [0x55, 0xaa]),
    claims: ['qcow2', 'raw', 'mbr'],
    codes: ['partition-table', 'several-formats'],
  },
  {
    name: 'qcow2 and MBR with a partition',
    path: patched('poly-mbr2', 446, bootable.subarray(446)),
    claims: ['qcow2', 'raw'],
    codes: ['several-formats'],
  },
  {
    name: 'qcow2 and ISO',
    path: patched('poly-iso', 32769, Buffer.from('CD001')),
    claims: ['qcow2', 'iso', 'raw'],
    codes: ['several-formats'],
  },
  {
    name: 'hybrid ISO',
    path: bytes('hybrid.iso', bootable, isoBytes().subarray(512)),
    claims: ['iso'],
    codes: [],
    warns: /also has a partition table/,
  },
  {
    name: 'hybrid ISO as a disk',
    path: at('hybrid.iso'),
    claims: ['raw', 'mbr'],
    codes: ['format-mismatch'],
  },
  { name: 'ISO', path: bytes('ok.iso', isoBytes()), claims: ['iso'], codes: [] },
  { name: 'ISO', path: at('ok.iso'), claims: ['raw', 'qcow2'], codes: ['format-mismatch'] },
  {
    name: 'MBR',
    path: bytes('mbr.raw', bootable, Buffer.alloc(65024)),
    claims: ['raw', 'mbr', 'gpt'],
    codes: [],
  },
  {
    name: 'MBR, bad flag',
    path: bytes('mbr-badflag', mbrSector([{ boot: 0x41, type: 0x83 }]), Buffer.alloc(4096)),
    claims: ['raw'],
    codes: ['partition-table'],
    says: '0x41',
  },
  {
    name: 'MBR, no partition',
    path: bytes('mbr-nopart', mbrSector([]), Buffer.alloc(4096)),
    claims: ['raw'],
    codes: ['partition-table'],
  },
  {
    name: 'flat VMDK',
    path: at('flat.vmdk'),
    claims: ['vmdk'],
    codes: ['descriptor', 'external-extent'],
    says: 'monolithicFlat',
  },
  {
    name: 'flat VMDK',
    path: at('flat.vmdk'),
    claims: ['raw'],
    codes: ['descriptor', 'external-extent', 'format-mismatch'],
  },
  {
    name: 'split VMDK',
    path: at('split/twogb.vmdk'),
    claims: ['vmdk'],
    codes: ['descriptor', 'external-extent'],
  },
  {
    name: 'sparse VMDK with a flat extent',
    path: vmdkWith('sparse-flatextent', /RW \d+ SPARSE "[^"]*"/, 'RW 20480 FLAT "/etc/passwd" 0'),
    claims: ['vmdk'],
    codes: ['external-extent'],
    says: '/etc/passwd',
  },
  {
    name: 'sparse VMDK with a path',
    path: vmdkWith('sparse-path', /SPARSE "[^"]*"/, 'SPARSE "../x.vmdk"'),
    claims: ['vmdk'],
    codes: ['external-extent'],
    says: '../x.vmdk',
  },
  {
    name: 'sparse VMDK with two extents',
    path: vmdkWith('sparse-two', /(RW \d+ SPARSE )"[^"]*"/, '$1"a"\n$1"b"'),
    claims: ['vmdk'],
    codes: ['external-extent'],
    says: '2 extents',
  },
  {
    name: 'VMDK with createType in a comment',
    path: vmdkWith('hidden', /version=1/, '# createType="monolithicFlat"\nversion=1'),
    claims: ['vmdk'],
    codes: ['descriptor'],
    says: '2 times',
  },
  {
    name: 'VMDK with an unknown line',
    path: vmdkWith('line', /version=1/, 'version=1\nrun /bin/sh'),
    claims: ['vmdk'],
    codes: ['descriptor'],
    says: 'run /bin/sh',
  },
  {
    name: 'VMDK of capacity 0',
    path: (() => {
      copyFileSync(at('good.vmdk'), at('capacity0'));
      patch(at('capacity0'), 12, u64le(0n));
      return at('capacity0');
    })(),
    claims: ['vmdk'],
    codes: ['external-extent'],
  },
  {
    name: 'VMDK with a parent',
    path: at('backing.vmdk'),
    claims: ['vmdk'],
    codes: ['backing-file'],
    says: 'good.vmdk',
  },
  { name: 'sparse VMDK', path: at('good.vmdk'), claims: ['vmdk'], codes: [] },
  { name: 'sparse VMDK', path: at('good.vmdk'), claims: ['raw', 'qcow2'], codes: ['format-mismatch'] },
  { name: 'stream-optimised VMDK', path: at('so.vmdk'), claims: ['vmdk'], codes: [] },
  { name: 'VDI', path: at('good.vdi'), claims: ['vdi'], codes: [] },
  { name: 'VHDX', path: at('good.vhdx'), claims: ['vhdx'], codes: [] },
  { name: 'VHD', path: at('good.vhd'), claims: ['vhd', 'vpc'], codes: [] },
  { name: 'fixed VHD', path: at('fixed.vhd'), claims: ['vhd', 'vpc'], codes: [] },
  { name: 'VHD', path: at('good.vhd'), claims: ['raw', 'vhdx'], codes: ['format-mismatch'] },
  { name: 'fixed VHD', path: at('fixed.vhd'), claims: ['raw', 'vhdx'], codes: ['format-mismatch'] },
  { name: 'QED', path: at('good.qed'), claims: ['qed'], codes: ['banned-format'] },
  { name: 'QED', path: at('good.qed'), claims: ['raw'], codes: ['banned-format', 'format-mismatch'] },
  { name: 'Parallels', path: at('good.parallels'), claims: ['parallels', 'ploop'], codes: ['banned-format'] },
  {
    name: 'Parallels',
    path: at('good.parallels'),
    claims: ['raw'],
    codes: ['banned-format', 'format-mismatch'],
  },
  {
    name: 'Bochs',
    path: bytes('bochs', Buffer.from('Bochs Virtual HD Image\0'), Buffer.alloc(4096)),
    claims: ['bochs'],
    codes: ['banned-format'],
  },
  {
    name: 'cloop',
    path: bytes('cloop', Buffer.from('#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0'), Buffer.alloc(4096)),
    claims: ['cloop'],
    codes: ['banned-format'],
  },
  { name: 'cloop', path: at('cloop'), claims: ['raw'], codes: ['banned-format', 'format-mismatch'] },
  {
    name: 'dmg trailer',
    path: bytes('dmg', Buffer.alloc(4096), dmg),
    claims: ['raw'],
    codes: [],
    warns: /koly/,
  },
  { name: 'dmg', path: at('dmg'), claims: ['dmg'], codes: ['banned-format'] },
  {
    name: 'gzip bytes',
    path: bytes('gz', Buffer.from([0x1f, 0x8b, 0x08]), Buffer.alloc(509)),
    claims: ['raw'],
    codes: [],
    warns: /gzip/,
  },
  { name: 'LUKS', path: at('luks1'), claims: ['luks'], codes: [] },
  { name: 'LUKS', path: at('luks1'), claims: ['raw'], codes: ['format-mismatch'] },
  { name: 'nested qcow2: the outer one is well', path: at('nested.qcow2'), claims: ['qcow2'], codes: [] },
];

for (const { name, path, claims, codes: wanted, options, says, warns } of cases) {
  for (const claimed of claims) {
    t.test(`${name} as ${claimed}: ${wanted.length === 0 ? 'safe' : wanted.join(', ')}`, async (t) => {
      const verdict = await judge(t, path, { claimed, ...options }, random);
      t.same(codes(verdict), wanted);
      t.equal(verdict.safe, wanted.length === 0);
      t.equal(verdict.complete, true);
      if (says) t.match(verdict.violations.map(({ message }) => message).join('\n'), says);
      if (warns) t.match(verdict.warnings.join('\n'), warns);
    });
  }
}
