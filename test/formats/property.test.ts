// Random images, random options, random changes: what QEMU wrote is read by us, what we wrote is checked and read by
// QEMU. SEED=number in the environment runs one seed again, ROUNDS=number as many from there.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { convert } from '#src/operations/convert.js';
import { createImage } from '#src/operations/create.js';
import { checkedEqual, sameAsQemu } from '../support/oracle.js';
import { Random } from '../support/random.js';
import { qemuImg, qemuIo } from '../support/tools.js';

const first = Number(process.env.SEED ?? 77_000);
const ROUNDS = Number(process.env.ROUNDS ?? (process.env.SEED ? 1 : 16));

type Options = Record<string, string>;

/** Create options that QEMU accepts together. */
function randomOptions(random: Random, overlay: boolean): Options {
  const bits = random.integer(9, 18);
  const options: Options = { cluster_size: `${2 ** bits}` };
  if (random.next() < 0.2) return { ...options, compat: '0.10' };
  options.refcount_bits = `${2 ** random.integer(0, 6)}`;
  options.compression_type = random.pick(['zlib', 'zstd']);
  options.lazy_refcounts = random.pick(['on', 'off']);
  if (bits >= 14) options.extended_l2 = random.pick(['on', 'off']);
  if (random.next() < 0.2 && (!overlay || options.extended_l2 === 'on')) options.preallocation = 'metadata';
  return options;
}

const text = (options: Options) =>
  Object.entries(options)
    .map((pair) => pair.join('='))
    .join(',');

/** Whole sectors, so that an end may lie inside a cluster. */
function randomSize(random: Random, options: Options): number {
  const cluster = Number(options.cluster_size);
  return Math.min(cluster * random.integer(1, 60), 3 * 2 ** 20) + 512 * random.integer(0, 5);
}

/** Compressed writes first, each cluster once: QEMU refuses them over anything. Then everything else, anywhere. */
function randomChanges(random: Random, options: Options, size: number): string[] {
  const cluster = Number(options.cluster_size);
  const commands: string[] = [];
  if (options.preallocation === undefined) {
    for (let at = random.integer(0, 4); (at + 1) * cluster <= size; at += random.integer(1, 12)) {
      commands.push(`write -q -c -P ${random.integer(0, 255)} ${at * cluster} ${cluster}`);
    }
  }
  for (let i = 0; i < 24; i++) {
    const at = random.integer(0, size / 512 - 1) * 512;
    const length = Math.min(size - at, random.integer(1, Math.max(8, (4 * cluster) / 512)) * 512);
    const verb = random.pick(['write -P', 'write -P', 'write -z', 'write -z -u', 'discard', 'write -P 0']);
    commands.push(
      verb === 'write -P'
        ? `write -q -P ${random.integer(1, 255)} ${at} ${length}`
        : `${verb.replace(/^(\w+)/, '$1 -q')} ${at} ${length}`,
    );
  }
  return commands;
}

/** A chain of up to 5 layers made by qemu-img and qemu-io; the lowest is raw. Returns the layers, lowest first. */
function theirChain(dir: string, random: Random): { layers: string[]; about: string } {
  const depth = random.integer(1, 5);
  const base = join(dir, 'layer0');
  const layers = [base];
  const size = 512 * random.integer(1, 4000);
  qemuImg('create', '-q', '-f', 'raw', base, `${size}`);
  qemuIo(base, 'raw', ...randomChanges(random, { cluster_size: '4096', preallocation: '' }, size));
  const abouts = [];
  for (let layer = 1; layer <= depth; layer++) {
    const alone = layer === 1 && random.next() < 0.4;
    const options = randomOptions(random, !alone);
    const path = join(dir, `layer${layer}`);
    const backing = alone ? [] : ['-b', `layer${layer - 1}`, '-F', layer === 1 ? 'raw' : 'qcow2'];
    const own = randomSize(random, options);
    qemuImg('create', '-q', '-f', 'qcow2', '-o', text(options), ...backing, path, `${own}`);
    qemuIo(path, 'qcow2', ...randomChanges(random, options, own));
    layers.push(path);
    abouts.push(`${text(options)},size=${own}${alone ? '' : ' over'}`);
  }
  return { layers, about: abouts.join(' | ') };
}

