import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from './tools.js';

export interface BitmapStretch {
  start: number;
  length: number;
  /** False where the bitmap is dirty: what QEMU makes of `x-dirty-bitmap`. */
  data: boolean;
}

/** What a persistent bitmap says, as qemu-nbd exports it. */
export function bitmapMap(image: string, name: string): BitmapStretch[] {
  // Names of sockets are short.
  const socket = join(mkdtempSync(join(tmpdir(), 'nbd-')), 's');
  const source = `driver=nbd,server.type=unix,server.path=${socket},x-dirty-bitmap=qemu:dirty-bitmap:${name}`;
  run('qemu-nbd', ['--fork', '-r', '-B', name, '-k', socket, '-f', 'qcow2', image]);
  try {
    return (
      JSON.parse(run('qemu-img', ['map', '--output=json', '--image-opts', source])) as BitmapStretch[]
    ).map(({ start, length, data }) => ({ start, length, data }));
  } finally {
    rmSync(dirname(socket), { recursive: true });
  }
}
