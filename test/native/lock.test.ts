// OFD locks against QEMU itself: qemu-io holds an image, qemu-img asks for it.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { LockModes, lockImage, unlockImage } from '#src/disk/lock.js';
import { native } from '#src/native.js';
import { openFile } from '../support/openFile.js';
import { qemuImg, tryRun } from '../support/tools.js';

/** Opens `image` in qemu-io and waits until it has it. */
async function holdInQemu(image: string, ...flags: string[]): Promise<ChildProcessWithoutNullStreams> {
  const holder = spawn('qemu-io', ['-f', 'qcow2', ...flags, image]);
  holder.stdin.write('length\n');
  await new Promise<void>((resolve, reject) => {
    let seen = '';
    holder.stdout.on('data', (text) => {
      seen += text;
      if (seen.includes('MiB')) resolve();
    });
    holder.once('exit', (code) => reject(new Error(`qemu-io exited ${code}: ${seen}`)));
  });
  return holder;
}

async function release(holder: ChildProcessWithoutNullStreams): Promise<void> {
  const gone = new Promise((resolve) => holder.once('exit', resolve));
  holder.stdin.end('quit\n');
  await gone;
}

t.test('two descriptors of one process conflict like two processes', async (t) => {
  const path = join(t.testdir({ image: '' }), 'image');
  const first = openFile(t, path);
  const second = openFile(t, path);
  t.equal(native.ofdLock(first, 100, 1, 'read'), true);
  t.equal(native.ofdLock(second, 100, 1, 'read'), true, 'read locks are shared');
  t.equal(native.ofdLock(second, 100, 1, 'write'), false);
  t.equal(native.ofdTest(first, 100, 1), true);
  t.equal(native.ofdTest(first, 101, 99), false);
  t.equal(native.ofdLock(second, 100, 1, 'unlock'), true);
  t.equal(native.ofdTest(first, 100, 1), false, 'its own lock does not count');
  t.equal(native.ofdTest(second, 100, 1), true);
  t.throws(() => native.ofdLock(openFile(t, path, 'r'), 5, 1, 'write'), {
    code: 'EBADF',
    syscall: 'fcntl(F_OFD_SETLK)',
    message: /byte 5/,
  });
  t.throws(() => native.ofdLock(first, 5, 1, 'other' as 'read'), { message: /'read', 'write', 'unlock'/ });
});

t.test('an image that QEMU writes is refused to us, one that it reads is shared', async (t) => {
  const image = join(t.testdir(), 'image.qcow2');
  qemuImg('create', '-f', 'qcow2', image, '10M');
  const fd = openFile(t, image);

  const writer = await holdInQemu(image);
  t.equal(native.ofdTest(fd, 101, 1), true, 'QEMU uses write');
  for (const mode of [LockModes.read, LockModes.write, LockModes.create, LockModes.metadata]) {
    t.throws(() => lockImage(fd, image, mode), { code: 'LOCKED', message: new RegExp(`\\[${image}\\]`) });
  }
  await release(writer);

  const reader = await holdInQemu(image, '-r');
  lockImage(fd, image, LockModes.read);
  unlockImage(fd);
  t.throws(() => lockImage(fd, image, LockModes.write), {
    code: 'LOCKED',
    message: /Failed to get "write" lock/,
  });
  await release(reader);
  lockImage(fd, image, LockModes.write);
});

t.test('QEMU refuses an image that we write and shares one that we read', async (t) => {
  const image = join(t.testdir(), 'image.qcow2');
  qemuImg('create', '-f', 'qcow2', image, '10M');
  const before = fs.readFileSync(image);
  const fd = fs.openSync(image, 'r+');

  lockImage(fd, image, LockModes.write);
  const refused = tryRun('qemu-img', ['info', '-f', 'qcow2', image]);
  t.equal(refused.status, 1);
  t.match(refused.stderr, 'Failed to get shared "write" lock');
  t.equal(tryRun('qemu-img', ['info', '-U', '-f', 'qcow2', image]).status, 0);
  const overwrite = tryRun('qemu-img', ['create', '-f', 'qcow2', image, '1M']);
  t.equal(overwrite.status, 1);
  t.match(overwrite.stderr, 'Failed to get "write" lock');
  unlockImage(fd);

  lockImage(fd, image, LockModes.read);
  t.equal(tryRun('qemu-img', ['info', '-f', 'qcow2', image]).status, 0);
  t.equal(tryRun('qemu-img', ['resize', '-f', 'qcow2', image, '20M']).status, 1);
  t.ok(fs.readFileSync(image).equals(before), 'the image is as it was');
  fs.closeSync(fd);
  t.equal(tryRun('qemu-img', ['resize', '-f', 'qcow2', image, '20M']).status, 0, 'closing released');
});
