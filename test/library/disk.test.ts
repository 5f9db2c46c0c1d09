// The library's disks: random access, streams in and out, many requests at once, refusals that change nothing.
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isWritable, openDisk, type WritableDisk } from 'basecow';
import t, { type Test } from 'tap';
import { digest } from '../support/craft.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { qemuImg, qemuIo, tryRun } from '../support/tools.js';

const MiB = 2 ** 20;

function blank(t: Test, format: 'raw' | 'qcow2', size: number, options = ''): string {
  const image = join(t.testdir(), `image.${format}`);
  qemuImg('create', '-q', '-f', format, ...(options ? ['-o', options] : []), image, String(size));
  return image;
}

function content(image: string, format: string): Buffer {
  qemuImg('convert', '-f', format, '-O', 'raw', image, `${image}.raw`);
  return readFileSync(`${image}.raw`);
}

for (const format of ['raw', 'qcow2'] as const) {
  t.test(`${format}: bytes at any place, read back and kept`, async (t) => {
    const image = blank(t, format, 16 * MiB);
    const model = Buffer.alloc(16 * MiB);
    const random = new Random(31);
    const disk = await openDisk(image, { format, writable: true });
    for (const [start, length] of [
      [1, 1],
      [4095, 70_000],
      [3 * MiB + 7, 5 * MiB + 1],
      [16 * MiB - 3, 3],
    ]) {
      const bytes = random.bytes(length);
      bytes.copy(model, start);
      await disk.write(bytes, start);
    }
    await disk.zero(4 * MiB, MiB + 5);
    model.fill(0, 4 * MiB, 5 * MiB + 5);
    await disk.discard(6 * MiB, MiB);
    model.fill(0, 6 * MiB, 7 * MiB);
    t.ok((await disk.read(0, 16 * MiB)).equals(model), 'a new buffer');
    const own = new Uint8Array(100_000);
    t.equal(await disk.read(4000, own), own);
    t.ok(Buffer.from(own).equals(model.subarray(4000, 104_000)), 'a buffer of mine');
    await disk.flush();
    await disk.close();
    await disk.close();
    t.ok(content(image, format).equals(model));
  });

  t.test(`${format}: a download into a disk, and out again`, async (t) => {
    const image = blank(t, format, 24 * MiB);
    const bytes = new Random(32).bytes(21 * MiB + 1234);
    const server = createServer((_, response) => response.end(bytes)).listen(0);
    t.teardown(() => server.close());
    const { port } = server.address() as AddressInfo;
    const source = await new Promise<Readable>((resolve) => get({ port }, resolve));
    const disk = await openDisk(image, { format, writable: true });
    await pipeline(source, disk.createWriteStream({ start: 777 }));
    const parts: Buffer[] = [];
    for await (const part of disk.createReadStream({
      start: 777,
      end: 777 + bytes.length,
      chunkSize: 300_001,
    })) {
      parts.push(part as Buffer);
    }
    t.ok(Buffer.concat(parts).equals(bytes));
    await disk.close();
    t.ok(
      content(image, format)
        .subarray(777, 777 + bytes.length)
        .equals(bytes),
    );
    if (format === 'qcow2') qemuImg('check', image);
  });

  t.test(`${format}: overlapping requests take effect in the order they were made`, async (t) => {
    const image = blank(t, format, MiB);
    const random = new Random(33);
    const model = Buffer.alloc(MiB);
    await using disk = await openDisk(image, { format, writable: true });
    const pending: Promise<unknown>[] = [];
    for (let i = 0; i < 1500; i++) {
      const start = random.integer(0, MiB - 20_000);
      const bytes = Buffer.alloc(random.integer(1, 20_000), i % 255);
      bytes.copy(model, start);
      pending.push(disk.write(bytes, start));
    }
    await Promise.all(pending);
    t.ok((await disk.read(0, MiB)).equals(model));
  });

  t.test(`${format}: what is wrong is refused and changes nothing`, async (t) => {
    const image = blank(t, format, MiB);
    const before = digest(image);
    const disk = await openDisk(image, { format, writable: true });
    const four = Buffer.alloc(4);
    await failsWith(t, disk.write(four, MiB - 3), 'INVALID_ARGUMENT', `${MiB + 1}`, `${MiB}`);
    await failsWith(t, disk.write(four, -1), 'INVALID_ARGUMENT', '-1');
    await failsWith(t, disk.write('four' as never, 0), 'INVALID_ARGUMENT', "'four'", 'Buffer');
    await failsWith(t, disk.zero(0, MiB + 1), 'INVALID_ARGUMENT', `${MiB + 1}`);
    await failsWith(t, disk.discard(0.5, 10), 'INVALID_ARGUMENT', '0.5');
    await failsWith(t, disk.read(MiB, 1), 'INVALID_ARGUMENT', `${MiB + 1}`);
    await failsWith(t, disk.read(0, '1' as never), 'INVALID_ARGUMENT', "'1'");
    t.throws(() => disk.createWriteStream({ start: MiB + 1 }), {
      code: 'INVALID_ARGUMENT',
      message: /1048577/,
    });
    t.throws(() => disk.createWriteStream({ highWaterMark: 0 }), {
      code: 'INVALID_ARGUMENT',
      message: /not 0/,
    });
    await failsWith(t, disk.resize(MiB / 2), 'INVALID_ARGUMENT', '--shrink', `${MiB / 2}`);
    await failsWith(t, disk.resize(-5), 'INVALID_ARGUMENT', '-5');
    await disk.close();
    await failsWith(t, disk.write(four, 0), 'INVALID_ARGUMENT', 'is closed');
    await failsWith(t, disk.read(0, 1), 'INVALID_ARGUMENT', 'is closed');
    t.equal(digest(image), before);
  });

  t.test(`${format}: a stream that passes the disk's end fails`, async (t) => {
    const image = blank(t, format, MiB);
    await using disk = await openDisk(image, { format, writable: true });
    const source = async function* () {
      for (let i = 0; i < 3; i++) yield Buffer.alloc(MiB / 2, 1);
    };
    await failsWith(
      t,
      pipeline(source(), disk.createWriteStream({ highWaterMark: 1 })),
      'INVALID_ARGUMENT',
      `${1.5 * MiB}`,
    );
  });

  t.test(`${format}: a disk grows, and both programs see the same`, async (t) => {
    const image = blank(t, format, MiB, format === 'qcow2' ? 'cluster_size=512' : '');
    const disk = await openDisk(image, { format, writable: true });
    await disk.write(Buffer.alloc(1000, 7), MiB - 1000);
    await disk.resize(9 * MiB);
    t.equal(disk.virtualSize, 9 * MiB);
    await disk.write(Buffer.alloc(1000, 8), 9 * MiB - 1000);
    await disk.close();
    t.equal(JSON.parse(qemuImg('info', '--output=json', '-f', format, image))['virtual-size'], 9 * MiB);
    qemuIo(
      image,
      format,
      `read -P 7 ${MiB - 1000} 1000`,
      `read -P 0 ${MiB} 1M`,
      `read -P 8 ${9 * MiB - 1000} 1000`,
    );
    if (format === 'qcow2') qemuImg('check', image);
  });
}

