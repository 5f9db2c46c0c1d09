// A host file that keeps a log of what is written to it, and images of what storage may hold after a crash: the log cut
// anywhere, and of what no sync had settled yet any part, torn at sectors.
import type { GuestFile } from '#src/disk/guestFile.js';
import type { HostFile } from '#src/disk/hostFile.js';
import type { Random } from './random.js';

const SECTOR = 512;

type Entry =
  | { kind: 'write'; offset: number; bytes: Buffer }
  | { kind: 'zero'; offset: number; length: number }
  | { kind: 'truncate'; size: number }
  | { kind: 'sync' };

/** Behaves as the file it wraps (the methods that formats use). */
export class RecordingFile implements GuestFile {
  readonly log: Entry[] = [];
  readonly #file: HostFile;

  constructor(file: HostFile) {
    this.#file = file;
  }

  get path(): string {
    return this.#file.path;
  }

  get fd(): number {
    return this.#file.fd;
  }

  get size(): number {
    return this.#file.size;
  }

  /** Itself: what is written through it is noted. */
  get host(): HostFile {
    return this as unknown as HostFile;
  }

  get identity(): string {
    return this.#file.identity;
  }

  get isBlockDevice(): boolean {
    return false;
  }

  read(buffer: Uint8Array, offset: number): Promise<number> {
    return this.#file.read(buffer, offset);
  }

  readExact(offset: number, length: number, what: string): Promise<Buffer> {
    return this.#file.readExact(offset, length, what);
  }

  write(buffer: Uint8Array, offset: number): Promise<void> {
    this.log.push({ kind: 'write', offset, bytes: Buffer.from(buffer) });
    return this.#file.write(buffer, offset);
  }

  writePieces(buffer: Uint8Array, offsets: Float64Array, lengths: Uint32Array): Promise<void> {
    let at = 0;
    for (let i = 0; i < offsets.length; i++) {
      const bytes = Buffer.from(buffer.subarray(at, at + lengths[i]));
      this.log.push({ kind: 'write', offset: offsets[i], bytes });
      at += lengths[i];
    }
    return this.#file.writePieces(buffer, offsets, lengths);
  }

  async readGuest(buffer: Uint8Array, offset: number): Promise<void> {
    const got = await this.read(buffer, offset);
    if (got < buffer.length) buffer.fill(0, got);
  }

  writeGuest(buffer: Uint8Array, offset: number): Promise<void> {
    return this.write(buffer, offset);
  }

  writeGuestPieces(buffer: Uint8Array, offsets: Float64Array, lengths: Uint32Array): Promise<void> {
    return this.writePieces(buffer, offsets, lengths);
  }

  seal(): undefined {
    return undefined;
  }

  moved(): this {
    return this;
  }

  zero(offset: number, length: number): Promise<void> {
    this.log.push({ kind: 'zero', offset, length });
    return this.#file.zero(offset, length);
  }

  truncate(size: number): Promise<void> {
    this.log.push({ kind: 'truncate', size });
    return this.#file.truncate(size);
  }

  /** Settles what was written when it began, no more. */
  async sync(): Promise<void> {
    await this.#file.sync();
    this.log.push({ kind: 'sync' });
  }

  refresh(): Promise<void> {
    return this.#file.refresh();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** What storage may hold when the machine stops after `cut` entries of the log, over what it held at first. */
export function crashed(before: Buffer, log: readonly Entry[], cut: number, random: Random): Buffer {
  let settled = cut;
  while (settled > 0 && log[settled - 1].kind !== 'sync') settled--;
  const image = new Storage(before);
  for (let i = 0; i < settled; i++) image.apply(log[i]);
  // Nothing, everything, or some of the rest.
  const share = random.pick([0, 0.3, 0.5, 0.8, 1]);
  for (let i = settled; i < cut; i++) {
    const entry = log[i];
    if (entry.kind === 'write' && share < 1) {
      for (let at = 0; at < entry.bytes.length; ) {
        // Storage keeps sectors whole.
        const end = Math.min(
          entry.bytes.length,
          (Math.floor((entry.offset + at) / SECTOR) + 1) * SECTOR - entry.offset,
        );
        const piece = { ...entry, offset: entry.offset + at, bytes: entry.bytes.subarray(at, end) };
        if (random.next() < share) image.apply(piece);
        at = end;
      }
    } else if (random.next() < share) image.apply(entry);
  }
  return image.bytes;
}

class Storage {
  #bytes: Buffer;
  #size: number;

  constructor(bytes: Buffer) {
    this.#bytes = Buffer.from(bytes);
    this.#size = bytes.length;
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  apply(entry: Entry): void {
    if (entry.kind === 'write') {
      this.#reach(entry.offset + entry.bytes.length);
      entry.bytes.copy(this.#bytes, entry.offset);
    } else if (entry.kind === 'zero') {
      this.#bytes.fill(0, entry.offset, Math.min(this.#size, entry.offset + entry.length));
    } else if (entry.kind === 'truncate') {
      this.#bytes.fill(0, Math.min(entry.size, this.#bytes.length));
      this.#reach(entry.size);
      this.#size = entry.size;
    }
  }

  #reach(size: number): void {
    if (size > this.#bytes.length) {
      const grown = Buffer.alloc(size * 2);
      this.#bytes.copy(grown);
      this.#bytes = grown;
    }
    this.#size = Math.max(this.#size, size);
  }
}
