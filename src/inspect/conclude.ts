import type { FormatName, Inspection, Violation } from './types.js';
import { type Inquiry, type Matched, mismatch, type Standing, type Weighed, weigh } from './weigh.js';

/** A fixed VHD's footer, which the guest does not see, may still turn out to be the last of the bytes so far. */
const TRAILER_BYTES = 512;
/** Their guest sees the file's bytes as they are. */
const plain: readonly FormatName[] = ['raw', 'gpt', 'mbr', 'iso'];
const MAX_DESCRIBED = 5;

function formatViolations(
  standing: Standing,
  inquiries: readonly Inquiry[],
  weighed: Weighed,
): (Violation | undefined)[] {
  const { counted } = weighed;
  if (standing.ended && standing.position === 0) {
    return [{ code: 'empty', message: 'the file is empty: 0 bytes' }];
  }
  if (counted.length < 2) return [mismatch(standing, inquiries, weighed)];
  const names = counted.map(({ match }) => match.name).join(' and ');
  return [
    {
      code: 'several-formats',
      message: `the content is valid as ${names}: readers would disagree on it`,
    },
  ];
}

/** While nothing has matched, the bytes are raw ones. */
function seenAsIs({ main, counted }: Weighed): boolean {
  return main === undefined ? counted.length === 0 : plain.includes(main.match.name);
}

function virtualSize({ position, ended }: Standing, weighed: Weighed): number | undefined {
  if (seenAsIs(weighed)) return ended && position > 0 ? position : undefined;
  const sizes = weighed.counted.map((report) => report.virtualSize).filter((size) => size !== undefined);
  return sizes.length > 0 ? Math.max(...sizes) : undefined;
}

function sizeViolation(standing: Standing, weighed: Weighed): Violation | undefined {
  const { options, position, ended } = standing;
  const limit = options.maxVirtualSize;
  // The guest sees at least what has passed, whatever follows.
  const size = seenAsIs(weighed) ? position - (ended ? 0 : TRAILER_BYTES) : virtualSize(standing, weighed);
  if (limit === undefined || size === undefined || size <= limit) return undefined;
  return { code: 'virtual-size', message: `virtual size of ${size} bytes exceeds the limit of ${limit}` };
}

function warnings({ ended }: Standing, inquiries: readonly Inquiry[], weighed: Weighed): string[] {
  const { counted, inside, ignored } = weighed;
  // With no format, what is left are the hints about raw bytes.
  const spoken = counted.length > 0 || !ended ? counted : inquiries.map(({ report }) => report);
  return [
    ...spoken.flatMap((report) => report.sections.flatMap((section) => section.warnings)),
    ...inside.flatMap((report) => [
      `also has a partition table (${report.match.reason})`,
      ...report.sections.flatMap((section) => [
        ...section.violations.map(({ message }) => message),
        ...section.warnings,
      ]),
    ]),
    ...ignored.map(({ match }) => `${match.reason}: taken as plain bytes, not as ${match.name}`),
  ];
}

function reason({ ended, position }: Standing, { main, counted }: Weighed): string {
  if (main) return main.match.reason;
  if (counted.length > 1) return 'several formats match';
  if (!ended) return 'no format recognised yet';
  return position === 0 ? 'the file is empty' : 'no known format in the content';
}

function first<Key extends 'backing' | 'dataFile' | 'encryption'>(
  counted: Matched[],
  key: Key,
): Matched[Key] | undefined {
  return counted.find((report) => report[key] !== undefined)?.[key];
}

/** The verdict that the findings so far allow. */
export function conclude(standing: Standing, inquiries: readonly Inquiry[]): Inspection {
  const { claimed, position, ended } = standing;
  const weighed = weigh(standing, inquiries);
  const { main, counted, inside, undecided } = weighed;
  const sections = counted.flatMap((report) => report.sections);
  const violations = [
    ...formatViolations(standing, inquiries, weighed),
    ...(undecided ? [] : sections.flatMap((section) => section.violations)),
    sizeViolation(standing, weighed),
  ].filter((violation) => violation !== undefined);
  const raw = ended && position > 0 && counted.length === 0;
  return {
    claimed,
    detected: main?.match.name ?? (raw ? 'raw' : null),
    reason: reason(standing, weighed),
    formats: [...counted, ...inside].map(({ match }) => match),
    fileSize: ended ? position : undefined,
    virtualSize: virtualSize(standing, weighed),
    backing: first(counted, 'backing'),
    dataFile: first(counted, 'dataFile'),
    encryption: first(counted, 'encryption'),
    violations,
    warnings: warnings(standing, inquiries, weighed),
    unchecked: sections.flatMap((section) => section.unchecked),
    complete: ended,
    safe: ended && violations.length === 0,
  };
}

/** The verdict's violations as one sentence, for an error message. */
export function describeViolations({ violations }: Inspection): string {
  const told = violations.slice(0, MAX_DESCRIBED).map(({ message }) => message);
  const more = violations.length - told.length;
  return more > 0 ? `${told.join('; ')}; and ${more} more` : told.join('; ');
}
