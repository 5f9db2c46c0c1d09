// Every cluster size with every refcount width, compatibility level and share of data; codecs, compression and odd
// sizes in turn. What we make is judged by qemu-img, what qemu-img makes is read by us.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readDisk } from '#src/disk/view.js';
import { openDisk } from '#src/formats/open.js';
import { convert } from '#src/operations/convert.js';
import { checkedEqual, sameAsQemu } from '../support/oracle.js';
import { Random } from '../support/random.js';
import { qemuImg } from '../support/tools.js';

const seed = Number(process.env.SEED ?? 5501);
const WIDTHS = [1, 2, 4, 8, 16, 32, 64];

/** `percent` of the 512-byte sectors in runs of data, half of them compressible; the rest zeros. */
function content(random: Random, size: number, percent: number): Buffer {
  const bytes = Buffer.alloc(size);
  const noise = random.bytes(8192);
  for (let at = 0; at < size; ) {
    const length = Math.min(size - at, 512 * random.integer(1, 64));
    if (random.integer(1, 100) <= percent) {
      if (random.next() < 0.5) bytes.fill(random.integer(1, 255), at, at + length);
      else for (let i = 0; i < length; i += noise.length) noise.copy(bytes, at + i, 0, length - i);
    }
    at += length;
  }
  return bytes;
}

for (let bits = 9; bits <= 21; bits++) {
  t.test(`clusters of ${2 ** bits} bytes`, async (t) => {
    t.comment(`SEED=${seed}`);
    const random = new Random(seed + bits);
    const dir = t.testdir();
    const [raw, ours, theirs] = ['raw', 'ours', 'theirs'].map((name) => join(dir, name));
    for (const percent of [0, 50, 100]) {
      const size = Math.min(2 ** bits * 70, 2 ** 21 + 2 ** bits) + 512 * random.integer(0, 3);
      const bytes = content(random, size, percent);
      writeFileSync(raw, bytes);
      for (const width of [0, ...WIDTHS]) {
        const options: Record<string, string> = { cluster_size: `${2 ** bits}` };
        if (width === 0) options.compat = '0.10';
        else {
          options.refcount_bits = `${width}`;
          options.compression_type = random.pick(['zlib', 'zstd']);
          if (bits >= 14) options.extended_l2 = random.pick(['on', 'off']);
        }
        const compress = random.next() < 0.5;
        const text = Object.entries(options).map((pair) => pair.join('='));
        const about = `${percent} %, ${size} bytes, ${text}${compress ? ', compressed' : ''}`;
        await convert({
          sources: [{ path: raw, format: 'raw' }],
          target: { path: ours, format: 'qcow2', options },
          compress,
          targetCache: 'unsafe',
        });
        checkedEqual(t, ours, raw, 'raw', about);
        // One path through qemu-img per width is enough, and each width meets each codec in time.
        const flags = [...(compress ? ['-c'] : []), '-o', text.join(',')];
        qemuImg('convert', '-f', 'raw', '-O', 'qcow2', ...flags, raw, theirs);
        const disk = await openDisk(theirs, { format: 'qcow2' });
        t.ok((await readDisk(disk, 0, size)).equals(bytes), `read: ${about}`);
        await disk.close();
        if (width === WIDTHS[bits % 7]) {
          await sameAsQemu(t, theirs, bytes, `theirs: ${about}`);
          await sameAsQemu(t, ours, bytes, `ours: ${about}`);
        }
      }
    }
  });
}
