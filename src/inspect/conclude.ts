import { acceptedContent } from './claims.js';
import type { Detector, Report } from './report.js';
import type { DetectedFormat, FormatName, Inspection, InspectOptions, Violation } from './types.js';

/** One detector's state when a verdict is asked for. */
export interface Inquiry {
  detector: Detector;
  report: Report;
  /** It has returned: a match that is not there now will not come. */
  finished: boolean;
}

/** Where the reading stands. */
export interface Standing {
  claimed: FormatName | undefined;
  options: InspectOptions;
  /** Bytes read so far; in the end, the file's size. */
  position: number;
  ended: boolean;
}

/** A fixed VHD's footer, which the guest does not see, may still turn out to be the last of the bytes so far. */
const TRAILER_BYTES = 512;

type Matched = Report & { match: DetectedFormat };

const partitioned: readonly FormatName[] = ['gpt', 'mbr'];
/** Their guest sees the file's bytes as they are. */
const plain: readonly FormatName[] = ['raw', 'gpt', 'mbr', 'iso'];

/** Which of the matching formats is the image's, which ones count, and which only get mentioned. */
function weigh(matched: Matched[], claimed: FormatName | undefined) {
  const strong = matched.filter((report) => !report.weak);
  const counted = matched.filter(
    (report) =>
      !report.weak || claimed === report.match.name || (claimed === undefined && strong.length === 0),
  );
  const ignored = matched.filter((report) => !counted.includes(report));
  const host = counted.find((report) => report.match.name === 'iso' || report.wrapsRaw);
  const others = counted.filter((report) => report !== host);
  if (host && others.every((report) => partitioned.includes(report.match.name))) {
    return { main: host, counted: [host], inside: others, ignored };
  }
  return { main: counted.length === 1 ? counted[0] : undefined, counted, inside: [], ignored };
}

function mismatch(
  standing: Standing,
  inquiries: readonly Inquiry[],
  main: Matched | undefined,
): Violation | undefined {
  const { claimed, ended } = standing;
  if (claimed === undefined) return undefined;
  const accepted = acceptedContent(claimed);
  const open = inquiries.some(
    ({ detector, finished }) => !finished && detector.names.some((name) => accepted.includes(name)),
  );
  if (main) {
    if (accepted.includes(main.match.name)) return undefined;
    // A fixed VHD or a hybrid ISO begins like a partitioned disk; it is known by what comes later.
    if (open && partitioned.includes(main.match.name)) return undefined;
    return {
      code: 'format-mismatch',
      message: `the image is claimed to be ${claimed}, but its content is ${main.match.name}: ${main.match.reason}`,
    };
  }
  if (accepted.includes('raw') || open || (!ended && standing.position === 0)) return undefined;
  return {
    code: 'format-mismatch',
    message: `the image is claimed to be ${claimed}, but nothing in its content is ${claimed}`,
    offset: 0,
  };
}

function sizeViolation(size: number | undefined, limit: number | undefined): Violation[] {
  if (size === undefined || limit === undefined || size <= limit) return [];
  return [{ code: 'virtual-size', message: `virtual size of ${size} bytes exceeds the limit of ${limit}` }];
}

function unmatchedReason({ ended, position }: Standing, matches: number): string {
  if (matches > 1) return 'several formats match';
  if (!ended) return 'no format recognised yet';
  return position === 0 ? 'the file is empty' : 'no known format in the content';
}

/** The verdict that the findings so far allow. */
export function conclude(standing: Standing, inquiries: readonly Inquiry[]): Inspection {
  const { claimed, options, position, ended } = standing;
  const reports = inquiries.map(({ report }) => report);
  const matched = reports.filter((report): report is Matched => report.match !== undefined);
  const { main, counted, inside, ignored } = weigh(matched, claimed);
  const formats = [...counted, ...inside].map((report) => report.match);
  const violations: Violation[] = [];
  const warnings: string[] = [];
  const empty = ended && position === 0;

  if (empty) violations.push({ code: 'empty', message: 'the file is empty: 0 bytes' });
  if (counted.length > 1) {
    violations.push({
      code: 'several-formats',
      message: `the content is valid as ${formats.map(({ name }) => name).join(' and ')}: readers would disagree on it`,
    });
  } else if (!empty) {
    const wrong = mismatch(standing, inquiries, main);
    if (wrong) violations.push(wrong);
  }
  for (const section of counted.flatMap((report) => report.sections)) {
    violations.push(...section.violations);
    warnings.push(...section.warnings);
  }
  for (const report of inside) {
    warnings.push(`also has a partition table (${report.match.reason})`);
    const odd = report.sections.flatMap((section) => [
      ...section.violations.map((v) => v.message),
      ...section.warnings,
    ]);
    warnings.push(...odd);
  }
  for (const report of ignored)
    warnings.push(`${report.match.reason}: taken as plain bytes, not as ${report.match.name}`);

  // While nothing has matched, the bytes are raw ones, and the guest sees at least as many as have passed.
  const asIs = counted.length === 0 || (main !== undefined && plain.includes(main.match.name));
  const raw = counted.length === 0 && !empty;
  const first = (key: 'backing' | 'dataFile' | 'encryption') =>
    counted.find((report) => report[key] !== undefined)?.[key];
  const sizes = counted.map((report) => report.virtualSize).filter((size) => size !== undefined);
  const known = asIs
    ? ended && !empty
      ? position
      : undefined
    : sizes.length > 0
      ? Math.max(...sizes)
      : undefined;
  const least = asIs ? position - (ended ? 0 : TRAILER_BYTES) : known;
  violations.push(...sizeViolation(least, options.maxVirtualSize));
  if (raw && ended) {
    for (const warning of reports.flatMap((report) => report.warnings)) warnings.push(warning);
  }

  const detected = main?.match.name ?? (raw && ended ? 'raw' : null);
  return {
    claimed,
    detected,
    reason: main?.match.reason ?? unmatchedReason(standing, counted.length),
    formats,
    fileSize: ended ? position : undefined,
    virtualSize: known,
    backing: first('backing'),
    dataFile: first('dataFile'),
    encryption: first('encryption') as Inspection['encryption'],
    violations,
    warnings,
    unchecked: counted.flatMap((report) => report.sections.flatMap((section) => section.unchecked)),
    complete: ended,
    safe: ended && violations.length === 0,
  };
}

/** The verdict's violations as one sentence, for an error message. */
export function describeViolations(inspection: Inspection): string {
  return inspection.violations.map(({ message }) => message).join('; ');
}
