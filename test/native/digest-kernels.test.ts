// The digest kernels through a digest job: oracle is Node's own crypto and md5sum.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { native } from '#src/native.js';
import { newControl } from '../support/openFile.js';
import { Random } from '../support/random.js';
import { md5sum } from '../support/tools.js';

const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');
const digestOf = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest('hex');

async function digest(path: string, algorithms: string[], chunkSize: number, segment: number) {
  const size = fs.statSync(path).size;
  const fd = fs.openSync(path, 'r');
  const job = native.createJob({
    sink: { type: 'digest', algorithms, chunkSize, size, unitAlgorithm: 'md5' },
    control: newControl(),
    threads: 2,
    segment,
    shortRead: 'error',
  });
  try {
    const chunks = new Uint8Array(chunkSize === 0 ? 0 : 16 * Math.ceil(size / chunkSize));
    if (size > 0) {
      await job.submit({
        start: 0,
        end: size,
        columns: {
          count: 1,
          kind: Uint8Array.of(2),
          file: Uint16Array.of(0),
          start: Float64Array.of(0),
          length: Float64Array.of(size),
          offset: Float64Array.of(0),
          compressedLength: Uint32Array.of(0),
          skip: Uint32Array.of(0),
          unit: Uint32Array.of(0),
        },
        fds: Int32Array.of(fd),
        paths: [path],
        digests: chunks,
      });
    }
    const totals = await job.finish();
    return { digests: totals.digests ?? {}, chunks: hex(chunks) };
  } finally {
    fs.closeSync(fd);
  }
}

t.test('whole and chunk digests at awkward lengths', async (t) => {
  const dir = t.testdir();
  const path = join(dir, 'bytes');
  const random = new Random(80);
  const segment = 65536;
  for (const size of [0, 1, 55, 56, 63, 64, 65, 4096, 65535, 65536, 65537, 3 * 65536 + 1234]) {
    const bytes = random.bytes(size);
    fs.writeFileSync(path, bytes);
    for (const chunkSize of [0, 65536, 4096]) {
      const result = await digest(path, ['md5', 'sha1', 'sha256', 'sha512'], chunkSize, segment);
      t.equal(hex(result.digests.md5), md5sum(path), `md5 of ${size} bytes`);
      for (const algorithm of ['sha1', 'sha256', 'sha512'])
        t.equal(hex(result.digests[algorithm]), digestOf(algorithm, bytes), `${algorithm} of ${size} bytes`);
      const expected: string[] = [];
      for (let at = 0; chunkSize > 0 && at < size; at += chunkSize)
        expected.push(digestOf('md5', bytes.subarray(at, at + chunkSize)));
      t.equal(result.chunks, expected.join(''), `${size} bytes in chunks of ${chunkSize}`);
    }
  }
});

t.test('an algorithm that nobody serves is refused by name', async (t) => {
  const path = join(t.testdir({ a: 'bytes' }), 'a');
  await t.rejects(async () => digest(path, ['crc32'], 0, 65536), { message: /crc32/ });
});
