import type { Bench, Entry } from '../entry.js';
import { codecCases } from './codec.js';
import { convertCases } from './convert.js';
import { emptyCases } from './empty.js';
import { instructionCases } from './instructions.js';
import { kernelCases } from './kernels.js';
import { md5Cases } from './md5.js';
import { overlayCases } from './overlay.js';
import { poolCases } from './pool.js';
import { provisionCases } from './provision.js';
import { readingCases } from './reading.js';
import { reflinkCases } from './reflink.js';
import { startCases } from './start.js';
import { verbCases } from './verbs.js';
import { writeCases } from './writes.js';

/** Every row there is, in the order of running. */
export function entries(bench: Bench): Entry[] {
  return [
    ...md5Cases(bench),
    ...kernelCases(bench),
    ...readingCases(bench),
    ...convertCases(bench),
    ...codecCases(bench),
    ...reflinkCases(bench),
    ...emptyCases(bench),
    ...verbCases(bench),
    ...writeCases(bench),
    ...overlayCases(bench),
    ...poolCases(bench),
    ...startCases(bench),
    ...provisionCases(bench),
    ...instructionCases(bench),
  ];
}
