import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Case } from '../compare.js';
import type { Inputs } from '../inputs.js';
import { measureHere, measureProcess, run } from '../process.js';

const BASECOW = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const SIZE_GIB = 8;

/**
 * Compressed cloud image in a file → verified raw base → overlay, against the same steps with cp, sha512sum,
 * qemu-img convert and qemu-img create. Base and overlay are durable on both sides.
 */
export function provisionCases(inputs: Inputs): Case[] {
  const folder = join(inputs.folder, 'provision');
  const sha512 = run('sha512sum', inputs.zlib).split(' ')[0];
  const fresh = (): void => {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder);
    run('sync');
  };
  const words = (instance: string): string[] => [
    process.execPath,
    BASECOW,
    'provision',
    ...['--image-id', 'bench', '--source', inputs.zlib, '--source-format', 'qcow2', '--sha512', sha512],
    ...['--size', `${SIZE_GIB}G`, '--instances', folder, '--instance', instance, '--resize', 'overlay'],
  ];
  const base = join(folder, 'base');
  const overlay = join(folder, 'disk');
  const steps = (): Promise<void> => {
    run('cp', '--sparse=auto', inputs.zlib, `${base}.part`);
    if (run('sha512sum', `${base}.part`).split(' ')[0] !== sha512) throw new Error('digest');
    run('qemu-img', 'info', '--output=json', `${base}.part`);
    run(
      'qemu-img',
      'convert',
      '-t',
      'writeback',
      '-f',
      'qcow2',
      '-O',
      'raw',
      `${base}.part`,
      `${base}.converted`,
    );
    run('qemu-img', 'info', '-f', 'raw', '--output=json', `${base}.converted`);
    run('sync', `${base}.converted`);
    fs.renameSync(`${base}.converted`, base);
    fs.rmSync(`${base}.part`);
    return warmSteps();
  };
  const warmSteps = (): Promise<void> => {
    fs.rmSync(overlay, { force: true });
    run('qemu-img', 'info', '-f', 'raw', '--output=json', base);
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', overlay, `${SIZE_GIB}G`);
    run('sync', overlay);
    return Promise.resolve();
  };
  const instance = join(folder, 'vm', 'disk');
  return [
    {
      name: 'provision, cold cache',
      terms: 'image in a local file, sha512 verified, base and overlay durable; whole processes',
      rivalName: 'cp + sha512sum + qemu-img info, convert, create',
      rounds: 5,
      ours: { before: fresh, work: () => measureProcess(words('vm')) },
      rival: { before: fresh, work: () => measureHere(steps) },
    },
    {
      name: 'provision, warm cache',
      terms: 'base is there, one more instance; durable; whole processes',
      rivalName: 'qemu-img info, create',
      rounds: 11,
      ours: {
        before: () => {
          if (!fs.existsSync(join(folder, '_base'))) measureProcess(words('first'));
          fs.rmSync(join(folder, 'vm'), { recursive: true, force: true });
        },
        work: () => measureProcess(words('vm')),
      },
      rival: {
        before: () => {
          if (!fs.existsSync(base)) run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', inputs.zlib, base);
        },
        work: () => measureHere(warmSteps),
      },
      verify: () => {
        run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'qcow2', instance, overlay);
        fs.rmSync(folder, { recursive: true });
        return undefined;
      },
    },
  ];
}
