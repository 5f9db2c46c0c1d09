// Runs conversions of raw files in a process of its own, through a pool or not, and tells what they took:
// node poolRun.js '{"jobs":[{"sources":[…],"target":…}],"warmUp":{…},"format":"raw","pool":true}'

import { availableParallelism } from 'node:os';
import { convert, Pool } from 'basecow';
import { measureHere } from '#src/bench/measure.js';

interface Conversion {
  /** Put one after another. */
  sources: string[];
  target: string;
}

interface Order {
  jobs: Conversion[];
  /** Small, done before the time starts: as often at once as jobs can run. Its target gets a number. */
  warmUp: Conversion;
  format: string;
  /** False: one after the other in this thread, each with all engine threads. */
  pool: boolean;
}

const { jobs, warmUp, format, pool: pooled }: Order = JSON.parse(process.argv[2]);
const request = ({ sources, target }: Conversion) => ({
  sources: sources.map((path) => ({ path, format: 'raw' })),
  target: { path: target, format },
  targetCache: 'unsafe' as const,
});
const first = Array.from({ length: availableParallelism() }, (_, i) =>
  request({ ...warmUp, target: `${warmUp.target}${i}` }),
);
const pool = pooled ? new Pool() : undefined;
const all = async (requests: ReturnType<typeof request>[]): Promise<void> => {
  if (pool) await Promise.all(requests.map((one) => pool.convert(one)));
  else for (const one of requests) await convert(one);
};
await all(first);
const sample = await measureHere(() => all(jobs.map(request)));
const { maxRSS } = process.resourceUsage();
await pool?.close();
console.log(JSON.stringify({ ...sample, peakMemory: maxRSS * 1024 }));
