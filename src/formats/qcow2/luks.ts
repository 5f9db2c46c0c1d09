// What `info` shows of a LUKS version 1 header (LUKS On-Disk Format Specification 1.2.3; QAPI QCryptoBlockInfoLUKS).
import type { FormatSpecificValue } from '../../disk/disk.js';
import type { HostFile } from '../../disk/hostFile.js';
import type { Qcow2Header } from './header.js';

type Info = { [key: string]: FormatSpecificValue };

const HEADER_BYTES = 592;
const MAGIC = Buffer.from('LUKS\xba\xbe', 'latin1');
const SECTOR = 512;
const SLOTS = 8;
const SLOT_BYTES = 48;
const SLOT_ACTIVE = 0x00ac71f3;

/** Undefined when there is no readable version 1 header where the image points. */
export async function luksInfo(file: HostFile, header: Qcow2Header): Promise<Info | undefined> {
  const place = header.luksHeader;
  if (!place || place.length < HEADER_BYTES || place.offset + HEADER_BYTES > file.size) return undefined;
  const bytes = await file.readExact(place.offset, HEADER_BYTES, 'LUKS header');
  if (!bytes.subarray(0, 6).equals(MAGIC) || bytes.readUInt16BE(6) !== 1) return undefined;
  const [cipherMode, generator = ''] = split(text(bytes, 40, 32), '-');
  const [ivgen, ivgenHash] = split(generator, ':');
  const keyBytes = bytes.readUInt32BE(108);
  return {
    format: 'luks',
    'cipher-alg': cipherName(text(bytes, 8, 32), cipherMode, keyBytes),
    'cipher-mode': cipherMode,
    'ivgen-alg': ivgen,
    ...(ivgenHash !== undefined && { 'ivgen-hash-alg': ivgenHash }),
    'hash-alg': text(bytes, 72, 32),
    uuid: text(bytes, 168, 40),
    'payload-offset': bytes.readUInt32BE(104) * SECTOR,
    'master-key-iters': bytes.readUInt32BE(164),
    slots: Array.from({ length: SLOTS }, (_, i) => slot(bytes, 208 + i * SLOT_BYTES)),
  };
}

function slot(bytes: Buffer, at: number): Info {
  const active = bytes.readUInt32BE(at) === SLOT_ACTIVE;
  return {
    active,
    ...(active && { iters: bytes.readUInt32BE(at + 4), stripes: bytes.readUInt32BE(at + 44) }),
    'key-offset': bytes.readUInt32BE(at + 40) * SECTOR,
  };
}

/** QEMU names a cipher with its key's bits; XTS takes two keys of the size. */
function cipherName(name: string, mode: string, keyBytes: number): string {
  if (name === 'des') return keyBytes === 24 ? '3des' : 'des';
  return `${name}-${((mode === 'xts' ? keyBytes / 2 : keyBytes) * 8).toFixed(0)}`;
}

function split(value: string, separator: string): [string, string?] {
  const at = value.indexOf(separator);
  return at < 0 ? [value] : [value.slice(0, at), value.slice(at + 1)];
}

function text(bytes: Buffer, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const nul = field.indexOf(0);
  return field.toString('utf8', 0, nul < 0 ? length : nul);
}
