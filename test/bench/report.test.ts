// Tables, charts and documents made from rows.
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Row } from '#src/bench/model.js';
import { checkText, markdownTable, textTable } from '#src/bench/table.js';
import { codecRows } from '../../bench/cases/codec.js';
import { kernelRows } from '../../bench/cases/kernels.js';
import { rateChart, ratioChart } from '../../bench/report/chart.js';
import { performancePart, readmePart, replacePart } from '../../bench/report/markdown.js';
import type { Report } from '../../bench/report/report.js';
import { writeDocuments } from '../../bench/report/write.js';

const MiB = 2 ** 20;
const wall = (median: number, by = 0) => ({ median, min: median - by, max: median + by, mad: by });

const measured: Row = {
  id: 'write-zlib/qemu-img convert',
  group: 'Codecs',
  name: 'compressed write, zlib',
  terms: 'process against process',
  cache: 'warm',
  durability: 'none',
  rounds: 3,
  bytes: 1e9,
  ours: { wall: wall(0.5, 0.05), cpu: 0.9, peakMemory: 60 * MiB },
  rival: 'qemu-img convert',
  theirs: { wall: wall(12), cpu: 20, peakMemory: 18 * MiB },
  ratio: { median: 24, min: 20, max: 25, mad: 1 },
  sizes: { ours: 105 * MiB, rival: 100 * MiB },
  checks: [
    { kind: 'ratio', target: 20, value: 24, met: true },
    { kind: 'size', target: 1.04, value: 1.05, met: false },
  ],
};
const cold: Row = {
  ...measured,
  id: 'c',
  group: 'MD5',
  name: 'a < b | c',
  cache: 'cold',
  sizes: undefined,
  checks: [],
};
const ourselves: Row = { ...measured, id: 'd', name: 'two threads', rival: 'basecow, 1 thread', checks: [] };
const absent: Row = {
  ...measured,
  id: 'e',
  rival: 'blksum',
  absent: 'blksum not on this machine',
  sizes: undefined,
  theirs: undefined,
  ratio: undefined,
  checks: [],
};
const counted: Row = {
  ...measured,
  id: 'f',
  group: 'Instructions',
  name: 'md5 of a byte',
  ours: undefined,
  theirs: undefined,
  bytes: undefined,
  sizes: undefined,
  instructions: 9.876,
  theirInstructions: 12.5,
  checks: [],
};
const rows = [measured, cold, ourselves, absent, counted];

const report: Report = {
  version: 1,
  date: '2026-01-02',
  mode: 'full',
  dataBytes: 2 ** 30,
  rounds: 5,
  environment: {
    machine: {
      cpu: 'Some CPU',
      cores: 2,
      flags: ['avx2', 'sha_ni'],
      memory: 2 ** 34,
      kernel: '6.1',
      node: 'v20.0.0',
      load: 0.5,
    },
    filesystem: { type: 'ext4', options: 'rw,noatime', source: '/dev/vda' },
    disk: { write: 5e8, read: 1.5e9 },
    cold: 'drop_caches',
    programs: { 'qemu-img': 'qemu-img version 7.2.22', blksum: undefined },
    engine: { md5: 'avx2', zstd: null },
  },
  warnings: ['The machine was not idle: load 3.00 on 2 cores before the run'],
  rows,
};

t.test('a text table has a line for each row, columns aligned, empty columns left out', async (t) => {
  const lines = textTable(rows, ['what', 'ours', 'theirs', 'rival', 'ratio', 'size']).trimEnd().split('\n');
  t.equal(lines.length, rows.length + 1);
  const end = lines[1].indexOf('24.0×');
  t.equal(lines[2].indexOf('24.0×'), end);
  t.match(
    lines[1],
    /^compressed write, zlib +500 ms \(20\.0 %\) +12\.0 s +qemu-img convert +24\.0× \(20\.0–25\.0\) +105 MiB \/ 100 MiB \(1\.05×\)$/,
  );
  t.match(lines[2], /^a < b \| c, cold /);
  t.match(lines[4], / absent +blksum$/);
  t.match(lines[5], /9\.88 instr\. +12\.5 instr\./);
  t.notMatch(textTable([cold], ['what', 'size']), 'size');
});

