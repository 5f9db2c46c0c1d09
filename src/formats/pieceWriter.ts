import type { HostFile } from '../disk/hostFile.js';
import { native } from '../native.js';

const BUFFER_BYTES = 2 ** 20;
const MAX_PIECES = 4096;

/** Gathers small writes (tables) and hands them to the engine about a MiB at a time; neighbours become one write. */
export class PieceWriter {
  readonly #file: HostFile;
  #buffer = new Uint8Array(BUFFER_BYTES);
  #used = 0;
  #offsets: number[] = [];
  #lengths: number[] = [];

  constructor(file: HostFile) {
    this.#file = file;
  }

  /** Copies `data`; it is in the file after the next flush at the latest. */
  async write(offset: number, data: Uint8Array): Promise<void> {
    if (this.#used + data.length > BUFFER_BYTES || this.#offsets.length === MAX_PIECES) await this.flush();
    if (data.length > BUFFER_BYTES) return this.#file.write(data, offset);
    this.#buffer.set(data, this.#used);
    this.#used += data.length;
    const last = this.#offsets.length - 1;
    if (last >= 0 && this.#offsets[last] + this.#lengths[last] === offset) this.#lengths[last] += data.length;
    else {
      this.#offsets.push(offset);
      this.#lengths.push(data.length);
    }
  }

  async flush(): Promise<void> {
    if (this.#used === 0) return;
    const { fd, path } = this.#file;
    const data = this.#buffer.subarray(0, this.#used);
    const offsets = Float64Array.from(this.#offsets);
    const lengths = Uint32Array.from(this.#lengths);
    // The engine reads the buffer until it is done; whoever writes meanwhile gets another.
    this.#buffer = new Uint8Array(BUFFER_BYTES);
    this.#used = 0;
    this.#offsets = [];
    this.#lengths = [];
    await native.writePieces(fd, path, data, offsets, lengths);
  }
}
