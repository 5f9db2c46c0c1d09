// A run against an earlier one.
import t from 'tap';
import type { Row } from '#src/bench/model.js';
import { changes, changesText, hasFallen, withSecond } from '../../bench/baseline.js';
import { parseReport } from '../../bench/report/report.js';

const row = (id: string, ratio: number, range = 0): Row => ({
  id,
  group: 'g',
  name: `name of ${id}`,
  terms: '',
  cache: 'warm',
  durability: 'none',
  rounds: 3,
  rival: 'r',
  ratio: { median: ratio, min: ratio - range, max: ratio + range, mad: range },
  checks: [],
});
const counted = (id: string, instructions: number): Row => ({
  ...row(id, 1),
  ratio: undefined,
  instructions,
});
const all = () => true;

t.test('a ratio that fell by more than 15 % has fallen, and not one by less', async (t) => {
  const cases: [before: number, after: number, verdict: string][] = [
    [10, 10, 'held'],
    [10, 8.5, 'held'],
    [10, 8.49, 'fell'],
    [0.1, 0.08, 'fell'],
    [10, 11.7, 'held'],
    [10, 12, 'rose'],
  ];
  for (const [before, after, verdict] of cases) {
    const list = changes([row('a', before)], [row('a', after)], all);
    t.match(list, [{ id: 'a', before, after, verdict, noisy: false }], `${before} to ${after}`);
    t.equal(hasFallen(list), verdict === 'fell');
  }
});

t.test('spreads that overlap are told and hide nothing', async (t) => {
  const list = changes([row('a', 10, 3)], [row('a', 8, 2)], all);
  t.match(list, [{ verdict: 'fell', noisy: true }]);
  t.ok(hasFallen(list));
  t.match(changesText(list), /name of a +10\.0 +8\.00 +-20\.0 % +fell \(spreads overlap\)/);
});

t.test('fewer instructions are better', async (t) => {
  t.match(changes([counted('a', 100)], [counted('a', 120)], all), [{ verdict: 'fell' }]);
  t.match(changes([counted('a', 100)], [counted('a', 80)], all), [{ verdict: 'rose' }]);
});

t.test('new rows and those that are gone are told; only what was asked for', async (t) => {
  const list = changes([row('old', 2), row('other', 2)], [row('new', 3)], ({ id }) => id !== 'other');
  t.match(list, [
    { id: 'new', verdict: 'new', before: undefined, after: 3 },
    { id: 'old', verdict: 'gone', before: 2, after: undefined },
  ]);
  t.equal(list.length, 2);
  t.notOk(hasFallen(list));
});

t.test('what fell is measured again: that counts, better or worse', async (t) => {
  const baseline = [row('a', 10), row('b', 10), row('c', 10)];
  const first = changes(baseline, [row('a', 5), row('b', 5), row('c', 10)], all);
  const second = changes(baseline, [row('a', 9.9), row('b', 4), row('c', 1)], all);
  const list = withSecond(first, second);
  t.match(list, [
    { id: 'a', verdict: 'held', after: 9.9, first: 5 },
    { id: 'b', verdict: 'fell', after: 4, first: 5 },
    { id: 'c', verdict: 'held', after: 10, first: undefined },
  ]);
  t.ok(hasFallen(list));
  t.match(changesText(list), /name of a .*held \(first 5\.00\)/);
  t.notOk(hasFallen(withSecond(first.slice(0, 1), second)));
});

t.test('a file that is no report is refused by name', async (t) => {
  t.throws(() => parseReport('{', 'x.json'), { message: /^x\.json is no report of a benchmark: / });
  for (const text of [
    'null',
    '{}',
    '{"version":2,"rows":[],"dataBytes":1}',
    '{"version":1,"rows":{},"dataBytes":1}',
  ]) {
    t.throws(() => parseReport(text, 'x.json'), {
      message: 'x.json is no report of a benchmark, or of another version of it',
    });
  }
  t.equal(parseReport('{"version":1,"rows":[],"dataBytes":1}', 'x').dataBytes, 1);
});
