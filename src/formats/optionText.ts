// `-o` options arrive as text, whoever asks; this reads them as QEMU's option parser does (util/qemu-option.c,
// util/cutils.c), with its sentences.
import { DiskImageError } from '../disk/errors.js';
import type { CreateOptionSpec, CreateOptions } from '../disk/format.js';

const SIZE_HINT =
  'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.';
const SCALES = 'bkmgtpe';
const TWO_64 = 2n ** 64n;

/**
 * Reads a size such as `64k`, `1.5G`, `0x100000`: bytes, or `malformed`, or `range` at 2^64 and above.
 * Suffixes b k K M G T P E are powers of 1024; a fraction needs one above b (QEMU: qemu_strtosz).
 */
export function parseSize(text: string): bigint | 'malformed' | 'range' {
  const hex = /^\s*\+?0x([0-9a-f]+)([kmgtp]?)$/i.exec(text);
  if (hex) return scale(BigInt(`0x${hex[1]}`), 0, hex[2]);
  const decimal = /^\s*\+?(\d+)(\.\d*)?([bkmgtpe]?)$/i.exec(text);
  if (!decimal) return 'malformed';
  const [, whole, fraction = '', suffix] = decimal;
  const part = fraction.length > 1 ? Number(`0${fraction}`) : 0;
  if (part !== 0 && (suffix === '' || suffix.toLowerCase() === 'b')) return 'malformed';
  return scale(BigInt(whole), part, suffix);
}

function scale(whole: bigint, fraction: number, suffix: string): bigint | 'range' {
  const power = suffix === '' ? 0 : SCALES.indexOf(suffix.toLowerCase());
  const unit = 1024n ** BigInt(power);
  // The fraction is taken as 64-bit fixed point and half a byte rounds up, so that 1.1G is what it is in QEMU.
  const fixed = (BigInt(Math.trunc(fraction * 2 ** 64)) * unit + (1n << 63n)) >> 64n;
  const bytes = whole * unit + fixed;
  return bytes >= TWO_64 ? 'range' : bytes;
}

/** Options after parsing: values by name, and each as QEMU's `Formatting` line shows it. */
export class OptionValues {
  readonly #texts = new Map<string, string>();
  readonly #values = new Map<string, string | boolean | bigint>();

  /**
   * @throws INVALID_ARGUMENT for an unknown name or a value of the wrong type, in the order the options were given.
   */
  constructor(specs: readonly CreateOptionSpec[], options: CreateOptions, path: string) {
    for (const [name, text] of Object.entries(options)) {
      const spec = specs.find((candidate) => candidate.name === name);
      if (!spec) throw invalid(`Invalid parameter '${name}'`, path);
      const value = parseValue(spec, text, path);
      this.#values.set(name, value);
      this.#texts.set(name, printed(value, text));
    }
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  text(name: string): string | undefined {
    return this.#values.get(name) as string | undefined;
  }

  flag(name: string): boolean {
    return this.#values.get(name) === true;
  }

  /** Bytes of a size, or a plain number. */
  amount(name: string): bigint | undefined {
    return this.#values.get(name) as bigint | undefined;
  }

  /** Sets a value that came another way than through the options (`size`, defaults), for printing. */
  show(name: string, text: string): void {
    this.#texts.set(name, text);
  }

  /** Every option that is set or has a default, in `order`. */
  effective(order: readonly string[]): [name: string, value: string][] {
    const shown: [string, string][] = [];
    for (const name of order) {
      const text = this.#texts.get(name);
      if (text !== undefined) shown.push([name, text]);
    }
    return shown;
  }
}

export function invalid(message: string, path: string): DiskImageError {
  return new DiskImageError('INVALID_ARGUMENT', message, { path, operation: 'create' });
}

function parseValue(spec: CreateOptionSpec, text: string, path: string): string | boolean | bigint {
  switch (spec.type) {
    case 'str':
      return text;
    case 'bool':
      if (/^(on|yes|true|y)$/.test(text)) return true;
      if (/^(off|no|false|n)$/.test(text)) return false;
      throw invalid(`Parameter '${spec.name}' expects 'on' or 'off'`, path);
    case 'num': {
      const number = /^\s*[+-]?(0x[0-9a-f]+|\d+)$/i.test(text) ? parseNumber(text.trim()) : undefined;
      if (number === undefined) throw invalid(`Parameter '${spec.name}' expects a number`, path);
      return number;
    }
    case 'size': {
      const size = parseSize(text);
      if (size === 'range') {
        throw invalid(`Value '${text}' is out of range for parameter '${spec.name}'`, path);
      }
      if (size === 'malformed') {
        throw invalid(
          `Parameter '${spec.name}' expects a non-negative number below 2^64\n${SIZE_HINT}`,
          path,
        );
      }
      return size;
    }
  }
}

/** As strtoull with base 0: a minus sign wraps around. */
function parseNumber(text: string): bigint | undefined {
  const negative = text.startsWith('-');
  const digits = text.replace(/^[+-]/, '');
  const octal = /^0[0-7]+$/.test(digits);
  if (/^0\d/.test(digits) && !octal) return undefined;
  const value = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  if (value >= TWO_64) return undefined;
  return negative && value > 0n ? TWO_64 - value : value;
}

/** QEMU prints numbers as signed 64-bit and doubles commas in strings. */
function printed(value: string | boolean | bigint, text: string): string {
  if (typeof value === 'bigint') return BigInt.asIntN(64, value).toString();
  return typeof value === 'string' ? text.replaceAll(',', ',,') : text;
}

/**
 * The virtual size in bytes, told beside the options or among them.
 * @throws INVALID_ARGUMENT when it is told twice or not at all.
 */
export function requestedSize(values: OptionValues, size: number | undefined, path: string): bigint {
  const option = values.amount('size');
  if (size !== undefined && option !== undefined) {
    throw invalid('The image size must be specified only once', path);
  }
  if (size !== undefined) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw invalid(`Image size of ${size} bytes is not a whole number from 0 to 2^53 - 1`, path);
    }
    return BigInt(size);
  }
  if (option === undefined) throw invalid('Image creation needs a size parameter', path);
  return option;
}
