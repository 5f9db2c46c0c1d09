// npm run bench [-- --rounds N --only WORDS --folder DIR --write]
// Measures basecow side by side with qemu-img and md5sum. --write updates docs/benchmark.{md,json,svg} and the README's table.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { convertCases } from './cases/convert.js';
import { hashCases } from './cases/hash.js';
import { infoCases } from './cases/info.js';
import { overlayCases } from './cases/overlay.js';
import { provisionCases } from './cases/provision.js';
import { compare, type Row } from './compare.js';
import { makeInputs } from './inputs.js';
import { chart, makeReport, markdown, seconds, terms, text } from './report.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
    folder: { type: 'string', default: fileURLToPath(new URL('../bench/work', import.meta.url)) },
    write: { type: 'boolean', default: false },
  },
});

console.error(`making inputs in ${values.folder} (kept for the next run)`);
const inputs = makeInputs(values.folder);
const cases = [
  ...overlayCases(inputs),
  ...convertCases(inputs),
  ...hashCases(inputs),
  ...infoCases(inputs),
  ...provisionCases(inputs),
].filter((entry) => entry.name.includes(values.only));

const rows: Row[] = [];
for (const entry of cases) {
  const row = await compare(entry, Number(values.rounds));
  rows.push(row);
  console.error(
    `${row.name}: ${seconds(row.ours.wall)} against ${seconds(row.rival.wall)} = ${row.ratio.toFixed(2)}`,
  );
}

const report = makeReport(rows, inputs.dataBytes);
console.log(text(report));
if (values.write) {
  const docs = fileURLToPath(new URL('../docs/', import.meta.url));
  mkdirSync(docs, { recursive: true });
  writeFileSync(
    `${docs}benchmark.md`,
    `# Benchmark\n\n${markdown(report)}\n![chart](benchmark.svg)\n\n${terms(report)}`,
  );
  writeFileSync(`${docs}benchmark.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${docs}benchmark.svg`, chart(report));
  const readme = fileURLToPath(new URL('../README.md', import.meta.url));
  const marked = /(<!-- benchmark -->\n)[\s\S]*(<!-- \/benchmark -->)/;
  writeFileSync(readme, readFileSync(readme, 'utf8').replace(marked, `$1${markdown(report)}$2`));
} else {
  console.log(JSON.stringify(report));
}
