// Rounds of a case: who goes first, what counts, what rows come of it.
import t from 'tap';
import { compareSides } from '#src/bench/compareSides.js';
import type { Case, Sample } from '#src/bench/model.js';

/** A case whose runs take the times given, and that notes what happened in which order. */
function fake(ours: Sample[], theirs: Sample[], changed: Partial<Case> = {}): { entry: Case; log: string[] } {
  const log: string[] = [];
  const side = (name: string, samples: Sample[]) => ({
    name,
    before: () => void log.push(`before ${name}`),
    work: () => {
      log.push(name);
      const sample = samples.shift();
      if (!sample) throw new Error(`${name} ran once too often`);
      return sample;
    },
  });
  const entry: Case = {
    id: 'x',
    group: 'g',
    name: 'n',
    terms: 't',
    cache: 'warm',
    durability: 'none',
    ours: side('ours', ours),
    rivals: [side('rival', theirs)],
    setUp: () => void log.push('set up'),
    cleanUp: () => void log.push('clean up'),
    ...changed,
  };
  return { entry, log };
}

const walls = (...list: number[]): Sample[] =>
  list.map((wall) => ({ wall, cpu: wall * 2, peakMemory: wall * 1000 }));

t.test('sides run in turn, another one first each round, and the first round does not count', async (t) => {
  const { entry, log } = fake(walls(100, 1, 2, 3), walls(200, 4, 6, 8));
  const [row, ...others] = await compareSides(entry, { rounds: 3 });
  t.strictSame(others, []);
  t.strictSame(
    log.filter((word) => !word.startsWith('before')),
    [
      'set up',
      ...['ours', 'rival'],
      ...['rival', 'ours'],
      ...['ours', 'rival'],
      ...['rival', 'ours'],
      'clean up',
    ],
  );
  t.strictSame(log.slice(1, 5), ['before ours', 'ours', 'before rival', 'rival']);
  t.match(row, {
    id: 'x/rival',
    rounds: 3,
    ours: { wall: { median: 2, min: 1, max: 3, mad: 1 }, cpu: 4, peakMemory: 3000 },
    theirs: { wall: { median: 6, min: 4, max: 8 } },
    ratio: { median: 3, min: 8 / 3, max: 4 },
    checks: [],
  });
});

t.test('cold cases have no round before the first: it would warm nothing up', async (t) => {
  const { entry, log } = fake(walls(1, 1), walls(2, 2), { cache: 'cold' });
  const [row] = await compareSides(entry, { rounds: 2 });
  t.equal(log.filter((word) => word === 'ours').length, 2);
  t.equal(row.ratio?.median, 2);
});

t.test('units divide times; targets are judged', async (t) => {
  const targets = { milliseconds: 150, throughput: 60, memory: 5000, size: 1.05 };
  const { entry } = fake(walls(1, 1), walls(4, 4), {
    bytes: 10,
    rounds: 1,
    targets,
    verify: () => ({ ours: 110, rival: 100 }),
  });
  entry.ours.units = 10;
  entry.rivals = entry.rivals.map((rival) => ({ ...rival, target: 50 }));
  const [row] = await compareSides(entry, { rounds: 9 });
  t.equal(row.rounds, 1, "the case's own number of rounds");
  t.strictSame(row.sizes, { ours: 110, rival: 100 });
  t.strictSame(row.checks, [
    { kind: 'ratio', target: 50, value: 40, met: false },
    { kind: 'milliseconds', target: 150, value: 100, met: true },
    { kind: 'throughput', target: 60, value: 100, met: true },
    { kind: 'size', target: 1.05, value: 1.1, met: false },
    { kind: 'memory', target: 5000, value: 1000, met: true },
  ]);
});

t.test('an absent rival is a row without figures of its own, and no error', async (t) => {
  const { entry } = fake(walls(9, 1), walls(9, 3));
  const [present] = entry.rivals;
  entry.rivals = [{ name: 'blksum', absent: 'blksum not on this machine' }, present];
  const rows = await compareSides(entry, { rounds: 1 });
  t.match(rows, [
    { id: 'x/blksum', absent: 'blksum not on this machine', ours: { wall: { median: 1 } } },
    { id: 'x/rival', ratio: { median: 3 } },
  ]);
  t.notOk('ratio' in rows[0]);
});

t.test('no rival at all gives one row', async (t) => {
  const { entry } = fake(walls(9, 1), [], { rivals: [], targets: { milliseconds: 1 } });
  t.match(await compareSides(entry, { rounds: 1 }), [
    { id: 'x', checks: [{ kind: 'milliseconds', value: 1000, met: false }] },
  ]);
});

t.test('what could not be measured is left out, not taken for nothing', async (t) => {
  const { entry } = fake([{ wall: 9 }, { wall: 1 }], walls(9, 2));
  const [row] = await compareSides(entry, { rounds: 1 });
  t.equal(row.ours?.cpu, undefined);
  t.equal(row.ours?.peakMemory, undefined);
  t.equal(row.theirs?.cpu, 4);
});

t.test('a failed run ends the case, cleaned up', async (t) => {
  const { entry, log } = fake(walls(1), walls(1, 1));
  await t.rejects(compareSides(entry, { rounds: 1 }), { message: 'ours ran once too often' });
  t.equal(log.at(-1), 'clean up');
  const wrong = fake(walls(1, 1), walls(1, 1), {
    verify: () => {
      throw new Error('results differ');
    },
  });
  await t.rejects(compareSides(wrong.entry, { rounds: 1 }), { message: 'results differ' });
  t.equal(wrong.log.at(-1), 'clean up');
});

t.test('an abort ends it between two runs', async (t) => {
  const controller = new AbortController();
  const { entry, log } = fake(walls(1, 1), walls(1, 1));
  const work = entry.ours.work;
  entry.ours.work = () => {
    controller.abort(new Error('enough'));
    return work();
  };
  await t.rejects(compareSides(entry, { rounds: 1, signal: controller.signal }), { message: 'enough' });
  t.strictSame(log, ['set up', 'before ours', 'ours', 'clean up']);
});
