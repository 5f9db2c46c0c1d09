// Medians, spreads and ratios of pairs.
import t from 'tap';
import { median, pairRatio, spread } from '#src/bench/statistics.js';
import { bytes, digits, rate, seconds, times } from '#src/bench/units.js';

t.test('the median of odd and even numbers of samples, whatever their order', async (t) => {
  t.equal(median([3]), 3);
  t.equal(median([9, 1, 5]), 5);
  t.equal(median([10, 1, 100, 2]), 6);
  const samples = [3, 1, 2];
  median(samples);
  t.strictSame(samples, [3, 1, 2], "the caller's list stays as it is");
});

t.test('a median of nothing, or of what is no number, is refused', async (t) => {
  t.throws(() => median([]), { message: 'There is no median of no samples' });
  t.throws(() => median([1, Number.NaN]), { message: 'NaN is no sample' });
  t.throws(() => spread([1, Number.POSITIVE_INFINITY]), { message: 'Infinity is no sample' });
});

t.test('a spread has the extremes and the median absolute deviation', async (t) => {
  t.strictSame(spread([5]), { median: 5, min: 5, max: 5, mad: 0 });
  t.strictSame(
    spread([1, 2, 3, 4, 100]),
    { median: 3, min: 1, max: 100, mad: 1 },
    'one outlier does not move it',
  );
});

t.test('a ratio is that of the medians, its range that of the pairs', async (t) => {
  t.strictSame(pairRatio([1, 2, 4], [4, 6, 4]), { median: 2, min: 1, max: 4, mad: 1 });
  t.throws(() => pairRatio([1], [1, 2]), { message: '1 samples against 2 are no pairs' });
});

t.test('figures have three digits that count and a unit that fits', async (t) => {
  const cases: [string, string][] = [
    [seconds(1.23456), '1.23 s'],
    [seconds(0.0123456), '12.3 ms'],
    [seconds(0.999), '999 ms'],
    [seconds(0.000_001_5), '1.50 µs'],
    [seconds(123.4), '123 s'],
    [bytes(1536), '1.50 KiB'],
    [bytes(50 * 2 ** 20), '50.0 MiB'],
    [bytes(2 ** 30), '1.00 GiB'],
    [rate(11.02e9), '11.0 GB/s'],
    [rate(450e6), '450 MB/s'],
    [times(0.0812), '0.0812×'],
    [times(181.2), '181×'],
    [digits(0), '0'],
  ];
  for (const [got, wanted] of cases) t.equal(got, wanted);
});
