import * as fs from 'node:fs';
import { join } from 'node:path';
import { openDisk } from 'basecow';
import { measureHere } from '#src/bench/measure.js';
import type { Case } from '#src/bench/model.js';
import { type Bench, type Entry, program } from '../entry.js';
import { run } from '../programs.js';

const MiB = 2 ** 20;
const WRITES = 20_000;
const BYTES = 4096;
const DISK = 4096 * MiB;
/** Ours may take this many times as long. */
const TARGET = 1 / 1.5;

/** Where each write goes: the same places in a fixed random order, no two in one block. */
function places(): number[] {
  const blocks = DISK / BYTES;
  return Array.from({ length: WRITES }, (_, i) => ((i * 0x9e3779b1) % blocks) * BYTES);
}

/** Small random writes, one after another, through the library and through qemu-io, both with the page cache. */
export function writeCases(bench: Bench): Entry[] {
  return [
    writeCase(bench, 'new', 'into an empty image', []),
    writeCase(bench, 'over', 'over allocated clusters', ['-o', 'preallocation=metadata']),
  ];
}

function writeCase(bench: Bench, id: string, name: string, options: readonly string[]): Case {
  const folder = bench.inputs.scratch('writes');
  const commands = join(folder, 'commands');
  const image = (side: string) => join(folder, `${side}.qcow2`);
  const fresh = (side: string) => () => {
    fs.rmSync(image(side), { force: true });
    run('qemu-img', 'create', '-q', '-f', 'qcow2', ...options, image(side), String(DISK));
    run('sync');
  };
  return {
    id: `writes-${id}`,
    group: 'Writes',
    name: `${BYTES / 1024} KiB random write ${name}`,
    terms: `${WRITES.toLocaleString('en')} writes, one after another; basecow in this process, qemu-io's start counts`,
    cache: 'warm',
    durability: 'one flush at the end',
    bytes: BYTES,
    setUp: () => {
      fs.mkdirSync(folder, { recursive: true });
      const lines = places().map((at, i) => `write -q -P ${1 + (i % 255)} ${at} ${BYTES}\n`);
      fs.writeFileSync(commands, `${lines.join('')}flush\n`);
    },
    ours: {
      name: 'disk.write',
      units: WRITES,
      before: fresh('ours'),
      work: () =>
        measureHere(async () => {
          const disk = await openDisk(image('ours'), { format: 'qcow2', writable: true });
          const buffer = Buffer.alloc(BYTES);
          for (const [i, at] of places().entries()) await disk.write(buffer.fill(1 + (i % 255)), at);
          await disk.flush();
          await disk.close();
        }),
    },
    rivals: [
      {
        name: 'qemu-io write',
        units: WRITES,
        target: TARGET,
        before: fresh('theirs'),
        work: program(
          bench,
          'sh',
          '-c',
          'exec qemu-io -t writeback -f qcow2 "$0" < "$1" > /dev/null',
          image('theirs'),
          commands,
        ),
      },
    ],
    verify: () => {
      run('qemu-img', 'check', '-q', image('ours'));
      run('qemu-img', 'compare', '-q', image('ours'), image('theirs'));
      return undefined;
    },
    cleanUp: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}
