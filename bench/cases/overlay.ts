import * as fs from 'node:fs';
import { join } from 'node:path';
import { createImage, createOverlays } from 'basecow';
import type { Case } from '../compare.js';
import type { Inputs } from '../inputs.js';
import { measureHere, measureProcess, run } from '../process.js';

const BASECOW = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const GROUP = 1000;
const RIVAL_GROUP = 50;
/** A long-running agent makes one overlay after the other, each awaited and durable by itself. */
const ONE_BY_ONE = 20;

/** Overlays on the raw base. Durable: one fdatasync (ours), qemu-img create then fdatasync by the caller (rival). */
export function overlayCases(inputs: Inputs): Case[] {
  const parent = join(inputs.folder, 'overlays');
  fs.rmSync(parent, { recursive: true, force: true });
  fs.mkdirSync(parent);
  let folder = parent;
  const path = (index: number): string => join(folder, `${index}.qcow2`);
  // A new folder each time and nothing deleted in between: ext4 without a journal steps over every recently deleted
  // inode when it makes a file, which would measure our own cleaning up.
  const fresh = (): void => {
    folder = fs.mkdtempSync(join(parent, 'round-'));
    run('sync');
  };
  const words = ['create', '-q', '-f', 'qcow2', '-b', inputs.raw, '-F', 'raw'];
  const durable = (file: string): void => {
    const fd = fs.openSync(file, 'r+');
    fs.fdatasyncSync(fd);
    fs.closeSync(fd);
  };
  const qemu = (count: number, sync: boolean) => () =>
    measureHere(async () => {
      for (let i = 0; i < count; i++) {
        run('qemu-img', ...words, path(i));
        if (sync) durable(path(i));
      }
    });
  const checked = (index: number) => () => {
    run('qemu-img', 'check', '-q', path(index));
    return undefined;
  };
  return [
    {
      name: 'overlay create, library, one by one',
      terms: 'durable (fdatasync) on both sides; basecow in-process, qemu-img as a process',
      rivalName: 'qemu-img create + fdatasync',
      target: 15,
      rounds: 7,
      ours: {
        before: fresh,
        units: ONE_BY_ONE,
        work: () =>
          measureHere(async () => {
            for (let i = 0; i < ONE_BY_ONE; i++) {
              await createImage(path(i), { format: 'qcow2', backingFile: inputs.raw, backingFormat: 'raw' });
            }
          }),
      },
      rival: { before: fresh, units: ONE_BY_ONE, work: qemu(ONE_BY_ONE, true) },
      verify: checked(0),
    },
    {
      name: 'overlay create, library, group of 1,000',
      terms: `durable on both sides: one syncfs for the group; qemu-img ${RIVAL_GROUP} times, one syncfs; per overlay`,
      rivalName: 'qemu-img create, sync -f',
      target: 100,
      rounds: 5,
      ours: {
        before: fresh,
        units: GROUP,
        work: () =>
          measureHere(async () => {
            await createOverlays(
              Array.from({ length: GROUP }, (_, i) => ({
                path: path(i),
                backingFile: inputs.raw,
                backingFormat: 'raw',
              })),
            );
          }),
      },
      rival: {
        before: fresh,
        units: RIVAL_GROUP,
        work: () =>
          measureHere(async () => {
            for (let i = 0; i < RIVAL_GROUP; i++) run('qemu-img', ...words, path(i));
            run('sync', '-f', folder);
          }),
      },
      verify: checked(RIVAL_GROUP - 1),
    },
    {
      name: 'overlay create, command line',
      terms: 'process against process, no flush on either side',
      rivalName: 'qemu-img create',
      rounds: 15,
      ours: { before: fresh, work: () => measureProcess([process.execPath, BASECOW, ...words, path(0)]) },
      rival: { before: fresh, work: () => measureProcess(['qemu-img', ...words, path(0)]) },
      verify: checked(0),
    },
  ];
}
