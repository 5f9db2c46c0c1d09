// What only the stream form has: early verdicts, any chunking, missed tables, the pass-through.
import { readFileSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import t from 'tap';
import { InspectionStream, inspectFile, StreamInspector } from '#src/inspect/index.js';
import { codes, inspectStream, isoBytes, mbrSector } from '../support/inspection.js';
import { Random } from '../support/random.js';
import { qemuImg } from '../support/tools.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const random = new Random(515151);
const dir = t.testdir();

function image(format: string, size: string, ...args: string[]): Buffer {
  const path = `${dir}/image.${format}`;
  qemuImg('create', '-q', '-f', format, ...args, path, size);
  return readFileSync(path);
}

/** Bytes that had to pass before the early verdict had a violation; undefined when none ever did. */
function refusedAfter(
  bytes: Buffer,
  options: { claimed?: string; maxVirtualSize?: number },
): number | undefined {
  const inspector = new StreamInspector(options);
  for (let at = 0; at < bytes.length; at += 256) {
    inspector.push(bytes.subarray(at, at + 256));
    const verdict = inspector.earlyVerdict();
    if (verdict && verdict.violations.length > 0) return inspector.position;
  }
  return undefined;
}

t.test('there is no early verdict before 512 bytes, and none is ever safe', async (t) => {
  const bytes = image('qcow2', '10M');
  const inspector = new StreamInspector({ claimed: 'qcow2' });
  inspector.push(bytes.subarray(0, 511));
  t.equal(inspector.earlyVerdict(), undefined);
  inspector.push(bytes.subarray(511, 512));
  const early = inspector.earlyVerdict();
  t.match(early, { detected: 'qcow2', virtualSize: 10 * MiB, violations: [], complete: false, safe: false });
  inspector.push(bytes.subarray(512));
  t.match(inspector.end(), { complete: true, safe: true, fileSize: bytes.length });
  t.match(inspector.earlyVerdict(), { complete: true, safe: true });
  t.throws(() => inspector.push(bytes), { code: 'INVALID_ARGUMENT', message: /has ended/ });
});

t.test('a size above the limit is refused within the first 512 bytes', async (t) => {
  for (const [format, claimed] of [
    ['qcow2', 'qcow2'],
    ['vdi', 'vdi'],
    ['vmdk', 'vmdk'],
    ['vpc', 'vhd'],
    ['qcow2', undefined],
  ] as const) {
    const bytes = image(format, '100G');
    t.equal(refusedAfter(bytes, { claimed, maxVirtualSize: GiB }), 512, format);
    t.equal(refusedAfter(bytes, { claimed, maxVirtualSize: 101 * GiB }), undefined, format);
  }
  const vhdx = refusedAfter(image('vhdx', '100G'), { claimed: 'vhdx', maxVirtualSize: GiB });
  t.ok(vhdx !== undefined && vhdx < 4 * MiB, `vhdx: size known after ${vhdx} bytes`);
});

t.test('a false claim is refused as soon as the claimed format can no longer match', async (t) => {
  const raw = random.bytes(MiB);
  raw[0] = 0x20;
  t.equal(refusedAfter(raw, { claimed: 'qcow2' }), 512);
  t.equal(refusedAfter(image('qcow2', '10M'), { claimed: 'raw' }), 512);
  t.equal(refusedAfter(image('qcow2', '10M', '-u', '-b', '/x', '-F', 'raw'), { claimed: 'qcow2' }), 512);
  t.equal(refusedAfter(isoBytes(), { claimed: 'qcow2' }), 512);
  t.equal(refusedAfter(raw, { claimed: 'iso' }), 34816);
  t.equal(refusedAfter(raw, { claimed: 'vhd' }), undefined, 'a VHD may have its only mark at the end');
});

t.test('raw bytes above the limit are refused when they pass it', async (t) => {
  t.equal(refusedAfter(Buffer.alloc(MiB), { claimed: 'raw', maxVirtualSize: 65536 }), 65536 + 512 + 256);
  const disk = Buffer.concat([mbrSector([{ type: 0x83, lba: 8, sectors: 8 }]), Buffer.alloc(MiB)]);
  t.equal(refusedAfter(disk, { maxVirtualSize: 65536 }), 65536 + 512 + 256);
});

t.test('a fixed VHD of exactly the limit is not taken for a raw disk above it', async (t) => {
  const path = `${dir}/fixed.vhd`;
  qemuImg('create', '-q', '-f', 'vpc', '-o', 'subformat=fixed,force_size=on', path, '1M');
  const bytes = readFileSync(path);
  t.equal(bytes.length, MiB + 512);
  t.equal(refusedAfter(bytes, { maxVirtualSize: MiB }), undefined);
  t.match(inspectStream(bytes, { maxVirtualSize: MiB }, random), { detected: 'vhd', safe: true });
});

t.test('a partition table is not judged while the image may still be an ISO or VHD', async (t) => {
  const hybrid = isoBytes();
  mbrSector([{ boot: 0x12, type: 0xee, lba: 7 }]).copy(hybrid);
  t.equal(refusedAfter(hybrid, { claimed: 'iso' }), undefined);
  t.match(inspectStream(hybrid, { claimed: 'iso' }, random), { detected: 'iso', safe: true });
  t.equal(refusedAfter(hybrid, { claimed: 'raw' }), 512);
  const disk = Buffer.concat([mbrSector([]), Buffer.alloc(MiB)]);
  t.equal(refusedAfter(disk, { claimed: 'iso' }), 34816);
  t.equal(refusedAfter(disk, { claimed: 'vhd' }), undefined);
  t.same(codes(inspectStream(disk, { claimed: 'vhd' }, random)), ['format-mismatch', 'partition-table']);
});

t.test('chunks of one byte and one single chunk give one verdict', async (t) => {
  for (const bytes of [image('qcow2', '10M'), image('vmdk', '10M'), image('vpc', '10M'), isoBytes()]) {
    const whole = new StreamInspector();
    whole.push(bytes);
    const single = new StreamInspector();
    for (const byte of bytes) single.push(Uint8Array.of(byte));
    t.same(single.end(), whole.end());
  }
});

t.test('bytes handed over may be reused at once', async (t) => {
  const bytes = image('vmdk', '10M');
  const chunk = Buffer.alloc(1000);
  const inspector = new StreamInspector({ claimed: 'vmdk' });
  for (let at = 0; at < bytes.length; at += chunk.length) {
    const length = bytes.copy(chunk, 0, at, at + chunk.length);
    inspector.push(chunk.subarray(0, length));
    chunk.fill(0xff);
  }
  t.same(inspector.end().violations, []);
});

t.test('a check that a stream cannot make is named; the file form makes it', async (t) => {
  const path = `${dir}/moved.qcow2`;
  // Preallocated refcounts: qemu-img puts the table behind its blocks.
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'preallocation=falloc', path, '8M');
  const bytes = readFileSync(path);
  const stream = inspectStream(bytes, { claimed: 'qcow2' }, random);
  t.match(stream, { safe: true, unchecked: [/last cluster in use/] });
  t.same({ ...(await inspectFile(path, { claimed: 'qcow2' })) }, { ...stream, unchecked: [] });
});