t.test('a disk opened for reading has no way to write', async (t) => {
  const image = blank(t, 'qcow2', MiB);
  await using disk = await openDisk(image, { format: 'qcow2' });
  t.notOk(isWritable(disk));
  t.equal((disk as WritableDisk).write, undefined);
  t.equal((await disk.read(0, 512)).length, 512);
});

t.test('while one of the two writes, the other may not', async (t) => {
  const image = blank(t, 'qcow2', MiB);
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  const theirs = tryRun('qemu-io', ['-f', 'qcow2', '-c', 'write 0 512', image]);
  t.match(theirs, { status: 1, stderr: 'Failed to get "write" lock' });
  await failsWith(
    t,
    openDisk(image, { format: 'qcow2' }),
    'LOCKED',
    'Failed to get shared "write" lock',
    image,
  );
  await disk.close();
  qemuIo(image, 'qcow2', 'write 0 512');
});

t.test('an image of 16 TiB costs what is in it', async (t) => {
  const image = blank(t, 'qcow2', 16 * 2 ** 40);
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  await disk.write(Buffer.alloc(4096, 1), 2 ** 43);
  await disk.zero(0, 2 ** 44);
  await disk.discard(0, 2 ** 44);
  await disk.write(Buffer.alloc(4096, 2), 2 ** 44 - 4096);
  await disk.close();
  qemuIo(image, 'qcow2', `read -P 2 ${2 ** 44 - 4096} 4096`, `read -P 0 ${2 ** 43} 4096`);
  qemuImg('check', image);
  t.ok(statSync(image).blocks * 512 < 3 * MiB);
});

