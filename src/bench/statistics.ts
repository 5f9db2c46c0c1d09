// Medians and how far the samples lie from them.

/** What several samples of one quantity say. All in the samples' unit. */
export interface Spread {
  median: number;
  min: number;
  max: number;
  /** Median absolute deviation: half of the samples lie at most this far from the median. */
  mad: number;
}

/** @throws RangeError when there are no samples, or one is no number: a benchmark without a sample measured nothing. */
export function median(samples: readonly number[]): number {
  if (samples.length === 0) throw new RangeError('There is no median of no samples');
  const wrong = samples.find((sample) => !Number.isFinite(sample));
  if (wrong !== undefined) throw new RangeError(`${wrong} is no sample`);
  const sorted = samples.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** @throws RangeError as `median`. */
export function spread(samples: readonly number[]): Spread {
  const middle = median(samples);
  return {
    median: middle,
    min: Math.min(...samples),
    max: Math.max(...samples),
    mad: median(samples.map((sample) => Math.abs(sample - middle))),
  };
}

/**
 * How many times faster ours is, from interleaved pairs: the ratio of the medians, and the least and largest ratio
 * of a pair. @throws RangeError when the lists differ in length.
 */
export function pairRatio(ours: readonly number[], rival: readonly number[]): Spread {
  if (ours.length !== rival.length) {
    throw new RangeError(`${ours.length} samples against ${rival.length} are no pairs`);
  }
  const pairs = spread(rival.map((sample, i) => sample / ours[i]));
  return { ...pairs, median: median(rival) / median(ours) };
}
