// What is written piece by piece, with holes, interrupted and digested on the way, is the same bytes in the end.
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { HostFile } from '#src/disk/hostFile.js';
import { FollowingDigest } from '#src/provision/followingDigest.js';
import { PartFile } from '#src/provision/partFile.js';
import { digestOf } from '../support/cloudImage.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';

const KiB = 2 ** 10;
const MiB = 2 ** 20;
const seed = Number(process.env.SEED ?? 71);
const random = new Random(seed);

/** Data and zeros in runs of any length. */
function content(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; ) {
    const length = random.integer(1, 700 * KiB);
    if (random.next() < 0.5) bytes.fill(random.bytes(97), at, Math.min(size, at + length));
    at += length;
  }
  return bytes;
}

t.test(`random pieces, seed ${seed}`, async (t) => {
  const dir = t.testdir();
  for (let round = 0; round < 12; round++) {
    const path = join(dir, `part${round}`);
    const bytes = content(random.integer(0, 20 * MiB));
    const digest = new FollowingDigest(['md5', 'sha256', 'sha512']);
    let part = await PartFile.open(path);
    const follow = (): void => {
      part.onStored = (end) => digest.follow(part.file, end);
    };
    follow();
    for (let at = 0; at < bytes.length; ) {
      const length = random.integer(1, random.pick([100, 64 * KiB, 3 * MiB]));
      await part.write(bytes.subarray(at, at + length));
      at = Math.min(bytes.length, at + length);
      t.equal(part.position, at);
      if (random.next() < 0.02) {
        // As after a kill: taken up from what the file holds.
        await part.flush();
        t.equal(fs.statSync(path).size, at);
        await digest.abort();
        await part.close();
        part = await PartFile.open(path);
        follow();
        digest.follow(part.file, part.position);
      }
    }
    await part.flush();
    const digests = await digest.finish(part.file, part.position);
    await part.close();
    t.ok(fs.readFileSync(path).equals(bytes), `round ${round}: ${bytes.length} bytes`);
    t.same(digests, {
      md5: digestOf('md5sum', path),
      sha256: digestOf('sha256sum', path),
      sha512: digestOf('sha512sum', path),
    });
  }
});

t.test('zeros take no space', async (t) => {
  const path = join(t.testdir(), 'part');
  const part = await PartFile.open(path);
  await part.write(Buffer.alloc(5 * MiB));
  await part.write(Buffer.alloc(64 * KiB, 1));
  await part.write(Buffer.alloc(9 * MiB + 5));
  await part.flush();
  await part.close();
  const { size, blocks } = fs.statSync(path);
  t.equal(size, 14 * MiB + 64 * KiB + 5);
  t.ok(blocks * 512 <= 256 * KiB, `${blocks * 512} bytes`);
});

t.test('cut begins anew; a symbolic link is not followed', async (t) => {
  const dir = t.testdir({ victim: 'as it was' });
  const part = await PartFile.open(join(dir, 'part'));
  await part.write(Buffer.alloc(3 * MiB, 1));
  await part.cut(0);
  t.equal(part.position, 0);
  await part.write(Buffer.from('new'));
  await part.flush();
  await part.close();
  t.equal(fs.readFileSync(join(dir, 'part'), 'utf8'), 'new');
  fs.symlinkSync(join(dir, 'victim'), join(dir, 'link'));
  const error = await failsWith(t, PartFile.open(join(dir, 'link')), 'IO', 'link');
  t.equal(error.errno, 'ELOOP');
  t.equal(fs.readFileSync(join(dir, 'victim'), 'utf8'), 'as it was');
});

t.test('a digest can be called off, and a file that shrinks is noticed', async (t) => {
  const path = join(t.testdir(), 'large');
  fs.writeFileSync(path, '');
  fs.truncateSync(path, 64 * 2 ** 30);
  const file = await HostFile.open(path);
  const controller = new AbortController();
  const digest = new FollowingDigest(['sha512', 'md5'], {}, controller.signal);
  const running = digest.finish(file, file.size);
  setTimeout(() => controller.abort(), 20);
  await failsWith(t, running, 'CANCELLED');
  const shrunk = new FollowingDigest(['sha256', 'md5']);
  fs.truncateSync(path, 3 * MiB);
  await failsWith(t, shrunk.finish(file, 5 * MiB), 'SOURCE_CHANGED', path);
  await file.close();
});
