// Images that must not become bases. Every refusal leaves nothing behind but the lock file.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import t from 'tap';
import type { DiskImageErrorCode } from '#src/disk/errors.js';
import { ImageCache } from '#src/provision/index.js';
import { cacheKey } from '#src/provision/names.js';
import { cloudImage, digestOf, tree } from '../support/cloudImage.js';
import { ImageServer } from '../support/imageServer.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { qemuImg, qemuIo } from '../support/tools.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const dir = t.testdir();
const image = cloudImage(join(dir, 'source'), new Random(37));

/** Every byte of `size` the same: one compressed cluster of some bytes that all L2 entries point to. */
function bomb(path: string, size: number): string {
  const cluster = 65536;
  qemuImg('create', '-q', '-f', 'qcow2', path, String(size));
  const fd = fs.openSync(path, 'r+');
  const header = Buffer.alloc(104);
  fs.readSync(fd, header, 0, header.length, 0);
  const l1 = Number(header.readBigUInt64BE(40));
  const packed = deflateRawSync(Buffer.alloc(cluster, 1), { windowBits: 12 });
  const end = Math.ceil(fs.fstatSync(fd).size / cluster) * cluster;
  fs.writeSync(fd, Buffer.concat([packed, Buffer.alloc(cluster - packed.length)]), 0, cluster, end);
  const table = Buffer.alloc(cluster);
  for (let at = 0; at < cluster; at += 8) table.writeBigUInt64BE((1n << 62n) | BigInt(end), at);
  for (let n = 0; n < size / cluster / 8192; n++) {
    const place = end + cluster * (n + 1);
    fs.writeSync(fd, table, 0, cluster, place);
    const entry = Buffer.alloc(8);
    entry.writeBigUInt64BE((1n << 63n) | BigInt(place));
    fs.writeSync(fd, entry, 0, 8, l1 + 8 * n);
  }
  fs.closeSync(fd);
  t.notMatch(qemuIo(path, 'qcow2', `read -P 1 ${size - MiB} 1M`), /failed/, 'qemu reads it');
  return path;
}

const written = (path: string): number => fs.statSync(path).blocks * 512;

interface Refused {
  what: string;
  path: string;
  code: DiskImageErrorCode;
  says: (string | RegExp)[];
  size?: number;
  sourceFormat?: string;
  digests?: Record<string, string>;
  /** Seen in the first bytes already: not even the folder of bases is made. */
  early?: boolean;
}

const make = (name: string, ...words: string[]): string => {
  const path = join(dir, name);
  qemuImg('create', '-q', ...words.slice(0, -1), path, words.at(-1) as string);
  return path;
};
const huge = make('huge.qcow2', '-f', 'qcow2', '-o', 'cluster_size=2M', '500T');
const secret = join(dir, 'secret');
fs.writeFileSync(secret, Buffer.alloc(MiB, 'secret'));
const backed = make('backed.qcow2', '-f', 'qcow2', '-u', '-b', secret, '-F', 'raw', '1M');
const dataFile = make('external.qcow2', '-f', 'qcow2', '-o', `data_file=${join(dir, 'external.raw')}`, '1M');
const vmdk = make('disk.vmdk', '-f', 'vmdk', '1M');
const nestedQcow2 = join(dir, 'nested.qcow2');
qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', backed, nestedQcow2);
const nestedVmdk = join(dir, 'nested-vmdk.qcow2');
qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', vmdk, nestedVmdk);
const truncated = join(dir, 'truncated.qcow2');
fs.writeFileSync(truncated, fs.readFileSync(image.path).subarray(0, MiB));
const empty = join(dir, 'empty.img');
fs.writeFileSync(empty, '');
const zeros512 = '0'.repeat(128);

