import type { Case } from '../compare.js';
import type { Inputs } from '../inputs.js';
import { measureProcess } from '../process.js';

const BASECOW = new URL('../../dist/cli/main.js', import.meta.url).pathname;

/** MD5 of the sparse raw disk, warm; md5sum reads the holes, basecow does not. */
export function hashCases(inputs: Inputs): Case[] {
  return [
    {
      name: 'md5 of a sparse raw disk',
      terms: 'process against process, warm cache',
      rivalName: 'md5sum',
      ours: { work: () => measureProcess([process.execPath, BASECOW, 'hash', '-a', 'md5', inputs.raw]) },
      rival: { work: () => measureProcess(['md5sum', inputs.raw]) },
      rounds: 3,
    },
    {
      name: 'md5 of a compressed qcow2 file',
      terms: 'process against process, warm cache',
      rivalName: 'md5sum',
      ours: { work: () => measureProcess([process.execPath, BASECOW, 'hash', '-a', 'md5', inputs.zlib]) },
      rival: { work: () => measureProcess(['md5sum', inputs.zlib]) },
    },
  ];
}
