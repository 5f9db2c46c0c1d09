// Images made by qemu-img and qemu-io, read by us: map and bytes must be the same as qemu-img's.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { likeQemu } from '#src/disk/gates.js';
import { readDisk } from '#src/disk/view.js';
import { openDisk } from '#src/formats/open.js';
import { ourMap, qemuMap } from '../../support/qemuMap.js';
import { Random } from '../../support/random.js';
import { qemuImg, qemuIo } from '../../support/tools.js';

/** Map and every byte of `file` compared with qemu-img's. */
async function same(t: Test, file: string, what: string): Promise<void> {
  const disk = await openDisk(file, { format: 'qcow2', gate: likeQemu });
  try {
    t.same(await ourMap(disk), qemuMap(file, 'qcow2'), `${what}: map`);
    const raw = `${file}.raw`;
    qemuImg('convert', '-f', 'qcow2', '-O', 'raw', file, raw);
    const expected = readFileSync(raw);
    const found = await readDisk(disk, 0, disk.virtualSize);
    t.equal(found.length, expected.length, `${what}: size`);
    t.ok(found.equals(expected), `${what}: bytes`);
  } finally {
    await disk.close();
  }
}
const MiB = 2 ** 20;

t.test('cluster sizes, versions and refcount widths', async (t) => {
  const dir = t.testdir();
  for (let bits = 9; bits <= 21; bits++) {
    for (const compat of ['0.10', '1.1']) {
      const size = Math.min(64 * MiB, 2 ** bits * 300) + 1536;
      const file = join(dir, `${bits}-${compat}.qcow2`);
      const cluster = 2 ** bits;
      const refcounts = compat === '1.1' ? `,refcount_bits=${[1, 2, 4, 8, 16, 32, 64][bits % 7]}` : '';
      qemuImg(
        'create',
        '-q',
        '-f',
        'qcow2',
        '-o',
        `cluster_size=${cluster},compat=${compat}${refcounts}`,
        file,
        `${size}`,
      );
      qemuIo(
        file,
        'qcow2',
        `write -q -P 1 0 ${cluster * 2}`,
        `write -q -P 2 ${cluster * 5} 512`,
        `write -q -P 3 ${cluster * 4} ${cluster}`,
        `write -q -z ${cluster * 8} ${cluster * 3}`,
        `write -q -P 4 ${cluster * 8 + 512} 512`,
        `write -q -P 5 ${size - 1024} 1024`,
        `write -q -c -P 6 ${cluster * 20} ${cluster}`,
        `write -q -c -P 7 ${cluster * 21} ${cluster}`,
      );
      await same(t, file, `cluster size ${cluster}, compat ${compat}`);
    }
  }
});

t.test('compression types', async (t) => {
  const dir = t.testdir();
  const random = new Random(7);
  const source = join(dir, 'source.raw');
  const content = Buffer.alloc(3 * MiB + 512);
  for (let at = 0; at < content.length; at += 4096) {
    const kind = random.integer(0, 3);
    if (kind === 0) random.bytes(4096).copy(content, at);
    else if (kind === 1) content.fill(random.integer(1, 255), at, at + 4096);
    else if (kind === 2) content.write(`line ${at} `.repeat(200), at, 'latin1');
  }
  writeFileSync(source, content);
  for (const type of ['zlib', 'zstd']) {
    for (const cluster of [512, 4096, 65536, 2 * MiB]) {
      for (const extended of cluster >= 16384 ? ['off', 'on'] : ['off']) {
        const file = join(dir, `${type}-${cluster}-${extended}.qcow2`);
        const options = `compression_type=${type},cluster_size=${cluster},extended_l2=${extended}`;
        qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o', options, source, file);
        await same(t, file, options);
        const disk = await openDisk(file, { format: 'qcow2' });
        t.ok((await readDisk(disk, 0, content.length)).equals(content), `${options}: the original bytes`);
        t.ok(
          (await readDisk(disk, 4097, 12_345)).equals(content.subarray(4097, 16_442)),
          `${options}: a part`,
        );
        await disk.close();
      }
    }
  }
});

