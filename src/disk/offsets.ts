declare const guestBrand: unique symbol;
declare const hostBrand: unique symbol;

/** Byte offset the guest sees, 0 to virtual size. Exact: images that claim 2^53 bytes or more are refused. */
export type GuestOffset = number & { readonly [guestBrand]: true };
/** Byte offset in a host file. */
export type HostOffset = number & { readonly [hostBrand]: true };

export const guestOffset = (bytes: number): GuestOffset => bytes as GuestOffset;
export const hostOffset = (bytes: number): HostOffset => bytes as HostOffset;

/** Rounds up to a multiple of `unit` bytes (any positive integer; exact below 2^53). */
export function alignUp(bytes: number, unit: number): number {
  const rest = bytes % unit;
  return rest === 0 ? bytes : bytes + (unit - rest);
}

/** Rounds down to a multiple of `unit` bytes. */
export function alignDown(bytes: number, unit: number): number {
  return bytes - (bytes % unit);
}

/** Number of `unit`-sized pieces that cover `bytes`. */
export function divideUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit);
}
