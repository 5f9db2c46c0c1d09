import { info } from 'basecow';
import type { Case } from '../compare.js';
import type { Inputs } from '../inputs.js';
import { measureHere, measureProcess } from '../process.js';

const BASECOW = new URL('../../dist/cli/main.js', import.meta.url).pathname;

/** info and map on an empty 1 TiB qcow2. */
export function infoCases(inputs: Inputs): Case[] {
  const words = (verb: string): string[] => [verb, '-f', 'qcow2', '--output=json', inputs.empty];
  const processes = (verb: string): Case => ({
    name: `${verb} of an empty 1 TiB qcow2, command line`,
    terms: 'process against process',
    rivalName: `qemu-img ${verb}`,
    rounds: 11,
    ours: { work: () => measureProcess([process.execPath, BASECOW, ...words(verb)]) },
    rival: { work: () => measureProcess(['qemu-img', ...words(verb)]) },
  });
  return [
    {
      name: 'info of an empty 1 TiB qcow2, library',
      terms: 'basecow in-process, qemu-img as a process',
      rivalName: 'qemu-img info',
      rounds: 11,
      ours: {
        work: () =>
          measureHere(async () => {
            await info({ path: inputs.empty, format: 'qcow2' });
          }),
      },
      rival: { work: () => measureHere(async () => void measureProcess(['qemu-img', ...words('info')])) },
    },
    processes('info'),
    processes('map'),
  ];
}