t.test('extended L2 entries', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'x.qcow2');
  const base = join(dir, 'base.raw');
  writeFileSync(base, Buffer.alloc(MiB, 9));
  for (const backing of [false, true]) {
    const over = backing ? ['-b', base, '-F', 'raw'] : [];
    qemuImg('create', '-q', '-f', 'qcow2', '-o', 'extended_l2=on', ...over, file, `${2 * MiB}`);
    qemuIo(
      file,
      'qcow2',
      'write -q -P 1 2k 2k',
      'write -q -P 2 10k 4k',
      'write -q -z 20k 6k',
      'write -q -P 3 128k 64k',
      'write -q -z 256k 64k',
      'write -q -P 4 320k 64k',
      'write -q -z 330k 4k',
      'write -q -c -P 5 512k 64k',
      'discard -q 130k 10k',
      'write -q -P 6 1500k 2k',
    );
    await same(t, file, `backing ${backing}`);
  }
});

t.test('preallocation', async (t) => {
  const dir = t.testdir();
  for (const mode of ['off', 'metadata', 'falloc', 'full']) {
    for (const extended of ['off', 'on']) {
      const file = join(dir, `${mode}-${extended}.qcow2`);
      qemuImg(
        'create',
        '-q',
        '-f',
        'qcow2',
        '-o',
        `preallocation=${mode},extended_l2=${extended}`,
        file,
        '20M',
      );
      await same(t, file, `${mode}, extended ${extended}, fresh`);
      qemuIo(file, 'qcow2', 'write -q -P 1 1M 100k', 'write -q -P 2 10M 64k', 'write -q -z 5M 1M');
      await same(t, file, `${mode}, extended ${extended}, written`);
    }
  }
});

t.test('external data files', async (t) => {
  const dir = t.testdir();
  for (const raw of ['off', 'on']) {
    for (const extended of ['off', 'on']) {
      const name = `data-${raw}-${extended}`;
      const file = join(dir, `${name}.qcow2`);
      const options = `data_file=${name}.img,data_file_raw=${raw},extended_l2=${extended}`;
      // The data file's name is relative to the image's directory, which QEMU wants as the working directory.
      qemuImg(
        'create',
        '-q',
        '-f',
        'qcow2',
        '-o',
        options.replace(`${name}.img`, join(dir, `${name}.img`)),
        file,
        '8M',
      );
      qemuIo(
        file,
        'qcow2',
        'write -q -P 1 0 64k',
        'write -q -P 2 1M 100k',
        'write -q -z 2M 128k',
        'write -q -P 3 7M 4k',
      );
      await same(t, file, options);
    }
  }
});

t.test('chains', async (t) => {
  const dir = t.testdir();
  const name = (i: number) => join(dir, `layer${i}`);
  writeFileSync(name(0), Buffer.alloc(700_000, 0x77));
  const sizes = ['', '2M', '1M', '3M', '4M', '1500k'];
  for (let i = 1; i <= 5; i++) {
    const cluster = [0, 65536, 4096, 2 * MiB, 512, 16384][i];
    qemuImg(
      ...['create', '-q', '-f', 'qcow2', '-o', `cluster_size=${cluster}`],
      ...['-b', `layer${i - 1}`, '-F', i === 1 ? 'raw' : 'qcow2', name(i), sizes[i]],
    );
    qemuIo(
      name(i),
      'qcow2',
      `write -q -P ${i} ${i * 90_000 - ((i * 90_000) % 512)} 20k`,
      `write -q -z ${i * 50}k 16k`,
      `write -q -P ${i + 16} ${800 + i * 8}k 512`,
    );
    await same(t, name(i), `${i + 1} layers`);
  }
});

