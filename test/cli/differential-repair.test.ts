// `check -r` beside qemu-img: the same damage in twins, the same sentences, counts and exit codes, and both sound after it.
import { closeSync, copyFileSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { run } from '../support/tools.js';
import { Twins } from '../support/twins.js';

const CLUSTER = 4096;
const BLOCK = 2 * CLUSTER;
const L1 = 3 * CLUSTER;
const L2 = 4 * CLUSTER;
/** The first data cluster of a fresh image. */
const DATA = 5;

type Poke = readonly [offset: number, bytes: number[]];

const refcount = (cluster: number, value: number): Poke => [BLOCK + 2 * cluster, [value >> 8, value & 255]];
const entry = (offset: number, bytes: string): Poke => [offset, [...Buffer.from(bytes, 'hex')]];

/** Damage by name; `base` is the image it is done to. */
const damages: Record<string, { base: 'plain' | 'snap' | 'v2snap' | 'ext' | 'one'; pokes: readonly Poke[] }> =
  {
    high: { base: 'plain', pokes: [refcount(DATA + 1, 3)] },
    leak: { base: 'plain', pokes: [refcount(100, 1), refcount(101, 1), refcount(200, 2)] },
    low: { base: 'snap', pokes: [refcount(DATA + 1, 1)] },
    lowHigh: { base: 'snap', pokes: [refcount(DATA + 1, 1), refcount(DATA + 2, 9)] },
    gone: { base: 'plain', pokes: [refcount(DATA + 1, 0)] },
    goneHigh: { base: 'plain', pokes: [refcount(DATA + 1, 0), refcount(DATA + 2, 5), refcount(101, 1)] },
    goneSnap: { base: 'snap', pokes: [refcount(DATA + 3, 0), refcount(DATA + 4, 1)] },
    headerGone: { base: 'plain', pokes: [refcount(0, 0)] },
    tableFar: { base: 'plain', pokes: [entry(CLUSTER, '0000000000800000')] },
    tableEmpty: { base: 'plain', pokes: [entry(CLUSTER, '0000000000000000')] },
    blockIsL2: { base: 'plain', pokes: [entry(CLUSTER, '0000000000004000')] },
    copiedL1: { base: 'plain', pokes: [entry(L1, '0000000000004000')] },
    copiedL2: { base: 'plain', pokes: [entry(L2, '0000000000005000')] },
    copiedSnap: { base: 'snap', pokes: [entry(L2, '8000000000005000')] },
    skewZero: { base: 'plain', pokes: [entry(L2 + 8, '8000000000006201')] },
    skewData: { base: 'plain', pokes: [entry(L2 + 8, '8000000000006200')] },
    reserved: { base: 'plain', pokes: [entry(L2 + 8, '8100000000006000')] },
    twice: { base: 'plain', pokes: [entry(L2 + 8, '8000000000005000')] },
    far: { base: 'plain', pokes: [entry(L2 + 8, '8000000001005000')] },
    dirty: { base: 'plain', pokes: [[72, [0, 0, 0, 0, 0, 0, 0, 1]], refcount(DATA + 1, 2)] },
    corrupt: { base: 'plain', pokes: [[72, [0, 0, 0, 0, 0, 0, 0, 2]]] },
    both: { base: 'plain', pokes: [[72, [0, 0, 0, 0, 0, 0, 0, 3]], refcount(DATA, 0)] },
    upgraded: { base: 'v2snap', pokes: [] },
    upgradedLeak: { base: 'v2snap', pokes: [refcount(DATA, 7)] },
    extBitmap: { base: 'ext', pokes: [] },
    narrow: { base: 'one', pokes: [[BLOCK + 1, [0xff]]] },
  };

function make(dir: string): void {
  const img = (...args: string[]) => run('qemu-img', args, { cwd: dir });
  const io = (file: string, ...commands: string[]) =>
    run('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), file], { cwd: dir });
  const create = (file: string, options = '') =>
    img('create', '-q', '-f', 'qcow2', '-o', `cluster_size=4k${options}`, file, '4M');
  const fill = (file: string) =>
    io(file, 'write -q -P 1 0 64k', 'write -q -P 2 1M 64k', 'write -q -P 3 3M 4k');
  create('plain');
  fill('plain');
  create('snap');
  fill('snap');
  img('snapshot', '-c', 's', 'snap');
  io('snap', 'write -q -P 9 32k 8k');
  create('v2snap', ',compat=0.10');
  fill('v2snap');
  img('snapshot', '-c', 's', 'v2snap');
  shortenSnapshot(join(dir, 'v2snap'));
  create('one', ',refcount_bits=1');
  fill('one');
  img('create', '-q', '-f', 'qcow2', '-o', 'extended_l2=on', 'ext', '4M');
  io('ext', 'write -q -P 1 0 2k', 'write -q -P 1 64k 64k');
  for (const [name, { base, pokes }] of Object.entries({ ...damages, ...beyond })) {
    for (const copy of [name, `${name}.json`, `${name}.leaks`]) {
      copyFileSync(join(dir, base), join(dir, copy));
      const fd = openSync(join(dir, copy), 'r+');
      for (const [offset, bytes] of pokes) writeSync(fd, Uint8Array.from(bytes), 0, bytes.length, offset);
      closeSync(fd);
    }
  }
}

/** Makes the image version 3, and the extra data of its snapshot too short for that. */
function shortenSnapshot(path: string): void {
  const bytes = readFileSync(path);
  const table = Number(bytes.readBigUInt64BE(64));
  const [id, name] = [bytes.readUInt16BE(table + 12), bytes.readUInt16BE(table + 14)];
  const extra = bytes.readUInt32BE(table + 36);
  const words = Buffer.from(bytes.subarray(table + 40 + extra, table + 40 + extra + id + name));
  const fd = openSync(path, 'r+');
  const short = Buffer.alloc(40 + extra + id + name);
  bytes.copy(short, 0, table, table + 40);
  short.writeUInt32BE(0, 36);
  words.copy(short, 40);
  writeSync(fd, short, 0, short.length, table);
  const head = Buffer.alloc(32);
  head.writeUInt32BE(4, 24);
  head.writeUInt32BE(104, 28);
  writeSync(fd, Buffer.from([0, 0, 0, 3]), 0, 4, 4);
  writeSync(fd, head, 0, head.length, 72);
  // No extensions.
  writeSync(fd, Buffer.alloc(8), 0, 8, 104);
  closeSync(fd);
}

/** What qemu-img gives up on, and we do not. */
const beyond: typeof damages = {
  tableSkew: { base: 'plain', pokes: [entry(CLUSTER, '0000000000002200')] },
  tableReserved: { base: 'plain', pokes: [entry(CLUSTER, '0000000000002100')] },
};

const twins = new Twins(t, make);

for (const name of Object.keys(damages)) {
  await t.test(name, async (t) => {
    await twins.table(t, [
      `check ${name}`,
      `check -r all ${name}`,
      `check -r all --output json ${name}.json`,
      `check -r leaks ${name}.leaks`,
      `check ${name}.leaks`,
    ]);
  });
}

for (const name of Object.keys(beyond)) {
  await t.test(`${name}: repaired where qemu-img gives up`, async (t) => {
    const { theirs, ours } = await twins.both(['check', '-r', 'all', name]);
    t.equal(theirs.status, 1);
    t.match(ours, {
      status: 0,
      stdout: /1 corruptions\n\nDouble checking/,
      stderr: /Rebuilding refcount structure/,
    });
    twins.soundAndEqual(t, name, 'plain');
  });
}

/** Damage that leaves the content whole. */
const whole = Object.keys(damages).filter((name) => !/^(skew|reserved|twice|far)/.test(name));
await t.test('content is what it was', async (t) => {
  for (const name of whole) twins.soundAndEqual(t, name, damages[name].base);
});
