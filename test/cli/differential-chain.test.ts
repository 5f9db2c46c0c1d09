// Failures in the layers of a backing chain, beside qemu-img: who is named, and how far below it the fault lies.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { run } from '../support/tools.js';
import { Twins } from '../support/twins.js';

function makeChains(dir: string): void {
  const img = (...args: string[]) => run('qemu-img', args, { cwd: dir });
  img('create', '-q', 'good.raw', '1M');
  writeFileSync(join(dir, 'text'), 'foo\n');
  writeFileSync(join(dir, 'v9'), Buffer.from('514649fb00000009', 'hex'));
  mkdirSync(join(dir, 'folder'));
  for (const bottom of ['gone', 'text', 'v9', 'folder']) {
    let below = bottom;
    for (let layer = 1; layer <= 3; layer++) {
      const file = `${bottom}${layer}`;
      img('create', '-q', '-f', 'qcow2', '-u', '-b', below, '-F', 'qcow2', file, '1M');
      below = file;
    }
  }
}

const twins = new Twins(t, makeChains);

const lines: string[] = [];
for (const bottom of ['gone', 'text', 'v9', 'folder']) {
  for (const layer of [1, 2, 3]) {
    const file = `${bottom}${layer}`;
    lines.push(
      `map ${file}`,
      `convert ${file} out`,
      `convert good.raw ${file} out`,
      `compare ${file} good.raw`,
      `compare good.raw ${file}`,
      `measure -O qcow2 ${file}`,
      `check ${file}`,
      `info ${file}`,
      `info --backing-chain ${file}`,
      `create -f qcow2 -b ${file} -F qcow2 new`,
      `create -f qcow2 -b ${file} -F qcow2 new 2M`,
    );
  }
}
lines.push('convert -n -O qcow2 good.raw gone2', 'convert -n -O qcow2 good.raw text3');
await twins.table(t, lines);
