import type { HostFile } from '../disk/hostFile.js';

const BUFFER_BYTES = 2 ** 20;
/** Most images have few tables: their jobs should not each clear, and leave to the collector, what others need. */
const FIRST_BYTES = 2 ** 18;
const MAX_PIECES = 4096;

/** Gathers small writes (tables) and hands them to the engine about a MiB at a time; neighbours become one write. */
export class PieceWriter {
  readonly #file: HostFile;
  #buffer = new Uint8Array(0);
  /** The buffer of a flush that is over. */
  #spare: Uint8Array<ArrayBuffer> | undefined;
  #used = 0;
  #offsets: number[] = [];
  #lengths: number[] = [];

  constructor(file: HostFile) {
    this.#file = file;
  }

  /** Copies `data`; it is in the file after the next flush at the latest. */
  async write(offset: number, data: Uint8Array): Promise<void> {
    if (data.length > BUFFER_BYTES) return this.#file.write(data, offset);
    if (!this.#hasRoom(data.length)) await this.flush();
    this.#append(offset, data);
  }

  /** The same for a table of 32-bit words, which is stored in big-endian order. */
  async writeWords(offset: number, words: Uint32Array): Promise<void> {
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    if (bytes.length > BUFFER_BYTES) return this.#file.write(Buffer.from(bytes).swap32(), offset);
    if (!this.#hasRoom(bytes.length)) await this.flush();
    const at = this.#used;
    this.#append(offset, bytes);
    Buffer.from(this.#buffer.buffer, at, bytes.length).swap32();
  }

  async flush(): Promise<void> {
    if (this.#used === 0) return;
    const data = this.#buffer.subarray(0, this.#used);
    const offsets = Float64Array.from(this.#offsets);
    const lengths = Uint32Array.from(this.#lengths);
    // The engine reads the buffer until it is done; whoever writes meanwhile gets another.
    const written = this.#buffer;
    this.#buffer = this.#spare ?? new Uint8Array(0);
    this.#spare = undefined;
    this.#used = 0;
    this.#offsets = [];
    this.#lengths = [];
    await this.#file.writePieces(data, offsets, lengths);
    this.#spare = written;
  }

  #hasRoom(length: number): boolean {
    return this.#used + length <= BUFFER_BYTES && this.#offsets.length < MAX_PIECES;
  }

  #append(offset: number, data: Uint8Array): void {
    this.#grow(this.#used + data.length);
    this.#buffer.set(data, this.#used);
    this.#used += data.length;
    const last = this.#offsets.length - 1;
    if (last >= 0 && this.#offsets[last] + this.#lengths[last] === offset) this.#lengths[last] += data.length;
    else {
      this.#offsets.push(offset);
      this.#lengths.push(data.length);
    }
  }

  #grow(length: number): void {
    if (length <= this.#buffer.length) return;
    const larger = new Uint8Array(length <= FIRST_BYTES ? FIRST_BYTES : BUFFER_BYTES);
    larger.set(this.#buffer.subarray(0, this.#used));
    this.#buffer = larger;
  }
}
