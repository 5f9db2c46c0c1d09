// A made-up disk of the mixture that disks have, the same for the same seed and size on every machine.
import { type FileHandle, open } from 'node:fs/promises';

const MiB = 2 ** 20;
const SEGMENT = MiB;
const BLOCK = 65536;
const WORDS = 4096;

/** Of ten segments of 1 MiB, how many are of which kind. */
const MIXTURE = [
  'text',
  'text',
  'text',
  'text',
  'text',
  'noise',
  'noise',
  'hole',
  'hole',
  'spotted',
] as const;

/** Marsaglia's xorshift128: 32 bits a step, period 2^128 - 1. */
class Noise {
  #a: number;
  #b = 362436069;
  #c = 521288629;
  #d = 88675123;

  constructor(seed: number) {
    this.#a = seed | 1;
  }

  next(): number {
    const t = this.#a ^ (this.#a << 11);
    this.#a = this.#b;
    this.#b = this.#c;
    this.#c = this.#d;
    this.#d = this.#d ^ (this.#d >>> 19) ^ t ^ (t >>> 8);
    return this.#d >>> 0;
  }
}

/**
 * Writes a sparse raw disk of `size` bytes (a multiple of 1 MiB) to the new file `path`: half of it words of a small
 * vocabulary, a fifth incompressible, a fifth holes, the rest 64 KiB blocks of words between zeros.
 */
export async function writeInput(
  path: string,
  size: number,
  seed: number,
  signal?: AbortSignal,
): Promise<void> {
  const noise = new Noise(seed);
  const vocabulary = makeVocabulary(noise);
  const buffer = Buffer.alloc(SEGMENT);
  const file = await open(path, 'wx');
  try {
    await file.truncate(size);
    for (let at = 0; at < size; at += SEGMENT) {
      signal?.throwIfAborted();
      const kind = MIXTURE[noise.next() % MIXTURE.length];
      if (kind === 'noise') fillNoise(buffer, noise);
      else if (kind !== 'hole') fillWords(buffer, noise, vocabulary);
      if (kind === 'spotted') await writeSpots(file, buffer, at);
      else if (kind !== 'hole') await file.write(buffer, 0, SEGMENT, at);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

function makeVocabulary(noise: Noise): Buffer[] {
  return Array.from({ length: WORDS }, () => {
    const word = Buffer.alloc(3 + (noise.next() % 10));
    for (let i = 0; i < word.length; i++) word[i] = 97 + (noise.next() % 26);
    return word;
  });
}

function fillNoise(buffer: Buffer, noise: Noise): void {
  for (let i = 0; i < buffer.length; i += 4) buffer.writeUInt32LE(noise.next(), i);
}

/** Words with a number now and then, as logs and tables have them. */
function fillWords(buffer: Buffer, noise: Noise, vocabulary: readonly Buffer[]): void {
  let at = 0;
  while (at < buffer.length) {
    const draw = noise.next();
    if (draw >>> 29 === 0 && at + 4 <= buffer.length) at = buffer.writeUInt32LE(noise.next(), at);
    else at += vocabulary[draw % WORDS].copy(buffer, at);
    if (at < buffer.length) buffer[at++] = 32;
  }
}

async function writeSpots(file: FileHandle, buffer: Buffer, at: number): Promise<void> {
  for (let offset = 0; offset < SEGMENT; offset += 4 * BLOCK)
    await file.write(buffer, offset, BLOCK, at + offset);
}
