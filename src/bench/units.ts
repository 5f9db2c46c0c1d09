// Figures as people read them.

const KiB = 2 ** 10;
const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** Three significant digits, no exponent. */
export function digits(value: number): string {
  if (value === 0) return '0';
  const size = Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.min(6, Math.max(0, 2 - size)));
}

export function seconds(value: number): string {
  if (value >= 1) return `${digits(value)} s`;
  if (value >= 1e-3) return `${digits(value * 1e3)} ms`;
  return `${digits(value * 1e6)} µs`;
}

/** KiB, MiB or GiB. */
export function bytes(value: number): string {
  if (value >= GiB) return `${digits(value / GiB)} GiB`;
  if (value >= MiB) return `${digits(value / MiB)} MiB`;
  return `${digits(value / KiB)} KiB`;
}

/** Decimal GB a second, as disks and digests are told. */
export function rate(bytesPerSecond: number): string {
  return bytesPerSecond >= 1e9
    ? `${digits(bytesPerSecond / 1e9)} GB/s`
    : `${digits(bytesPerSecond / 1e6)} MB/s`;
}

export function times(ratio: number): string {
  return `${digits(ratio)}×`;
}
