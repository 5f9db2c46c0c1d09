import * as fs from 'node:fs';
import { join } from 'node:path';
import { createImage, createOverlays } from 'basecow';
import { measureEach, measureHere } from '#src/bench/measure.js';
import type { Sample } from '#src/bench/model.js';
import { type Bench, type Entry, program } from '../entry.js';
import { BASECOW, run } from '../programs.js';

const GROUP = 1000;
const RIVAL_GROUP = 50;
/** A long-running agent makes one overlay after the other, each awaited and durable by itself. */
const ONE_BY_ONE = 20;

/** Overlays on the raw base, durable on both sides. */
export function overlayCases(bench: Bench): Entry[] {
  const { inputs } = bench;
  const backingFile = inputs.path('raw');
  const parent = inputs.scratch('overlays');
  let folder = parent;
  const path = (index: number): string => join(folder, `${index}.qcow2`);
  // A new folder each time and nothing deleted in between: ext4 without a journal steps over every recently deleted
  // inode when it makes a file, which would measure our own cleaning up.
  const fresh = (): void => {
    folder = fs.mkdtempSync(join(parent, 'round-'));
    run('sync');
  };
  const words = ['create', '-q', '-f', 'qcow2', '-b', backingFile, '-F', 'raw'];
  const qemuImg = (index: number): Promise<Sample> => program(bench, 'qemu-img', ...words, path(index))();
  const added = (a: Sample, b: Sample): Sample => ({
    wall: a.wall + b.wall,
    cpu: a.cpu === undefined || b.cpu === undefined ? undefined : a.cpu + b.cpu,
    peakMemory: a.peakMemory,
  });
  const durably = async (index: number): Promise<Sample> => {
    const made = await qemuImg(index);
    const synced = await measureHere(() => {
      const fd = fs.openSync(path(index), 'r+');
      fs.fdatasyncSync(fd);
      fs.closeSync(fd);
    });
    return added(made, synced);
  };
  const common = {
    group: 'Many',
    cache: 'warm',
    setUp: () => {
      inputs.make('raw');
      fs.rmSync(parent, { recursive: true, force: true });
      fs.mkdirSync(parent);
    },
    cleanUp: () => fs.rmSync(parent, { recursive: true, force: true }),
  } as const;
  const checked = (index: number) => () => {
    run('qemu-img', 'check', '-q', path(index));
    return undefined;
  };
  return [
    {
      ...common,
      id: 'overlay-one-by-one',
      name: 'create an overlay, library, one by one',
      terms: 'basecow in this process, qemu-img as a process and its file synced by the caller',
      durability: 'fdatasync of each',
      quick: true,
      rounds: 7,
      ours: {
        name: 'createImage',
        before: fresh,
        units: ONE_BY_ONE,
        work: () =>
          measureHere(async () => {
            for (let i = 0; i < ONE_BY_ONE; i++) {
              await createImage(path(i), { format: 'qcow2', backingFile, backingFormat: 'raw' });
            }
          }),
      },
      rivals: [
        {
          name: 'qemu-img create, fdatasync',
          target: 15,
          before: fresh,
          units: ONE_BY_ONE,
          work: () => measureEach(ONE_BY_ONE, durably),
        },
      ],
      verify: checked(0),
    },
    {
      ...common,
      id: 'overlay-group',
      name: `create ${GROUP} overlays, library, of each`,
      terms: `one syncfs for the group on both sides; qemu-img makes ${RIVAL_GROUP}`,
      durability: 'one syncfs for all',
      quick: true,
      rounds: 5,
      // 150 ms for all.
      targets: { milliseconds: 150 / GROUP },
      ours: {
        name: 'createOverlays',
        before: fresh,
        units: GROUP,
        work: () =>
          measureHere(async () => {
            const requests = Array.from({ length: GROUP }, (_, i) => ({
              path: path(i),
              backingFile,
              backingFormat: 'raw',
            }));
            const failed = (await createOverlays(requests)).find(
              (outcome) => 'error' in outcome && outcome.error,
            );
            if (failed) throw new Error(`an overlay failed: ${JSON.stringify(failed)}`);
          }),
      },
      rivals: [
        {
          name: 'qemu-img create, sync -f',
          target: 100,
          before: fresh,
          units: RIVAL_GROUP,
          work: async () => {
            const made = await measureEach(RIVAL_GROUP, qemuImg);
            return added(made, await program(bench, 'sync', '-f', folder)());
          },
        },
      ],
      verify: checked(RIVAL_GROUP - 1),
    },
    {
      ...common,
      id: 'overlay-command',
      name: 'create an overlay, command',
      terms: 'process against process',
      durability: 'none',
      rounds: 15,
      ours: {
        name: 'basecow create',
        before: fresh,
        work: () => program(bench, ...BASECOW, ...words, path(0))(),
      },
      rivals: [{ name: 'qemu-img create', before: fresh, work: () => qemuImg(0) }],
      verify: checked(0),
    },
  ];
}