t.test('Markdown cells keep their bars to themselves', async (t) => {
  const [head, rule, line] = markdownTable([cold], ['what', 'ours', 'cpu', 'memory', 'rate']).split('\n');
  t.equal(head, '| what | basecow | CPU | peak memory | rate |');
  t.equal(rule, '|---|--:|--:|--:|--:|');
  t.equal(
    line,
    '| a < b \\| c, cold | 500 ms (20.0 %) | 900 ms / 20.0 s | 60.0 MiB / 18.0 MiB | 2.00 GB/s / 83.3 MB/s |',
  );
});

t.test('targets are told with what became of them', async (t) => {
  t.equal(checkText({ kind: 'ratio', target: 20, value: 24, met: true }), '≥ 20 ✓');
  t.equal(checkText({ kind: 'size', target: 1.04, value: 1.05, met: false }), 'size ≤ 1.04× ✗ 1.05');
  t.equal(checkText({ kind: 'milliseconds', target: 5, value: 0.51, met: true }), '≤ 5 ms ✓ 0.510');
  t.equal(checkText({ kind: 'throughput', target: 8e9, value: 9e9, met: true }), '≥ 8.00 GB/s ✓ 9.00 GB/s');
  t.equal(
    checkText({ kind: 'memory', target: 96 * MiB, value: 97 * MiB, met: false }),
    'memory ≤ 96.0 MiB ✗ 97.0 MiB',
  );
});

t.test('charts are well-formed and draw rows with a rival only', async (t) => {
  for (const svg of [ratioChart(rows), rateChart(rows)]) {
    t.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 \d+ \d+"/);
    t.match(svg, 'a &lt; b | c, cold');
    t.notMatch(svg, 'two threads');
    t.notMatch(svg, /NaN|undefined|Infinity/);
    const opened = (svg!.match(/<(?:svg|title|text|tspan)\b/g) ?? []).length;
    t.equal((svg!.match(/<\/(?:svg|title|text|tspan)>/g) ?? []).length, opened);
  }
  t.equal(ratioChart([absent, ourselves]), undefined);
  t.equal(rateChart([counted]), undefined);
  t.match(ratioChart([{ ...measured, ratio: wall(0.5) }]), '0.500×', 'slower than the rival');
});

