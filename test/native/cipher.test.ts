// Ciphers across the boundary. The oracle is Node's own crypto, one call for each sector.
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { decryptSectors, encryptSectors, type SectorCipher } from '#src/disk/cipher.js';
import { EncryptedFile } from '#src/disk/encryptedFile.js';
import { HostFile } from '#src/disk/hostFile.js';
import { type NativeCipher, native } from '#src/native.js';
import { batch, jobOptions, runJob } from '../support/jobs.js';
import { openFile } from '../support/openFile.js';
import { Random } from '../support/random.js';

const random = new Random(1619);
const KEY = random.bytes(64);

const xts = (numbering: 'guest' | 'host', origin: number): NativeCipher => ({
  mode: 'xts',
  ivgen: 'plain64',
  key: KEY,
  ivKey: Buffer.alloc(0),
  numbering,
  origin,
});

/** Whole sectors from number `sector` on. */
function oracle(
  make: typeof createCipheriv | typeof createDecipheriv,
  bytes: Buffer,
  sector: number,
): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 512, sector++) {
    const iv = Buffer.alloc(16);
    iv.writeBigUInt64LE(BigInt(sector));
    parts.push(make('aes-256-xts', KEY, iv).update(bytes.subarray(at, at + 512)));
  }
  return Buffer.concat(parts);
}

t.test('a job reads an encrypted file among plain ones', async (t) => {
  const dir = t.testdir();
  const plain = random.bytes(40_960);
  fs.writeFileSync(join(dir, 'plain'), plain);
  fs.writeFileSync(
    join(dir, 'sealed'),
    Buffer.concat([Buffer.alloc(512, 1), oracle(createCipheriv, plain, 0)]),
  );
  const fds = Int32Array.of(openFile(t, join(dir, 'plain')), openFile(t, join(dir, 'sealed')));
  const buffer = Buffer.alloc(3000);
  const job = native.createJob(jobOptions({ type: 'read', buffer, start: 100 }));
  const rows = batch(
    100,
    3100,
    [
      { kind: 2, start: 0, length: 1000, offset: 0 },
      { kind: 2, start: 1000, length: 39_960, offset: 1512, file: 1 },
    ],
    fds[0],
  );
  await job.submit({ ...rows, fds, paths: ['plain', 'sealed'], ciphers: [undefined, xts('host', 512)] });
  await job.finish();
  t.ok(buffer.equals(plain.subarray(100, 3100)));
});

t.test('a job writes an encrypted file, and wipes nothing of the caller', async (t) => {
  const dir = t.testdir();
  const plain = random.bytes(300_000);
  fs.writeFileSync(join(dir, 'source'), plain);
  fs.writeFileSync(join(dir, 'target'), '');
  const source = openFile(t, join(dir, 'source'));
  const cipher = xts('guest', 0);
  const sink = {
    type: 'raw' as const,
    fd: openFile(t, join(dir, 'target')),
    path: 'target',
    shift: 1024,
    detectZeros: 0,
    zeros: 'write' as const,
    offload: true,
    cipher,
  };
  const plan = batch(
    0,
    300_032,
    [
      { kind: 2, start: 0, length: 299_999, offset: 0 },
      { kind: 1, start: 299_999, length: 33 },
    ],
    source,
  );
  await runJob(jobOptions(sink), plan);
  const expected = Buffer.alloc(300_032);
  plain.copy(expected, 0, 0, 299_999);
  t.ok(oracle(createDecipheriv, fs.readFileSync(join(dir, 'target')).subarray(1024), 0).equals(expected));
  t.ok(KEY.equals(cipher.key));
});

t.test('an encrypted file takes writes and reads of any alignment and length', async (t) => {
  const dir = t.testdir();
  const path = join(dir, 'file');
  const size = 600_064;
  const model = random.bytes(size);
  fs.writeFileSync(path, Buffer.concat([Buffer.alloc(4096, 7), oracle(createCipheriv, model, 0)]));
  const host = await HostFile.open(path, { write: true });
  const file = EncryptedFile.of(host, {
    algorithm: 'aes-256',
    mode: 'xts',
    ivgen: 'plain64',
    key: KEY,
    sectorSize: 512,
    numbering: 'host',
    origin: 4096,
  });
  for (let i = 0; i < 80; i++) {
    const start = random.integer(0, size - 1);
    const length = Math.min(size - start, random.integer(1, random.pick([20, 1500, 70_000, size])));
    if (i % 2 === 0) {
      const bytes = random.bytes(length);
      bytes.copy(model, start);
      if (i % 4 === 0) await file.writeGuest(bytes, 4096 + start, start);
      else {
        const cut = random.integer(0, length);
        const starts = [start, start + cut];
        await file.writeGuestPieces(
          bytes,
          Float64Array.from(starts, (at) => 4096 + at),
          Uint32Array.of(cut, length - cut),
          Float64Array.from(starts),
        );
      }
    } else {
      const found = Buffer.alloc(length);
      await file.readGuest(found, 4096 + start, start);
      if (!found.equals(model.subarray(start, start + length))) t.fail(`bytes ${start} to ${start + length}`);
    }
  }
  const stored = fs.readFileSync(path);
  t.ok(oracle(createDecipheriv, stored.subarray(4096), 0).equals(model));
  t.ok(stored.subarray(0, 4096).equals(Buffer.alloc(4096, 7)), 'the header is untouched');
  await host.close();
  file.forget();
  await t.rejects(file.readGuest(Buffer.alloc(512), 4096, 0), { code: 'INVALID_ARGUMENT' });
});

