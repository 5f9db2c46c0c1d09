// Charts as SVG, one line of text for each row; no script, no font but the viewer's.
import type { Row } from '#src/bench/model.js';
import { rate, times } from '#src/bench/units.js';
import { hasRival } from './report.js';

const LEFT = 430;
const WIDTH = 440;
const RIGHT = 250;
const STEP = 22;
const TOP = 64;
const COLOURS = {
  ours: '#1f7a4d',
  worse: '#b3452c',
  rival: '#8a8f98',
  line: '#d9dce1',
  target: '#1c4fa0',
  text: '#1b1f24',
};

/** Rows of parts alone, such as codecs in memory at all their levels, are in the tables only. */
const isDrawn = (row: Row): boolean => hasRival(row) && row.ours !== undefined && row.cache !== 'none';

/** A logarithmic axis from `low` to `high`. */
class Axis {
  readonly #low: number;
  readonly #span: number;
  readonly ticks: number[] = [];

  constructor(values: readonly number[]) {
    // Whole decades would waste half of the width: 1, 2 and 5 end it too.
    const steps = [-4, -3, -2, -1, 0, 1, 2, 3, 4, 5].flatMap((power) =>
      [1, 2, 5].map((n) => n * 10 ** power),
    );
    const low = steps.findLast((step) => step <= Math.min(...values)) ?? steps[0];
    const high = steps.find((step) => step >= Math.max(...values)) ?? steps[steps.length - 1];
    this.#low = Math.log(low);
    this.#span = Math.log(high) - this.#low || 1;
    this.ticks = steps.filter((step) => step >= low && step <= high && Number.isInteger(Math.log10(step)));
  }

  x(value: number): number {
    return Number((LEFT + (WIDTH * (Math.log(value) - this.#low)) / this.#span).toFixed(1));
  }
}

/** Ratios as bars; a whisker from the least to the largest pair, a tick at the target. */
export function ratioChart(rows: readonly Row[]): string | undefined {
  const shown = rows.filter(isDrawn);
  if (shown.length === 0) return undefined;
  const targetOf = ({ checks }: Row): number | undefined =>
    checks.find(({ kind }) => kind === 'ratio')?.target;
  const axis = new Axis(shown.flatMap((row) => [row.ratio!.min, row.ratio!.max, targetOf(row) ?? 1, 1]));
  const bars = shown.map((row) => (y: number) => {
    const { median, min, max } = row.ratio!;
    const [one, end] = [axis.x(1), axis.x(median)];
    const target = targetOf(row);
    const rightmost = Math.max(one, axis.x(max), target === undefined ? 0 : axis.x(target));
    return [
      label(y, row),
      `<rect x="${Math.min(one, end)}" y="${y}" width="${Math.max(1, Math.abs(end - one)).toFixed(1)}" height="14" fill="${median >= 1 ? COLOURS.ours : COLOURS.worse}"/>`,
      min === max ? '' : `<path d="M${axis.x(min)} ${y + 7}H${axis.x(max)}" stroke="${COLOURS.text}"/>`,
      target === undefined
        ? ''
        : `<path d="M${axis.x(target)} ${y - 3}v20" stroke="${COLOURS.target}" stroke-width="2.5"/>`,
      `<text x="${rightmost + 8}" y="${y + 11}">${times(median)}<tspan dx="6" fill="${COLOURS.rival}">${escaped(shortened(row.rival!, 26))}</tspan></text>`,
    ].join('');
  });
  return drawing(
    'How many times faster than the rival',
    'Bar: rival / basecow, medians. Line: least and largest pair. Blue: target. Logarithmic.',
    axis.ticks.map((tick) => [axis.x(tick), `${tick}×`]),
    inGroups(shown, bars),
    axis.x(1),
  );
}

/** Bytes a second of both sides, as two points on a line. */
export function rateChart(rows: readonly Row[]): string | undefined {
  const shown = rows.filter((row) => isDrawn(row) && row.bytes !== undefined && row.theirs);
  if (shown.length === 0) return undefined;
  const rates = shown.map(({ bytes, ours, theirs }) => [
    bytes! / ours!.wall.median,
    bytes! / theirs!.wall.median,
  ]);
  const axis = new Axis(rates.flat().map((value) => value / 1e9));
  const lines = shown.map((row, i) => (y: number) => {
    const [ours, theirs] = rates[i].map((value) => axis.x(value / 1e9));
    return [
      label(y, row),
      `<path d="M${theirs} ${y + 7}H${ours}" stroke="${COLOURS.rival}" stroke-width="2"/>`,
      `<circle cx="${theirs}" cy="${y + 7}" r="4.5" fill="white" stroke="${COLOURS.rival}" stroke-width="2"/>`,
      `<circle cx="${ours}" cy="${y + 7}" r="5.5" fill="${ours >= theirs ? COLOURS.ours : COLOURS.worse}"/>`,
      `<text x="${Math.max(ours, theirs) + 12}" y="${y + 11}">${rate(rates[i][0])}<tspan dx="6" fill="${COLOURS.rival}">${escaped(shortened(row.rival!, 26))}: ${rate(rates[i][1])}</tspan></text>`,
    ].join('');
  });
  return drawing(
    'Bytes a second',
    'Filled: basecow. Ring: the rival. Guest bytes, holes included, of disks. Logarithmic.',
    axis.ticks.map((tick) => [axis.x(tick), `${tick} GB/s`]),
    inGroups(shown, lines),
  );
}

/** Something drawn at a height. */
type Drawn = (y: number) => string;

/** The name of each group above its rows. */
function inGroups(rows: readonly Row[], drawn: readonly Drawn[]): Drawn[] {
  return rows.flatMap(({ group }, i) => {
    if (group === rows[i - 1]?.group) return [drawn[i]];
    const heading: Drawn = (y) => `<text x="12" y="${y + 13}" font-weight="bold">${escaped(group)}</text>`;
    return [heading, drawn[i]];
  });
}

function label(y: number, { name, cache }: Row): string {
  return `<text x="${LEFT - 12}" y="${y + 11}" text-anchor="end">${escaped(shortened(cache === 'cold' ? `${name}, cold` : name, 68))}</text>`;
}

function drawing(
  title: string,
  note: string,
  ticks: [x: number, text: string][],
  drawn: readonly Drawn[],
  one?: number,
): string {
  const height = TOP + drawn.length * STEP + 12;
  const width = LEFT + WIDTH + RIGHT;
  const grid = ticks.map(
    ([x, text]) =>
      `<path d="M${x} ${TOP - 8}V${height - 8}" stroke="${COLOURS.line}"/><text x="${x}" y="${TOP - 12}" text-anchor="middle" font-size="11" fill="${COLOURS.rival}">${text}</text>`,
  );
  const base =
    one === undefined ? '' : `<path d="M${one} ${TOP - 8}V${height - 8}" stroke="${COLOURS.text}"/>\n`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="${COLOURS.text}">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" fill="white"/>
<text x="12" y="22" font-size="16" font-weight="bold">${escaped(title)}</text>
<text x="12" y="39" font-size="11" fill="${COLOURS.rival}">${escaped(note)}</text>
${grid.join('\n')}
${base}${drawn.map((one, i) => one(TOP + i * STEP)).join('\n')}
</svg>
`;
}

function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).trimEnd()}…`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
