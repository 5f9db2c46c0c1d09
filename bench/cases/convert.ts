import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Case } from '../compare.js';
import type { Inputs } from '../inputs.js';
import { measureProcess, run } from '../process.js';

const BASECOW = new URL('../../dist/cli/main.js', import.meta.url).pathname;

interface Conversion {
  name: string;
  source: keyof Inputs;
  from: string;
  to: string;
  /** Same words for both programs. */
  options?: string[];
  target: number;
}

const CONVERSIONS: Conversion[] = [
  { name: 'convert raw to raw, sparse', source: 'raw', from: 'raw', to: 'raw', target: 1 },
  { name: 'convert raw to qcow2', source: 'raw', from: 'raw', to: 'qcow2', target: 1 },
  { name: 'convert qcow2 to raw', source: 'qcow2', from: 'qcow2', to: 'raw', target: 1 },
  { name: 'compressed write, zlib', source: 'raw', from: 'raw', to: 'qcow2', options: ['-c'], target: 10 },
  {
    name: 'compressed write, zstd',
    source: 'raw',
    from: 'raw',
    to: 'qcow2',
    options: ['-c', '-o', 'compression_type=zstd'],
    target: 1,
  },
  { name: 'compressed read, zlib', source: 'zlib', from: 'qcow2', to: 'raw', target: 2 },
  { name: 'compressed read, zstd', source: 'zstd', from: 'qcow2', to: 'raw', target: 2 },
];

/** Program against program, the same words; cache mode unsafe (both programs' default): no flush on either side. */
export function convertCases(inputs: Inputs): Case[] {
  return CONVERSIONS.map((conversion) => {
    const source = inputs[conversion.source] as string;
    const words = [
      'convert',
      '-f',
      conversion.from,
      '-O',
      conversion.to,
      ...(conversion.options ?? []),
      source,
    ];
    const ours = join(inputs.folder, `ours.${conversion.to}`);
    const rival = join(inputs.folder, `rival.${conversion.to}`);
    const clean = (path: string) => () => {
      fs.rmSync(path, { force: true });
      run('sync');
    };
    return {
      name: conversion.name,
      terms: 'process against process, warm cache, cache=unsafe',
      rivalName: 'qemu-img convert',
      target: conversion.target,
      ours: { before: clean(ours), work: () => measureProcess([process.execPath, BASECOW, ...words, ours]) },
      rival: { before: clean(rival), work: () => measureProcess(['qemu-img', ...words, rival]) },
      verify: () => {
        run('qemu-img', 'compare', '-f', conversion.to, '-F', conversion.to, ours, rival);
        if (conversion.to === 'qcow2') run('qemu-img', 'check', '-q', ours);
        const occupied = (path: string): number => fs.statSync(path).blocks * 512;
        const sizes = { ours: occupied(ours), rival: occupied(rival) };
        fs.rmSync(ours);
        fs.rmSync(rival);
        return sizes;
      },
    };
  });
}