t.test('small pieces, and a vector that is encrypted itself', (t) => {
  const key = random.bytes(16);
  const cipher: SectorCipher = {
    algorithm: 'aes-128',
    mode: 'cbc',
    ivgen: 'essiv',
    essivHash: 'sha256',
    key,
    sectorSize: 512,
  };
  const bytes = random.bytes(512 + 48);
  const sealed = encryptSectors(cipher, bytes, 9);
  // dm-crypt's documentation: the sector number, encrypted by the key's hash.
  const number = Buffer.alloc(16);
  number.writeUInt32LE(10);
  const salt = createHash('sha256').update(key).digest();
  const iv = createCipheriv('aes-256-ecb', salt, null).setAutoPadding(false).update(number);
  const second = createDecipheriv('aes-128-cbc', key, iv).setAutoPadding(false).update(sealed.subarray(512));
  t.ok(second.equals(bytes.subarray(512)));
  t.ok(decryptSectors(cipher, sealed, 9).equals(bytes));
  t.throws(() => encryptSectors({ ...cipher, key: random.bytes(32) }, bytes, 0), {
    code: 'INVALID_ARGUMENT',
    message: 'The key of aes-128-cbc has 16 bytes, not 32',
  });
  t.throws(() => decryptSectors(cipher, bytes.subarray(1), 0), {
    code: 'INVALID_ARGUMENT',
    message: /559 bytes/,
  });
  t.end();
});

t.test('what is no cipher is refused, and no key is in the message', async (t) => {
  const dir = t.testdir();
  fs.writeFileSync(join(dir, 'file'), 'unchanged');
  const fd = openFile(t, join(dir, 'file'));
  const buffer = Buffer.alloc(512);
  const good = xts('host', 0);
  const bad: [unknown, RegExp][] = [
    [7, /ciphers must be an object/],
    [{ ...good, mode: 'gcm' }, /'gcm'/],
    [{ ...good, ivgen: 'random' }, /'random'/],
    [{ ...good, key: KEY.subarray(1) }, /16, 24 or 32 bytes/],
    [{ ...good, key: 'text' }, /cipher.key must be a Uint8Array/],
    [{ ...good, ivgen: 'essiv', ivKey: KEY.subarray(0, 20) }, /ivKey of 16, 24 or 32/],
    [{ ...good, origin: -512 }, /origin inside the file/],
    [{ ...good, origin: 0.5 }, /cipher.origin/],
  ];
  for (const [cipher, message] of bad) {
    const job = native.createJob(jobOptions({ type: 'read', buffer, start: 0 }));
    const rows = batch(0, 512, [{ kind: 2, start: 0, length: 512, offset: 0 }], fd);
    t.throws(() => job.submit({ ...rows, ciphers: [cipher as NativeCipher] }), message);
    await job.abort();
  }
  const one = Float64Array.of(0);
  t.throws(
    () => native.writePieces(fd, 'file', buffer, one, Uint32Array.of(511), good, one),
    /whole sectors/,
  );
  t.throws(
    () => native.writePieces(fd, 'file', buffer, Float64Array.of(1), Uint32Array.of(512), good, one),
    /whole/,
  );
  t.throws(() => native.cryptSectors(good, 'encrypt', buffer, Buffer.alloc(511), 0), /as long as input/);
  t.throws(
    () =>
      native.createJob(
        jobOptions({
          type: 'raw',
          fd,
          path: 'file',
          shift: 0,
          detectZeros: 0,
          zeros: 'punch',
          offload: false,
          cipher: good,
        }),
      ),
    /hole in an encrypted file/,
  );
  t.equal(fs.readFileSync(join(dir, 'file'), 'utf8'), 'unchanged');
});