t.test('small writes to new clusters cost no rewriting of tables', async (t) => {
  // One L2 table of 2 MiB: written by pages.
  const image = blank(t, 'qcow2', 2 ** 40, 'cluster_size=2M');
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  let written = 0;
  const { file } = disk;
  const write = file.write.bind(file);
  const writePieces = file.writePieces.bind(file);
  file.write = (bytes, at) => {
    written += bytes.length;
    return write(bytes, at);
  };
  file.writePieces = (bytes, offsets, lengths) => {
    written += lengths.reduce((sum, length) => sum + length, 0);
    return writePieces(bytes, offsets, lengths);
  };
  await disk.write(Buffer.alloc(4096, 1), 0);
  await disk.flush();
  written = 0;
  await disk.write(Buffer.alloc(4096, 2), 2 ** 30);
  await disk.flush();
  t.equal(written, 3 * 4096, 'the data, a page of refcounts, a page of the L2 table');
  await disk.close();
  qemuImg('check', image);
});

t.test('freed storage goes back to the host', async (t) => {
  const image = blank(t, 'qcow2', 64 * MiB);
  qemuIo(image, 'qcow2', 'write -q -P 1 0 64M');
  const full = statSync(image).blocks * 512;
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  await disk.discard(0, 48 * MiB);
  await disk.flush();
  t.ok(statSync(image).blocks * 512 < full - 47 * MiB);
  const { size } = statSync(image);
  await disk.write(Buffer.alloc(40 * MiB, 3), 0);
  await disk.close();
  t.equal(statSync(image).size, size, 'freed clusters are used again');
  qemuIo(image, 'qcow2', 'read -P 3 0 40M', 'read -P 0 40M 8M', 'read -P 1 48M 16M');
  qemuImg('check', image);
});

t.test('enabled bitmaps are in use from the first change to the close', async (t) => {
  const image = blank(t, 'qcow2', 4 * MiB);
  for (const [name, ...flags] of [['on'], ['off', '--disable']])
    qemuImg('bitmap', '--add', ...flags, image, name);
  const flags = () =>
    JSON.parse(qemuImg('info', '-U', '--output=json', image))['format-specific'].data.bitmaps.map(
      (bitmap: { name: string; flags: string[] }) => `${bitmap.name} ${bitmap.flags.join(' ')}`.trim(),
    );
  const disk = await openDisk(image, { format: 'qcow2', writable: true });
  t.same(flags(), ['on auto', 'off']);
  await disk.write(Buffer.alloc(512, 1), 3 * MiB);
  t.same(flags(), ['on in-use auto', 'off']);
  await disk.flush();
  t.same(flags(), ['on in-use auto', 'off']);
  await disk.close();
  t.same(flags(), ['on auto', 'off']);
  qemuImg('check', image);
});

t.test('a raw file of no whole sectors', async (t) => {
  const image = join(t.testdir(), 'image.raw');
  writeFileSync(image, Buffer.alloc(1000, 5));
  const disk = await openDisk(image, { format: 'raw', writable: true });
  t.equal(disk.virtualSize, 1024);
  t.same([...(await disk.read(998, 4))], [5, 5, 0, 0]);
  await disk.write(Buffer.from([6]), 1010);
  await disk.close();
  t.equal(readFileSync(image).length, 1011);
  truncateSync(image, 0);
});