for (let round = 0; round < ROUNDS; round++) {
  const seed = first + round;
  t.test(`seed ${seed}`, async (t) => {
    t.comment(`SEED=${seed}`);
    const random = new Random(seed);
    const dir = t.testdir();
    const { layers, about } = theirChain(dir, random);
    t.comment(about);
    const top = layers[layers.length - 1];
    const raw = join(dir, 'raw');
    const ours = join(dir, 'ours');
    qemuImg('convert', '-f', 'qcow2', '-O', 'raw', top, raw);
    const bytes = readFileSync(raw);
    await sameAsQemu(t, top, bytes, about);
    const sources = [{ path: top, format: 'qcow2', gate: 'qemu' as const }];

    for (let i = 0; i < 2; i++) {
      const options = randomOptions(random, false);
      const compress = options.preallocation === undefined && random.next() < 0.5;
      const sparseSize = random.pick([0, 512, 4096, 65536]);
      const target = { path: ours, format: 'qcow2', options, gate: 'qemu' as const };
      await convert({ sources, target, compress, sparseSize, targetCache: 'unsafe' });
      const how = `new: ${text(options)} compress=${compress} S=${sparseSize}`;
      checkedEqual(t, ours, raw, 'raw', how);
      await sameAsQemu(t, ours, bytes, how);
    }

    // Over the base of the source: only the source's own layer is copied.
    if (layers.length > 2) {
      const options = { ...randomOptions(random, true), preallocation: 'off' };
      const below = { path: `layer${layers.length - 2}`, format: 'qcow2' };
      const compress = random.next() < 0.5;
      const target = { path: ours, format: 'qcow2', options, backing: below, gate: 'qemu' as const };
      await convert({ sources, target, compress, targetCache: 'unsafe' });
      const how = `overlay: ${text(options)} compress=${compress}`;
      checkedEqual(t, ours, raw, 'raw', how);
      await sameAsQemu(t, ours, bytes, how);
    }

    // Into an image that holds something else, made by us or by qemu-img, with or without a base of its own.
    const overlay = random.next() < 0.5;
    const options = randomOptions(random, overlay);
    const larger = bytes.length + 512 * random.integer(0, 9);
    rmSync(ours);
    if (random.next() < 0.5) {
      const backing = overlay ? { backingFile: 'layer0', backingFormat: 'raw' } : {};
      await createImage(ours, {
        format: 'qcow2',
        size: larger,
        options,
        ...backing,
        gate: 'qemu',
        sync: false,
      });
    } else {
      const backing = overlay ? ['-b', 'layer0', '-F', 'raw'] : [];
      qemuImg('create', '-q', '-f', 'qcow2', '-o', text(options), ...backing, ours, `${larger}`);
    }
    qemuIo(ours, 'qcow2', ...randomChanges(random, options, larger));
    // Narrower refcounts may overflow where compressed clusters share a host cluster.
    if (Number(options.refcount_bits ?? 16) >= 16) qemuImg('snapshot', '-c', 'before', ours);
    if (random.next() < 0.5)
      qemuIo(ours, 'qcow2', ...randomChanges(random, { ...options, preallocation: '' }, larger));
    const old = join(dir, 'old');
    qemuImg('convert', '-f', 'qcow2', '-O', 'raw', ours, old);
    const target = { path: ours, format: 'qcow2', gate: 'qemu' as const };
    const sparseSize = random.pick([0, 4096]);
    await convert({ sources, target, noCreate: true, sparseSize, targetCache: 'unsafe' });
    const how = `existing: ${text(options)} overlay=${overlay} S=${sparseSize}`;
    const expected = readFileSync(old);
    bytes.copy(expected);
    qemuImg('check', '-q', '-f', 'qcow2', ours);
    await sameAsQemu(t, ours, expected, how);
    qemuImg('convert', '-f', 'qcow2', '-O', 'raw', ours, old);
    t.ok(readFileSync(old).equals(expected), `QEMU reads: ${how}`);
    // What we wrote is fit to be written on.
    qemuIo(ours, 'qcow2', ...randomChanges(random, { ...options, preallocation: '' }, larger));
    qemuImg('check', '-q', '-f', 'qcow2', ours);
  });
}
