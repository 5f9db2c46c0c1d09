const MAX_QUOTED = 200;
/** Characters of a stored name that a verdict repeats; PATH_MAX. */
export const MAX_STORED_NAME = 4096;

/** Unsigned 64-bit field as a number: exact to 2^53, rounded beyond. */
export function u64be(bytes: Buffer, offset: number): number {
  return bytes.readUInt32BE(offset) * 2 ** 32 + bytes.readUInt32BE(offset + 4);
}

export function u64le(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset + 4) * 2 ** 32 + bytes.readUInt32LE(offset);
}

export function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Text up to the first NUL. */
export function untilNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** Without the NULs at its end. (A regular expression would take quadratic time on hostile runs of NULs.) */
export function withoutPadding(bytes: Buffer): Buffer {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return bytes.subarray(0, end);
}

/** Untrusted text for a sentence: quoted, one line, bounded, nothing that a terminal would act on. */
export function quote(text: string): string {
  const short = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
  const plain = short.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\']/gu,
    (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`,
  );
  return `'${plain}'`;
}
