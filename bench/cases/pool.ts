import * as fs from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Sample } from '#src/bench/model.js';
import { type Bench, type Entry, TIME_LIMIT } from '../entry.js';
import { run } from '../programs.js';

const RUN = fileURLToPath(new URL('../poolRun.js', import.meta.url));
const JOBS = 32;
const MiB = 2 ** 20;
/** Of a process with a pool, and of each job that runs. */
const MEMORY = 64 * MiB;
const MEMORY_PER_JOB = 16 * MiB;

/** Many conversions through a pool against one of the same bytes. */
export function poolCases({ inputs, meter, signal }: Bench): Entry[] {
  const folder = inputs.scratch('pool');
  const part = (i: number): string => `${folder}/${i}.raw`;
  const each = inputs.dataBytes / JOBS;
  const fresh = (): void => {
    for (const name of fs.readdirSync(folder)) if (name.endsWith('.out')) fs.rmSync(`${folder}/${name}`);
    run('sync');
  };
  const work = (order: object) => async (): Promise<Sample> => {
    const words = [process.execPath, RUN, JSON.stringify(order)];
    const { stdout } = await meter.run(words, { signal, timeLimit: TIME_LIMIT });
    return JSON.parse(stdout);
  };
  return ['raw', 'qcow2'].map((format) => {
    const targets = Array.from({ length: JOBS }, (_, i) => `${folder}/${i}.out`);
    const sources = Array.from({ length: JOBS }, (_, i) => part(i));
    return {
      id: `pool-${format}`,
      group: 'Many',
      name: `${JOBS} conversions raw to ${format} through a pool`,
      terms: `${JOBS} files through Pool, its threads started in the time, against one file of the same bytes; each in a process of its own, whose start is not counted`,
      cache: 'warm',
      durability: 'none',
      bytes: inputs.dataBytes,
      rounds: 5,
      targets: { memory: MEMORY + availableParallelism() * MEMORY_PER_JOB },
      setUp: () => {
        inputs.make('dense');
        fs.mkdirSync(folder, { recursive: true });
        for (let i = 0; i < JOBS; i++) {
          if (fs.existsSync(part(i))) continue;
          run(
            'dd',
            `if=${inputs.path('dense')}`,
            `of=${part(i)}`,
            'bs=1M',
            `skip=${(i * each) / MiB}`,
            `count=${each / MiB}`,
          );
        }
      },
      ours: { name: 'Pool', before: fresh, work: work({ sources, targets, format, pool: true }) },
      rivals: [
        {
          name: 'basecow, one conversion',
          target: 0.95,
          before: fresh,
          work: work({
            sources: [inputs.path('dense')],
            targets: [`${folder}/one.out`],
            format,
            pool: false,
          }),
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