t.test('snapshots', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'snap.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4096', file, '4M');
  for (let i = 1; i <= 3; i++) {
    qemuIo(file, 'qcow2', `write -q -P ${i} ${i * 100}k 90k`, `write -q -P ${i + 10} 3M 4k`);
    qemuImg('snapshot', '-c', `name${i}`, file);
  }
  qemuIo(file, 'qcow2', 'write -q -P 99 0 1M');
  await same(t, file, 'active');
  const { snapshots } = JSON.parse(qemuImg('info', '--output=json', file));
  for (let i = 1; i <= 3; i++) {
    for (const selector of [
      { name: `name${i}` },
      { id: `${i}` },
      { idOrName: `name${i}` },
      { idOrName: `${i}` },
    ]) {
      const disk = await openDisk(file, { format: 'qcow2', snapshot: selector });
      qemuImg('convert', '-f', 'qcow2', '-l', `name${i}`, '-O', 'raw', file, `${file}.raw`);
      t.ok(
        (await readDisk(disk, 0, disk.virtualSize)).equals(readFileSync(`${file}.raw`)),
        JSON.stringify(selector),
      );
      const { snapshots: found } = await disk.info();
      t.same(
        found?.map((one) => [one.id, one.name, one.dateSec, one.dateNsec, one.vmStateSize, one.diskSize]),
        snapshots.map((one: Record<string, number | string>) => [
          ...[one.id, one.name, one['date-sec'], one['date-nsec'], one['vm-state-size'], 4 * MiB],
        ]),
      );
      await disk.close();
    }
  }
  await t.rejects(openDisk(file, { format: 'qcow2', snapshot: { name: 'none' } }), {
    code: 'SNAPSHOT_NOT_FOUND',
    message: /none/,
  });
});

t.test('sizes at the edges', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'edge.qcow2');
  for (const size of ['512', '65536', '66048', '100000']) {
    qemuImg('create', '-q', '-f', 'qcow2', file, size);
    await same(t, file, `size ${size}`);
  }
  qemuImg('create', '-q', '-f', 'qcow2', file, '0');
  const empty = await openDisk(file, { format: 'qcow2' });
  t.same([empty.virtualSize, await ourMap(empty)], [0, []], 'size 0');
  await empty.close();
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', file, '64T');
  const disk = await openDisk(file, { format: 'qcow2' });
  t.same(await ourMap(disk), qemuMap(file, 'qcow2'), 'empty 64 TiB');
  await disk.close();
});

t.test('random writes', async (t) => {
  const dir = t.testdir();
  const seed = Number(process.env.SEED ?? 20_240_601);
  t.comment(`SEED=${seed}`);
  const random = new Random(seed);
  for (let round = 0; round < 12; round++) {
    const bits = random.integer(9, 17);
    const cluster = 2 ** bits;
    const size = random.integer(1, 40) * cluster + random.integer(0, 3) * 512 + cluster * 8;
    const extended = bits >= 14 && random.next() < 0.5;
    const type = random.pick(['zlib', 'zstd']);
    const base = join(dir, `base${round}.raw`);
    writeFileSync(base, random.bytes(random.integer(1, 3) * 10_000));
    const file = join(dir, `r${round}.qcow2`);
    const options = `cluster_size=${cluster},extended_l2=${extended ? 'on' : 'off'},compression_type=${type}`;
    qemuImg('create', '-q', '-f', 'qcow2', '-o', options, '-b', base, '-F', 'raw', file, `${size}`);
    const commands: string[] = [];
    const clusters = Math.floor(size / cluster);
    // QEMU refuses a compressed write over anything: they come first, each cluster once.
    for (let at = random.integer(0, 3); at < clusters; at += random.integer(1, 9)) {
      commands.push(`write -q -c -P ${at % 250} ${at * cluster} ${cluster}`);
    }
    for (let i = 0; i < 40; i++) {
      const offset = random.integer(0, Math.floor(size / 512) - 1) * 512;
      const length = Math.min(size - offset, random.integer(1, 4 * 2 ** (bits - 9)) * 512);
      switch (random.integer(0, 3)) {
        case 0:
          commands.push(`write -q -z ${offset} ${length}`);
          break;
        case 1:
          commands.push(`discard -q ${offset} ${length}`);
          break;
        default:
          commands.push(`write -q -P ${i + 1} ${offset} ${length}`);
      }
    }
    qemuIo(file, 'qcow2', ...commands);
    await same(t, file, `round ${round} of seed ${seed}: ${options}, size ${size}`);
  }
});
