import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, tryRun } from './tools.js';

interface Teardown {
  teardown(handler: () => void): void;
}

/** May this process mount and use loop devices (root with a kernel that lets it)? */
export function canMount(): boolean {
  return process.getuid?.() === 0 && spawnSync('losetup', ['-f']).status === 0;
}

/** Not t.testdir(): that removes its folder on its own terms, which fails while something is mounted in it. */
function folderFor(t: Teardown, undo: (folder: string) => void): string {
  const folder = fs.mkdtempSync(join(tmpdir(), 'basecow-test-'));
  t.teardown(() => {
    undo(folder);
    fs.rmSync(folder, { recursive: true });
  });
  return folder;
}

/** A fresh small filesystem, unmounted when the test ends. `size` in bytes; needs canMount(). */
export function mountFresh(t: Teardown, kind: 'xfs' | 'ext4' | 'tmpfs', size: number): string {
  const folder = folderFor(t, (folder) => {
    // Lazily: descriptors that the test's own teardown closes may still be open.
    tryRun('umount', ['-l', join(folder, 'on')]);
  });
  const target = join(folder, 'on');
  fs.mkdirSync(target);
  if (kind === 'tmpfs') {
    run('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', target]);
  } else {
    const image = join(folder, 'filesystem');
    fs.writeFileSync(image, '');
    fs.truncateSync(image, size);
    const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
    const made = spawnSync(`mkfs.${kind}`, ['-q', image], {
      env: { ...process.env, PATH },
      encoding: 'utf8',
    });
    if (made.status !== 0) throw new Error(`mkfs.${kind}: ${made.stderr}`);
    run('mount', ['-o', 'loop', image, target]);
  }
  return target;
}

/** A block device of `size` bytes backed by a file, detached when the test ends; needs canMount(). */
export function loopDevice(t: Teardown, size: number): string {
  let device = '';
  const folder = folderFor(t, () => {
    tryRun('losetup', ['-d', device]);
  });
  const image = join(folder, 'device');
  fs.writeFileSync(image, '');
  fs.truncateSync(image, size);
  device = run('losetup', ['-f', '--show', image]).trim();
  return device;
}
