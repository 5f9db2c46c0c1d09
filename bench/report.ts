// The same rows as a text table, Markdown, JSON and a chart.
import * as os from 'node:os';
import type { Row } from './compare.js';
import { run } from './process.js';

export interface Report {
  date: string;
  machine: string;
  rivals: string;
  dataBytes: number;
  rows: Row[];
}

export function makeReport(rows: Row[], dataBytes: number): Report {
  const cpu = os.cpus()[0]?.model ?? 'unknown CPU';
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${os.availableParallelism()} × ${cpu}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}, Node ${process.version}`,
    rivals: `${run('qemu-img', '--version').split('\n')[0]}; ${run('md5sum', '--version').split('\n')[0]}`,
    dataBytes,
    rows,
  };
}

export function seconds(value: number): string {
  if (value >= 1) return `${value.toFixed(2)} s`;
  if (value >= 1e-3) return `${(value * 1e3).toFixed(value >= 0.1 ? 0 : 1)} ms`;
  return `${(value * 1e6).toFixed(0)} µs`;
}

const MiB = 2 ** 20;
const HEAD = [
  'what',
  'basecow',
  'rival',
  'rival',
  'ratio',
  'target',
  'CPU ours/rival',
  'peak memory',
  'size ours/rival',
];

function cells(row: Row): string[] {
  return [
    row.name,
    seconds(row.ours.wall),
    seconds(row.rival.wall),
    row.rivalName,
    `${row.ratio.toFixed(row.ratio >= 10 ? 0 : 2)}×`,
    row.target ? `≥ ${row.target}${row.ratio >= row.target ? ' ✓' : ' ✗'}` : '',
    `${seconds(row.ours.cpu)} / ${seconds(row.rival.cpu)}`,
    row.ours.peakMemory ? `${Math.round(row.ours.peakMemory / MiB)} MiB` : '',
    row.sizes
      ? `${Math.round(row.sizes.ours / MiB)} / ${Math.round(row.sizes.rival / MiB)} MiB (${((100 * row.sizes.ours) / row.sizes.rival - 100).toFixed(1)} %)`
      : '',
  ];
}

export function markdown(report: Report): string {
  const lines = [
    `Measured ${report.date} on ${report.machine}. Rivals: ${report.rivals}.`,
    `Disk: 4 GiB virtual, ${Math.round(report.dataBytes / MiB)} MiB of real files in ext4. Medians of interleaved rounds; ratio = rival / basecow.`,
    '',
    `| ${HEAD.join(' | ')} |`,
    `|${HEAD.map((_, i) => (i === 0 || i === 3 ? '---|' : '--:|')).join('')}`,
    ...report.rows.map((row) => `| ${cells(row).join(' | ')} |`),
  ];
  return `${lines.join('\n')}\n`;
}

/** What made the two sides of each row equal. */
export function terms(report: Report): string {
  const lines = report.rows.map((row) => `- **${row.name}** (${row.rounds} rounds): ${row.terms}`);
  return `## Terms\n\n${lines.join('\n')}\n`;
}

export function text(report: Report): string {
  const table = [HEAD, ...report.rows.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...table.map((line) => line[column].length)));
  return table
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Ratios as bars on a logarithmic scale; the line at 1 is the rival. */
export function chart(report: Report): string {
  const [left, width, step] = [290, 420, 26];
  const height = 60 + report.rows.length * step;
  const top = Math.max(10, ...report.rows.map((row) => row.ratio));
  const low = Math.min(0.5, ...report.rows.map((row) => row.ratio));
  const x = (ratio: number): number => left + (width * Math.log(ratio / low)) / Math.log(top / low);
  const bars = report.rows.map((row, i) => {
    const y = 40 + i * step;
    const [from, to] = [Math.min(x(1), x(row.ratio)), Math.max(x(1), x(row.ratio))];
    const colour = row.ratio >= 1 ? '#2f7d4f' : '#b3452c';
    return `<text x="${left - 8}" y="${y + 13}" text-anchor="end">${row.name}</text>
<rect x="${from.toFixed(1)}" y="${y}" width="${Math.max(1, to - from).toFixed(1)}" height="18" fill="${colour}"/>
<text x="${(to + 6).toFixed(1)}" y="${y + 13}">${row.ratio.toFixed(row.ratio >= 10 ? 0 : 2)}×</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + width + 70} ${height}" font-family="sans-serif" font-size="12">
<title>basecow against qemu-img and md5sum</title>
<rect width="100%" height="100%" fill="white"/>
<text x="10" y="20" font-size="14">How many times faster than the rival (log scale; qemu-img or md5sum = 1)</text>
<line x1="${x(1).toFixed(1)}" x2="${x(1).toFixed(1)}" y1="32" y2="${height - 10}" stroke="#888"/>
${bars.join('\n')}
</svg>
`;
}
