// Image locks against real QEMU processes, both ways.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { openDisk } from '#src/formats/open.js';
import { qemuImg, tryRun } from '../../support/tools.js';

/** A qemu-io that has `file` open and waits for its next command. */
async function holder(file: string, format: string, ...flags: string[]): Promise<ChildProcess> {
  const child = spawn('qemu-io', [...flags, '-f', format, file], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (text) => String(text).includes('qemu-io>') && resolve());
    child.on('exit', () => reject(new Error('qemu-io ended early')));
  });
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const exited = new Promise((resolve) => child.on('exit', resolve));
  child.stdin?.end('quit\n');
  await exited;
}

t.test('a writer keeps us out', async (t) => {
  const file = join(t.testdir(), 'x.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', file, '1M');
  const child = await holder(file, 'qcow2');
  for (const options of [{}, { chain: false }, { writable: true as const }]) {
    await t.rejects(openDisk(file, { format: 'qcow2', ...options }), {
      code: 'LOCKED',
      message: /Failed to get .*lock\nIs another process using the image \[.*x\.qcow2\]\?/,
    });
  }
  const forced = await openDisk(file, { format: 'qcow2', lock: false });
  await forced.close();
  await end(child);
  const disk = await openDisk(file, { format: 'qcow2' });
  await disk.close();
});

t.test('we keep a writer out, and let readers in', async (t) => {
  const dir = t.testdir();
  for (const format of ['qcow2', 'raw']) {
    const file = join(dir, format);
    qemuImg('create', '-q', '-f', format, file, '1M');
    const disk = await openDisk(file, { format });
    t.match(
      tryRun('qemu-io', ['-f', format, '-c', 'write 0 512', file]).stderr,
      /Failed to get "write" lock/,
    );
    t.equal(tryRun('qemu-img', ['convert', '-f', format, '-O', 'raw', file, `${file}.out`]).status, 0);
    await disk.close();
    t.equal(tryRun('qemu-io', ['-f', format, '-c', 'write 0 512', file]).status, 0, 'and let go');
  }
});

t.test('info of a raw file takes no lock', async (t) => {
  const file = join(t.testdir(), 'x.raw');
  qemuImg('create', '-q', '-f', 'raw', file, '1M');
  const child = await holder(file, 'raw');
  const disk = await openDisk(file, { format: 'raw', chain: false });
  t.equal((await disk.info()).virtualSize, 2 ** 20);
  await disk.close();
  await end(child);
});
