import type { GuestFile } from './guestFile.js';

/** Trips under way at once; what comes meanwhile goes together in the next one. */
const LANES = 4;
/** Bytes of one trip. */
const TRIP_BYTES = 2 ** 20;
/** Larger writes go alone. */
const SMALL = 2 ** 16;

interface Waiting {
  buffer: Uint8Array;
  offset: number;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * Many small writes at once to one file: each goes alone while few are under way, else those that wait go together, in
 * one trip to the engine. Writes under way at the same time must not overlap. One that fails fails its whole trip.
 */
export class WriteQueue {
  readonly #file: GuestFile;
  #underWay = 0;
  #waiting: Waiting[] = [];

  constructor(file: GuestFile) {
    this.#file = file;
  }

  /** Guest bytes from `guest` on, at host byte `offset`. */
  write(buffer: Uint8Array, offset: number, guest: number): Promise<void> {
    if (buffer.length > SMALL) return this.#file.writeGuest(buffer, offset, guest);
    const sealed = this.#file.seal(buffer, offset, guest);
    if (!sealed) return this.#store(buffer, offset);
    return sealed.then((stored) => this.#store(stored.bytes, stored.offset));
  }

  #store(buffer: Uint8Array, offset: number): Promise<void> {
    if (this.#underWay < LANES) {
      this.#underWay++;
      return this.#file.host.write(buffer, offset).finally(this.#done);
    }
    return new Promise((resolve, reject) => this.#waiting.push({ buffer, offset, resolve, reject }));
  }

  readonly #done = (): void => {
    this.#underWay--;
    if (this.#waiting.length === 0) return;
    let bytes = 0;
    let count = 0;
    while (count < this.#waiting.length && bytes + this.#waiting[count].buffer.length <= TRIP_BYTES) {
      bytes += this.#waiting[count++].buffer.length;
    }
    const trip = this.#waiting.splice(0, count);
    this.#underWay++;
    this.#send(trip, bytes).finally(this.#done);
  };

  async #send(trip: Waiting[], bytes: number): Promise<void> {
    try {
      const { host } = this.#file;
      if (trip.length === 1) await host.write(trip[0].buffer, trip[0].offset);
      else {
        const whole = Buffer.allocUnsafe(bytes);
        const offsets = new Float64Array(trip.length);
        const lengths = new Uint32Array(trip.length);
        let at = 0;
        for (const [i, { buffer, offset }] of trip.entries()) {
          whole.set(buffer, at);
          offsets[i] = offset;
          lengths[i] = buffer.length;
          at += buffer.length;
        }
        await host.writePieces(whole, offsets, lengths);
      }
      for (const { resolve } of trip) resolve();
    } catch (error) {
      for (const { reject } of trip) reject(error);
    }
  }
}
