// Converts raw files in a process of its own, through a pool or one after the other, and tells what it took:
// node poolRun.js '{"sources":[…],"targets":[…],"pool":true}'

import { convert, Pool } from 'basecow';
import { measureHere } from '#src/bench/measure.js';

interface Order {
  sources: string[];
  targets: string[];
  format: string;
  /** False: in this thread, each with all engine threads. */
  pool: boolean;
}

const { sources, targets, format, pool: pooled }: Order = JSON.parse(process.argv[2]);
const requests = sources.map((path, i) => ({
  sources: [{ path, format: 'raw' }],
  target: { path: targets[i], format },
  targetCache: 'unsafe' as const,
}));
const sample = await measureHere(async () => {
  if (!pooled) {
    for (const request of requests) await convert(request);
    return;
  }
  const pool = new Pool();
  await Promise.all(requests.map((request) => pool.convert(request)));
  await pool.close();
});
console.log(JSON.stringify({ ...sample, peakMemory: process.resourceUsage().maxRSS * 1024 }));
