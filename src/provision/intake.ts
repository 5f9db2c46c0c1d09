// What an image from outside must be before anything is made of it.
import { DiskImageError } from '../disk/errors.js';
import { describeViolations, type FormatName, type Inspection, StreamInspector } from '../inspect/index.js';

/** Formats whose bytes are the guest's bytes. */
const PLAIN: readonly FormatName[] = ['raw', 'gpt', 'mbr', 'iso'];
/** Formats that are converted. */
const CONVERTED: readonly FormatName[] = ['qcow2'];

export interface IntakeRules {
  imageId: string;
  /** For messages: where the image comes from. */
  source: string;
  /** What the caller says it is; undefined: decided by content. */
  claimed?: string;
  /** Bytes; larger images are refused. Undefined: no limit. */
  maxVirtualSize?: number;
}

/** How an accepted image becomes a base. */
export interface Accepted {
  format: FormatName;
  /** Its bytes are the base's bytes. */
  plain: boolean;
  /** Bytes. */
  virtualSize: number;
}

/** @throws IMAGE_TOO_LARGE, IMAGE_UNSAFE, UNSUPPORTED_FEATURE for what the verdict (also an early one) already refuses. */
export function refuseUnfit(inspection: Inspection, rules: IntakeRules): void {
  const { violations, detected, virtualSize } = inspection;
  const details = { path: rules.source, operation: 'inspect' };
  if (violations.some(({ code }) => code === 'virtual-size')) {
    if (rules.maxVirtualSize !== undefined) throw tooLarge(virtualSize ?? inspection.fileSize, rules);
    throw new DiskImageError('IMAGE_TOO_LARGE', unfit(inspection, rules), details);
  }
  if (violations.length > 0) throw new DiskImageError('IMAGE_UNSAFE', unfit(inspection, rules), details);
  if (detected !== null && !PLAIN.includes(detected) && !CONVERTED.includes(detected)) {
    throw new DiskImageError(
      'UNSUPPORTED_FEATURE',
      `Image '${rules.imageId}' from ${rules.source} is of format ${detected}, which can't be made a base image (supported: ${[...CONVERTED, ...PLAIN].join(', ')})`,
      details,
    );
  }
}

/** The final verdict of a complete inspection. @throws as refuseUnfit */
export function accept(inspection: Inspection, rules: IntakeRules): Accepted {
  refuseUnfit(inspection, rules);
  const { detected, virtualSize } = inspection;
  if (detected === null || virtualSize === undefined) {
    throw new DiskImageError(
      'IMAGE_UNSAFE',
      `Image '${rules.imageId}' from ${rules.source} is of no format that can be told`,
      {
        path: rules.source,
        operation: 'inspect',
      },
    );
  }
  return { format: detected, plain: PLAIN.includes(detected), virtualSize };
}

/** IMAGE_TOO_LARGE naming both sizes. */
export function tooLarge(virtualSize: number | undefined, rules: IntakeRules): DiskImageError {
  const size = virtualSize === undefined ? 'more bytes' : `a virtual size of ${virtualSize} bytes, more`;
  return new DiskImageError(
    'IMAGE_TOO_LARGE',
    `Image '${rules.imageId}' from ${rules.source} has ${size} than the ${rules.maxVirtualSize} bytes of the requested size`,
    { path: rules.source, operation: 'inspect' },
  );
}

function unfit(inspection: Inspection, rules: IntakeRules): string {
  return `Image '${rules.imageId}' from ${rules.source} is refused: ${describeViolations(inspection)}`;
}

/** Judges an image while its bytes arrive; refuses at the first byte that allows it. */
export class Intake {
  readonly rules: IntakeRules;
  #inspector: StreamInspector;

  /** @throws UNKNOWN_FORMAT for a claim that is no known format. */
  constructor(rules: IntakeRules) {
    this.rules = rules;
    this.#inspector = this.#fresh();
  }

  get position(): number {
    return this.#inspector.position;
  }

  /** @param total bytes of the whole file, where the sender told them */
  push(bytes: Uint8Array, total?: number): void {
    this.#inspector.push(bytes);
    const verdict = this.#inspector.earlyVerdict();
    if (!verdict) return;
    refuseUnfit(verdict, this.rules);
    const { maxVirtualSize } = this.rules;
    const plain = verdict.formats.every(({ name }) => PLAIN.includes(name));
    if (plain && total !== undefined && maxVirtualSize !== undefined && total > maxVirtualSize) {
      throw tooLarge(total, this.rules);
    }
  }

  /** The image starts anew. */
  restart(): void {
    this.#inspector = this.#fresh();
  }

  #fresh(): StreamInspector {
    return new StreamInspector({
      claimed: this.rules.claimed,
      maxVirtualSize: this.rules.maxVirtualSize,
    });
  }
}
