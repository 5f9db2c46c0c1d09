// Encrypted images on both sides: qemu's programs with their secret objects, ours.
import { EncryptedFile } from '#src/disk/encryptedFile.js';
import { HostFile } from '#src/disk/hostFile.js';
import { resolveLimits } from '#src/disk/limits.js';
import { openDisk } from '#src/formats/open.js';
import { Qcow2Disk } from '#src/formats/qcow2/disk.js';
import { readHeader } from '#src/formats/qcow2/readHeader.js';
import { WritableQcow2Disk } from '#src/formats/qcow2/writable.js';
import { WritableL2Cache } from '#src/formats/qcow2/writableL2Cache.js';
import { run } from './tools.js';

export const PASSPHRASE = 'an old password';
const SECRET = ['--object', `secret,id=s,data=${PASSPHRASE}`];

/** `-o` of an image that is encrypted the old way. */
export const AES_OPTIONS = 'encrypt.format=aes,encrypt.key-secret=s';

/** qemu-img with the secret `s`; `words` begin with the verb. */
export function qemuImgWithSecret([verb, ...words]: string[], cwd: string): string {
  return run('qemu-img', [verb, ...SECRET, ...words], { cwd });
}

/** qemu-io on the encrypted image `image`. */
export function qemuIoWithSecret(image: string, commands: readonly string[], cwd: string): string {
  const words = commands.flatMap((command) => ['-c', command]);
  return run('qemu-io', [...SECRET, '-d', 'unmap', ...words, '--image-opts', imageOpts(image)], { cwd });
}

export function imageOpts(image: string): string {
  return `driver=qcow2,file.filename=${image},encrypt.key-secret=s`;
}

/** The image with its chain, whose key is the passphrase's first 16 bytes (QEMU: qcrypto_block_qcow_init). */
export async function openAes(path: string, write: boolean): Promise<Qcow2Disk> {
  const file = await HostFile.open(path, { write });
  const limits = resolveLimits(undefined);
  const header = await readHeader(file, limits);
  const key = Buffer.alloc(16);
  key.write(PASSPHRASE.slice(0, 16));
  const encrypted = EncryptedFile.of(file, {
    algorithm: 'aes-128',
    mode: 'cbc',
    ivgen: 'plain64',
    key,
    sectorSize: 512,
    numbering: 'guest',
    origin: 0,
  });
  const backing =
    header.backingFile === undefined ? undefined : await openDisk(header.backingFile, { format: 'raw' });
  const parts = {
    file,
    header,
    limits,
    snapshotTable: { snapshots: [], bytes: 0 },
    warnings: [],
    backing,
    encrypted,
  };
  if (!write) return new Qcow2Disk(parts);
  const l2 = new WritableL2Cache(file, header.clusterSize);
  const disk = new WritableQcow2Disk({ ...parts, l2 }, l2);
  await disk.prepare();
  return disk;
}