t.test('docs/performance.md: environment, targets missed, groups in order, absences, findings', async (t) => {
  const docs = t.testdir({ 'performance-md5.md': '# MD5, measured\n', 'other.md': '# No\n' });
  const part = performancePart(report, docs, { ratio: 'x' });
  for (const text of [
    '| machine | 2 × Some CPU, 16.0 GiB, Linux 6.1, Node v20.0.0 |',
    '| instruction sets | avx2 sha_ni |',
    '| filesystem | ext4 (rw,noatime) on /dev/vda |',
    '| disk probe | sequential write 500 MB/s, cold read 1.50 GB/s |',
    '| cold means | drop_caches |',
    '| rivals | qemu-img version 7.2.22 |',
    '| engine | md5: avx2; zstd: none |',
    '**Warning:** The machine was not idle: load 3.00 on 2 cores before the run.',
    '![How many times faster than the rival](performance.svg)',
    '1 of 2 are met. Missed:\n\n- compressed write, zlib (qemu-img convert): size ≤ 1.04× ✗ 1.05\n',
    '- **a < b | c, cold**: cold cache, no flush on any side; process against process; 3 rounds',
    '- compressed write, zlib (blksum): blksum not on this machine',
    '- [MD5, measured](performance-md5.md)',
  ]) {
    t.ok(part.includes(text), text);
  }
  t.notMatch(part, 'other.md');
  t.notMatch(part, 'performance-rates.svg');
  const heads = [...part.matchAll(/^## (.*)$/gm)].map(([, head]) => head);
  t.strictSame(heads, ['The run', 'Targets', 'MD5', 'Codecs', 'Instructions', 'Not run', 'Findings']);
});

t.test('README.md has the short table', async (t) => {
  const part = readmePart(report);
  t.match(
    part,
    '| compressed write, zlib | 500 ms (20.0 %) | 12.0 s | qemu-img convert | 24.0× (20.0–25.0) |',
  );
  t.notMatch(part, 'cold');
  t.match(part, '**Warning:**');
});

t.test('what is around the markers stays', async (t) => {
  const text = 'a\n<!-- x -->\nold\n<!-- /x -->\nb\n';
  t.equal(replacePart(text, 'x', 'new\n'), 'a\n<!-- x -->\nnew\n<!-- /x -->\nb\n');
  t.equal(replacePart('<!-- x -->\n<!-- /x -->', 'x', '$1 $&\n'), '<!-- x -->\n$1 $&\n<!-- /x -->');
  for (const wrong of ['none', '<!-- x -->\nonly', '<!-- /x -->\n<!-- x -->\n', `${text}${text}`]) {
    t.throws(() => replacePart(wrong, 'x', ''), { message: "There is not one pair of markers 'x'" });
  }
});

t.test('all documents of a report', async (t) => {
  const root = t.testdir({
    'README.md': 'Read\n<!-- benchmark -->\n<!-- /benchmark -->\nme\n',
    docs: { 'performance.md': 'By hand\n<!-- benchmark -->\n<!-- /benchmark -->\n' },
  });
  writeDocuments(report, root);
  t.match(fs.readFileSync(join(root, 'README.md'), 'utf8'), /^Read\n[\s\S]*24\.0×[\s\S]*\nme\n$/);
  t.match(fs.readFileSync(join(root, 'docs/performance.md'), 'utf8'), /^By hand\n[\s\S]*## Codecs/);
  t.strictSame(
    JSON.parse(fs.readFileSync(join(root, 'docs/performance.json'), 'utf8')),
    JSON.parse(JSON.stringify(report)),
  );
  t.ok(fs.existsSync(join(root, 'docs/performance.svg')));
  t.ok(fs.existsSync(join(root, 'docs/performance-rates.svg')));
  writeDocuments({ ...report, rows: [counted] }, root);
  t.notOk(fs.existsSync(join(root, 'docs/performance-rates.svg')), 'no picture of an earlier run stays');
});

t.test('rows of the codec benchmark', async (t) => {
  const [row, ...others] = codecRows({
    bytes: 1e8,
    rounds: 3,
    rows: [
      {
        group: 'deflate',
        name: 'zlib as QEMU',
        megabytesPerSecond: 20,
        speedRatio: 1,
        bytes: 100,
        sizeRatio: 1,
      },
      {
        group: 'deflate',
        name: 'level 0',
        megabytesPerSecond: 400,
        speedRatio: 20,
        bytes: 104,
        sizeRatio: 1.04,
      },
    ],
  });
  t.strictSame(others, []);
  t.match(row, {
    id: 'codec-deflate-level 0',
    rival: 'zlib as QEMU',
    ours: { wall: { median: 0.25 } },
    theirs: { wall: { median: 5 } },
    ratio: { median: 20 },
    sizes: { ours: 104, rival: 100 },
  });
});

t.test('rows of the kernel benchmark', async (t) => {
  const chunks = 'chunks of 1 MiB, 256 MiB';
  const row = (kernel: string, what: string, megabytesPerSecond: number) => ({
    kernel,
    what,
    bytes: 1e6,
    megabytesPerSecond,
    cyclesPerByte: 4.5,
  });
  const made = kernelRows({
    choice: '',
    openssl: '',
    rows: [
      row('openssl', 'one stream, 256 KiB', 700),
      row('scalar', 'one stream, 256 KiB', 770),
      row('avx512', '2 x 8 KiB, hot', 1400),
      row('avx512', chunks, 12000),
      row('avx2', '2 x 8 KiB, hot', 1100),
      row('avx2', chunks, 5900),
    ],
  });
  t.match(made, [
    {
      id: 'kernels-scalar-one stream, 256 KiB',
      rival: 'OpenSSL in memory',
      ratio: { median: 1.1 },
      checks: [],
    },
    { id: 'kernels-avx512-2 x 8 KiB, hot', checks: [], note: '4.50 cycles/byte' },
    { id: `kernels-avx512-${chunks}`, checks: [{ kind: 'throughput', target: 11e9, met: true }] },
    { id: `kernels-avx2-${chunks}`, checks: [{ kind: 'throughput', target: 6e9, met: false }] },
  ]);
  t.equal(made.length, 4);
});