const cases: Refused[] = [
  {
    what: 'compressed bomb of 2 GiB for a disk of 1 GiB',
    path: bomb(join(dir, 'bomb.qcow2'), 2 * GiB),
    code: 'IMAGE_TOO_LARGE',
    says: [String(2 * GiB), String(GiB)],
    early: true,
  },
  {
    what: '500 TiB',
    path: huge,
    code: 'IMAGE_TOO_LARGE',
    says: [String(500 * 2 ** 40), String(GiB)],
    early: true,
  },
  {
    what: 'raw larger than the disk',
    path: image.raw,
    code: 'IMAGE_TOO_LARGE',
    says: [String(image.size), String(MiB)],
    size: MiB,
    early: true,
  },
  { what: 'backing file', path: backed, code: 'IMAGE_UNSAFE', says: [/backing file/], early: true },
  {
    what: 'the same claimed raw',
    path: backed,
    code: 'IMAGE_UNSAFE',
    says: [/raw/, /qcow2/],
    sourceFormat: 'raw',
    early: true,
  },
  { what: 'data file', path: dataFile, code: 'IMAGE_UNSAFE', says: [/data file/i], early: true },
  {
    what: 'raw claimed qcow2',
    path: image.raw,
    code: 'IMAGE_UNSAFE',
    says: [/claimed to be qcow2/],
    sourceFormat: 'qcow2',
    early: true,
  },
  {
    what: 'qcow2 claimed raw',
    path: image.path,
    code: 'IMAGE_UNSAFE',
    says: [/claimed to be raw/],
    sourceFormat: 'raw',
    early: true,
  },
  {
    what: 'format without a converter',
    path: vmdk,
    code: 'UNSUPPORTED_FEATURE',
    says: ['vmdk'],
    sourceFormat: 'vmdk',
    early: true,
  },
  { what: 'qcow2 in a qcow2', path: nestedQcow2, code: 'IMAGE_UNSAFE', says: [/converted to raw/, /qcow2/] },
  { what: 'vmdk in a qcow2', path: nestedVmdk, code: 'IMAGE_UNSAFE', says: [/converted to raw/, /vmdk/] },
  { what: 'cut off', path: truncated, code: 'IMAGE_UNSAFE', says: [/past the end|ends at|beyond/i] },
  { what: 'empty', path: empty, code: 'IMAGE_UNSAFE', says: [/empty/] },
  {
    what: 'wrong md5',
    path: image.path,
    code: 'DIGEST_MISMATCH',
    says: ['md5', '0'.repeat(32)],
    digests: { md5: '0'.repeat(32) },
  },
  {
    what: 'wrong sha512',
    path: image.path,
    code: 'DIGEST_MISMATCH',
    says: ['sha512', digestOf('sha512sum', image.path), zeros512],
    digests: { sha512: zeros512 },
  },
  {
    what: 'right sha512, wrong md5',
    path: image.path,
    code: 'DIGEST_MISMATCH',
    says: ['md5'],
    digests: { md5: '0'.repeat(32), sha512: digestOf('sha512sum', image.path) },
  },
  {
    what: 'right md5, wrong sha512',
    path: image.path,
    code: 'DIGEST_MISMATCH',
    says: ['sha512'],
    digests: { md5: digestOf('md5sum', image.path), sha512: zeros512 },
  },
];

let count = 0;
for (const { what, path, code, says, size = GiB, sourceFormat, digests, early } of cases) {
  t.test(what, async (t) => {
    const before = digestOf('md5sum', path);
    const server = await ImageServer.start(t, fs.readFileSync(path));
    for (const source of [path, server.url]) {
      const instances = join(dir, `instances${count++}`);
      const cache = new ImageCache({ instances });
      const request = { imageId: 'image', source, sourceFormat, digests, size, instance: 'vm' };
      await failsWith(t, cache.provision(request), code, ...says);
      const lock = ['locks/', `locks/nova-${cacheKey('image')}`];
      const folders = early ? [] : ['_base/', '_base/.basecow/'];
      const left = tree(instances);
      t.same(
        left.filter((name) => !folders.includes(name)),
        lock,
        'nothing is left',
      );
    }
    t.equal(digestOf('md5sum', path), before, 'the source is as it was');
    if (early) t.equal(server.requests.length, 1);
  });
}

t.test('a bomb is not even downloaded', async (t) => {
  let sent = 0;
  const head = fs.readFileSync(huge).subarray(0, 4096);
  const server = await ImageServer.start(t, head, {
    handle: ({ response, bytes }) => {
      response.writeHead(200);
      const go = (piece: Buffer): void => {
        sent += piece.length;
        if (!response.destroyed) response.write(piece, () => setImmediate(go, Buffer.alloc(4096)));
      };
      go(bytes);
    },
  });
  const cache = new ImageCache({ instances: join(dir, 'early') });
  await failsWith(
    t,
    cache.ensureBase({ imageId: 'image', source: server.url, size: GiB }),
    'IMAGE_TOO_LARGE',
  );
  t.ok(sent < MiB, `${sent} bytes were sent`);
});

t.test('without a size there is no limit, and a bomb is only as large as it says', async (t) => {
  const cache = new ImageCache({ instances: join(dir, 'unlimited') });
  const path = bomb(join(dir, 'small-bomb.qcow2'), 64 * MiB);
  const { base } = await cache.ensureBase({ imageId: 'image', source: path });
  t.equal(fs.statSync(base).size, 64 * MiB);
  const more = written(base) - 64 * MiB;
  t.ok(more >= 0 && more <= 16 * 4096, `all of it is there, and ${more} bytes of the filesystem's own`);
  await failsWith(
    t,
    cache.ensureBase({ imageId: 'image', size: MiB }),
    'IMAGE_TOO_LARGE',
    String(64 * MiB),
    String(MiB),
  );
});