t.test('mutated heads: both forms agree on every one of 400', async (t) => {
  t.comment('seed 515151');
  const images = ['qcow2', 'vmdk', 'vpc', 'vdi', 'vhdx'].map((format) => image(format, '3M'));
  for (let round = 0; round < 400; round++) {
    const bytes = Buffer.from(random.pick(images).subarray(0, random.integer(1, 4 * MiB)));
    for (let change = random.integer(1, 6); change > 0; change--) {
      const at = random.integer(0, Math.min(bytes.length, random.pick([128, 2048, 300_000, 3 * MiB])) - 1);
      bytes[at] = random.pick([0, 1, 0x55, 0x7f, 0x80, 0xff, random.integer(0, 255)]);
    }
    const path = `${dir}/mutated`;
    writeFileSync(path, bytes);
    const claimed = random.pick(['raw', 'qcow2', 'vmdk', 'vhd', undefined]);
    const file = await inspectFile(path, { claimed });
    const stream = inspectStream(bytes, { claimed }, random);
    const comparable = stream.unchecked.length === 0 ? file : { ...file, unchecked: stream.unchecked };
    if (JSON.stringify(comparable) !== JSON.stringify(stream)) {
      t.same(stream, file, `round ${round}`);
      return;
    }
  }
  t.pass('400 rounds');
});

t.test('InspectionStream passes every byte and then has the verdict', async (t) => {
  const bytes = image('qcow2', '10M');
  const stream = new InspectionStream({ claimed: 'raw' });
  t.equal(stream.verdict, undefined);
  const out = await buffer(Readable.from([bytes.subarray(0, 70_001), bytes.subarray(70_001)]).pipe(stream));
  t.ok(out.equals(bytes));
  t.same(codes(stream.verdict!), ['format-mismatch']);
  t.same(stream.earlyVerdict(), stream.verdict);
});

t.test('an unknown claim is an error that names it', async (t) => {
  t.throws(() => new StreamInspector({ claimed: 'vmdk9' }), {
    code: 'UNKNOWN_FORMAT',
    message: /'vmdk9'.*qcow2/,
  });
  await t.rejects(inspectFile(`${dir}/image.qcow2`, { claimed: 'toString' }), { code: 'UNKNOWN_FORMAT' });
});
