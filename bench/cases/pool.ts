import * as fs from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Sample } from '#src/bench/model.js';
import { type Bench, type Entry, TIME_LIMIT } from '../entry.js';
import { run } from '../programs.js';

const RUN = fileURLToPath(new URL('../poolRun.js', import.meta.url));
const JOBS = 32;
const MiB = 2 ** 20;
/** Bytes of each disk, all of it data. */
const EACH = 64 * MiB;
/** Of a process with a pool, and of each job that runs. */
const MEMORY = 64 * MiB;
const MEMORY_PER_JOB = 16 * MiB;

/** Many conversions through a pool against one of the same bytes. */
export function poolCases({ inputs, meter, signal }: Bench): Entry[] {
  const folder = inputs.scratch('pool');
  const part = (i: number): string => `${folder}/${i}.raw`;
  const small = `${folder}/small.raw`;
  const fresh = (): void => {
    for (const name of fs.readdirSync(folder)) if (name.includes('.out')) fs.rmSync(`${folder}/${name}`);
    run('sync');
  };
  const work = (order: object) => async (): Promise<Sample> => {
    const words = [process.execPath, RUN, JSON.stringify(order)];
    const { stdout } = await meter.run(words, { signal, timeLimit: TIME_LIMIT });
    return JSON.parse(stdout);
  };
  /** Bytes of `dense`, from the start again where it is shorter than all parts. */
  const copyPart = (to: string, at: number, bytes: number): void => {
    const skip = at % inputs.dataBytes;
    run(
      'dd',
      `if=${inputs.path('dense')}`,
      `of=${to}`,
      'bs=1M',
      `skip=${skip / MiB}`,
      `count=${bytes / MiB}`,
    );
  };
  return ['raw', 'qcow2'].map((format) => {
    const sources = Array.from({ length: JOBS }, (_, i) => part(i));
    const warmUp = { sources: [small], target: `${folder}/small.out` };
    return {
      id: `pool-${format}-64m`,
      group: 'Many',
      name: `${JOBS} conversions raw to ${format} through a pool`,
      terms: `${JOBS} files of 64 MiB of data through Pool, each to a file of its own, against one conversion of the same files put one after another to one file (2 GiB); each in a process of its own that has done a small conversion on each thread before the time starts`,
      cache: 'warm',
      durability: 'none',
      bytes: JOBS * EACH,
      rounds: 5,
      targets: { memory: MEMORY + availableParallelism() * MEMORY_PER_JOB },
      setUp: () => {
        inputs.make('dense');
        fs.mkdirSync(folder, { recursive: true });
        copyPart(small, 0, MiB);
        for (let i = 0; i < JOBS; i++) copyPart(part(i), i * EACH, EACH);
      },
      ours: {
        name: 'Pool',
        before: fresh,
        work: work({
          jobs: sources.map((source, i) => ({ sources: [source], target: `${folder}/${i}.out` })),
          warmUp,
          format,
          pool: true,
        }),
      },
      rivals: [
        {
          name: 'basecow, one conversion',
          target: 0.95,
          before: fresh,
          work: work({ jobs: [{ sources, target: `${folder}/one.out` }], warmUp, format, pool: false }),
        },
      ],
      verify: () => {
        run(
          'qemu-img',
          'compare',
          '-q',
          '-f',
          'raw',
          '-F',
          format,
          part(JOBS - 1),
          `${folder}/${JOBS - 1}.out`,
        );
        return undefined;
      },
      cleanUp: () => fs.rmSync(folder, { recursive: true, force: true }),
    } satisfies Entry;
  });
}
