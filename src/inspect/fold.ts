/** Cuts pieces of any size into whole entries of `width` bytes; `each` gets a buffer and the entry's place in it. */
export function eachEntry(
  width: number,
  each: (buffer: Buffer, at: number, index: number) => void,
): (piece: Buffer) => void {
  const carry = Buffer.alloc(width);
  let carried = 0;
  let index = 0;
  return (piece) => {
    let at = 0;
    if (carried > 0) {
      at = Math.min(width - carried, piece.length);
      piece.copy(carry, carried, 0, at);
      carried += at;
      if (carried < width) return;
      each(carry, 0, index++);
      carried = 0;
    }
    for (; at + width <= piece.length; at += width) each(piece, at, index++);
    carried = piece.copy(carry, 0, at);
  };
}

/** Finds the last byte that is not zero. */
export class LastNonZero {
  /** Index in all pieces together; -1 when all are zero. */
  index = -1;
  value = 0;
  #seen = 0;

  readonly fold = (piece: Buffer): void => {
    for (let at = piece.length - 1; at >= 0; at--) {
      if (piece[at] === 0) continue;
      this.index = this.#seen + at;
      this.value = piece[at];
      break;
    }
    this.#seen += piece.length;
  };
}
