import type { Steps } from './steps.js';
import type { FormatName, InspectOptions, Violation, ViolationCode } from './types.js';

/** A hostile image could offend once per table entry; more findings than this say nothing new. */
const MAX_FINDINGS = 50;

/** Findings of one line of inquiry, in the order they are made. */
export class Section {
  readonly violations: Violation[] = [];
  readonly warnings: string[] = [];
  readonly unchecked: string[] = [];

  refuse(code: ViolationCode, message: string, offset?: number): void {
    if (this.violations.length >= MAX_FINDINGS) return;
    this.violations.push(offset === undefined ? { code, message } : { code, message, offset });
  }

  warn(message: string): void {
    if (this.warnings.length < MAX_FINDINGS) this.warnings.push(message);
  }

  /** Refuses as truncated unless bytes [offset, offset + length) are in the file. */
  requireInFile(what: string, offset: number, length: number, fileSize: number): boolean {
    if (offset + length <= fileSize) return true;
    this.refuse(
      'truncated',
      `${what} needs bytes ${offset} to ${offset + length - 1}, but the file ends at ${fileSize}`,
      offset,
    );
    return false;
  }
}

/** What one detector found out. */
export class Report extends Section {
  readonly options: InspectOptions;
  readonly #schedule: (steps: Steps) => void;
  readonly #children: Section[] = [];

  /** Set once the content is known to be of this format. */
  match?: { name: FormatName; reason: string };
  /** Other readers ignore this format's mark (a trailer): it counts only when it is claimed or alone. */
  weak = false;
  /** A raw disk with a trailer: the guest's own partition table at the start is no second format. */
  wrapsRaw = false;
  virtualSize?: number;
  backing?: string;
  dataFile?: string;
  encryption?: 'aes' | 'luks' | 'unknown';

  constructor(options: InspectOptions, schedule: (steps: Steps) => void) {
    super();
    this.options = options;
    this.#schedule = schedule;
  }

  /** Records the guest's size; one beyond exact numbers is refused. */
  setVirtualSize(bytes: bigint, offset?: number): void {
    if (bytes <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.virtualSize = Number(bytes);
      return;
    }
    this.refuse(
      'virtual-size',
      `virtual size of ${bytes} bytes exceeds the limit of ${Number.MAX_SAFE_INTEGER}`,
      offset,
    );
  }

  /** Runs another line of inquiry beside this one; its findings follow those of the ones begun earlier. */
  spawn(body: (section: Section) => Steps): void {
    const section = new Section();
    this.#children.push(section);
    this.#schedule(body(section));
  }

  get sections(): readonly Section[] {
    return [this, ...this.#children];
  }
}

export interface Detector {
  /** Formats it can match. */
  readonly names: readonly FormatName[];
  inspect(report: Report): Steps;
}
