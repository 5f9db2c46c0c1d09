import { acceptedContent } from './claims.js';
import type { Detector, Report } from './report.js';
import type { DetectedFormat, FormatName, InspectOptions, Violation } from './types.js';

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

export type Matched = Report & { match: DetectedFormat };

export interface Weighed {
  /** The image's format; undefined for none, and for several. */
  main: Matched | undefined;
  /** Those whose findings count. */
  counted: Matched[];
  /** Partition tables inside `main`, which may begin like a partitioned disk. */
  inside: Matched[];
  /** Marks that readers of the image take for plain bytes. */
  ignored: Matched[];
  /** Not the end of the stream, and a partition table that may still turn out to be inside a VHD or ISO. */
  undecided: boolean;
}

const partitionTables: readonly FormatName[] = ['gpt', 'mbr'];
/** Begin like a partitioned disk, and are known by what comes later. */
const hosts: readonly FormatName[] = ['iso', 'vhd'];

function isPartitioned(report: Matched): boolean {
  return partitionTables.includes(report.match.name);
}

function pending(inquiries: readonly Inquiry[], names: readonly FormatName[]): boolean {
  return inquiries.some(
    ({ detector, report, finished }) =>
      !finished && report.match === undefined && detector.names.some((name) => names.includes(name)),
  );
}

/** Which of the matching formats is the image's, which ones count, and which only get mentioned. */
export function weigh({ claimed }: Standing, inquiries: readonly Inquiry[]): Weighed {
  const matched = inquiries
    .map(({ report }) => report)
    .filter((report): report is Matched => report.match !== undefined);
  const strong = matched.filter((report) => !report.weak);
  const counted = matched.filter(
    (report) =>
      !report.weak || claimed === report.match.name || (claimed === undefined && strong.length === 0),
  );
  const ignored = matched.filter((report) => !counted.includes(report));
  const host = counted.find((report) => report.match.name === 'iso' || report.wrapsRaw);
  const others = counted.filter((report) => report !== host);
  if (host && others.every(isPartitioned)) {
    return { main: host, counted: [host], inside: others, ignored, undecided: false };
  }
  const main = counted.length === 1 ? counted[0] : undefined;
  const expected = claimed === undefined ? hosts : hosts.filter((name) => name === claimed);
  const undecided = main !== undefined && isPartitioned(main) && pending(inquiries, expected);
  return { main, counted, inside: [], ignored, undecided };
}

/** The violation of a false claim; undefined also while the claim may still come true. */
export function mismatch(
  { claimed }: Standing,
  inquiries: readonly Inquiry[],
  { main, undecided }: Weighed,
): Violation | undefined {
  if (claimed === undefined) return undefined;
  const accepted = acceptedContent(claimed);
  if (main) {
    if (undecided || accepted.includes(main.match.name)) return undefined;
    return {
      code: 'format-mismatch',
      message: `the image is claimed to be ${claimed}, but its content is ${main.match.name}: ${main.match.reason}`,
    };
  }
  if (accepted.includes('raw') || pending(inquiries, accepted)) return undefined;
  return {
    code: 'format-mismatch',
    message: `the image is claimed to be ${claimed}, but nothing in its content is ${claimed}`,
    offset: 0,
  };
}
