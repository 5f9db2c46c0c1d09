// Sizes as qemu-img takes them as arguments and prints them (util/cutils.c: qemu_strtosz, size_to_str).
import { parseSize } from '../formats/optionText.js';
import { CliError } from './errors.js';

const INT64_MAX = (1n << 63n) - 1n;

/**
 * A size argument of the command line, 0 to 2^63 - 1.
 * @throws CliError with qemu-img's sentences about `what` (such as `image size`).
 */
export function sizeArgument(what: string, text: string, warn: (message: string) => void): bigint {
  const bytes = parseSize(text);
  if (bytes === 'malformed') {
    throw new CliError([
      `Invalid ${what} specified. You may use k, M, G, T, P or E suffixes for`,
      'kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.',
    ]);
  }
  if (/^\s*\+?0x[0-9a-f]+[kmgtp]$/i.test(text)) {
    warn(`Using a multiplier suffix on hex numbers is deprecated: ${text}`);
  }
  if (bytes === 'range' || bytes > INT64_MAX) {
    throw new CliError(`Invalid ${what} specified. Must be between 0 and ${INT64_MAX}.`);
  }
  return bytes;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** `1.5 GiB`: three significant digits, the next unit from 1000 on, ties to even as printf does it. */
export function sizeText(bytes: number | bigint): string {
  const value = BigInt(bytes);
  let power = 0;
  while (value >= 1000n << BigInt(10 * power)) power++;
  return `${threeDigits(value, 1n << BigInt(10 * power))} ${UNITS[power]}`;
}

/** printf's %0.3g of value / divisor, which is below 1000 and, unless 0, at least 0.97. */
function threeDigits(value: bigint, divisor: bigint): string {
  if (value === 0n) return '0';
  const decimals = value >= 100n * divisor ? 0 : value >= 10n * divisor ? 1 : value >= divisor ? 2 : 3;
  const scale = 10n ** BigInt(decimals);
  const rounded = divideToEven(value * scale, divisor);
  if (rounded >= 1000n && decimals === 0) return '1e+03';
  const whole = rounded / scale;
  const rest = (rounded % scale).toString().padStart(decimals, '0').replace(/0+$/, '');
  return decimals === 0 || rest === '' ? `${whole}` : `${whole}.${rest}`;
}

/** printf's %.Nf of a finite double: exact, ties to even. */
export function fixedDecimals(value: number, decimals: number): string {
  let mantissa = Math.abs(value);
  let denominator = 1n;
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2;
    denominator *= 2n;
  }
  const scale = 10n ** BigInt(decimals);
  const rounded = divideToEven(BigInt(mantissa) * scale, denominator);
  const rest = (rounded % scale).toString().padStart(decimals, '0');
  return `${value < 0 ? '-' : ''}${rounded / scale}${decimals > 0 ? `.${rest}` : ''}`;
}

function divideToEven(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = (numerator % denominator) * 2n;
  return twice > denominator || (twice === denominator && quotient % 2n === 1n) ? quotient + 1n : quotient;
}
