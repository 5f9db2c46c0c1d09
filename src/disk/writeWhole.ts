import type { GuestFile } from './guestFile.js';

/** Writes of this many bytes and more go through the engine's threads instead of libuv's. */
export const ENGINE_WRITE_BYTES = 2 ** 20;
/** One piece's length is a 32-bit number for the engine. */
const MAX_PIECE = 2 ** 30;

/** Writes guest bytes from `guest` on at host byte `offset`, on the engine's threads when they are many. */
export async function writeWhole(
  file: GuestFile,
  buffer: Uint8Array,
  offset: number,
  guest: number,
): Promise<void> {
  if (buffer.length < ENGINE_WRITE_BYTES) return file.writeGuest(buffer, offset, guest);
  const pieces = Math.ceil(buffer.length / MAX_PIECE);
  const offsets = Float64Array.from({ length: pieces }, (_, i) => offset + i * MAX_PIECE);
  const lengths = Uint32Array.from(offsets, (at) => Math.min(MAX_PIECE, offset + buffer.length - at));
  const guests = offsets.map((at) => guest + (at - offset));
  await file.writeGuestPieces(buffer, offsets, lengths, guests);
}
