// Puts a report into the documents.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rateChart, ratioChart } from './chart.js';
import { performancePart, readmePart, replacePart } from './markdown.js';
import type { Report } from './report.js';

/** `root`: the repository. Hand-written text around the markers stays. */
export function writeDocuments(report: Report, root: string): void {
  const docs = join(root, 'docs');
  const charts = { ratio: ratioChart(report.rows), rate: rateChart(report.rows) };
  writeOrRemove(join(docs, 'performance.svg'), charts.ratio);
  writeOrRemove(join(docs, 'performance-rates.svg'), charts.rate);
  writeFileSync(join(docs, 'performance.json'), `${JSON.stringify(report, null, 2)}\n`);
  rewrite(join(docs, 'performance.md'), performancePart(report, docs, charts));
  rewrite(join(root, 'README.md'), readmePart(report));
}

function rewrite(path: string, part: string): void {
  writeFileSync(path, replacePart(readFileSync(path, 'utf8'), 'benchmark', part));
}

function writeOrRemove(path: string, text: string | undefined): void {
  if (text !== undefined) writeFileSync(path, text);
  else if (existsSync(path)) rmSync(path);
}
