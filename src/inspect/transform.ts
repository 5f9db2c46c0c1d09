import { Transform, type TransformCallback } from 'node:stream';
import { StreamInspector } from './stream.js';
import type { Inspection, InspectOptions } from './types.js';

/** A pass-through stream that judges the image flowing through it (see StreamInspector). */
export class InspectionStream extends Transform {
  readonly #inspector: StreamInspector;
  #verdict: Inspection | undefined;

  /** @throws UNKNOWN_FORMAT for a claim that is no known format. */
  constructor(options: InspectOptions = {}) {
    super();
    this.#inspector = new StreamInspector(options);
  }

  /** The verdict; undefined before the stream has ended. */
  get verdict(): Inspection | undefined {
    return this.#verdict;
  }

  /** What the bytes so far tell: see StreamInspector.earlyVerdict. */
  earlyVerdict(): Inspection | undefined {
    return this.#inspector.earlyVerdict();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.#inspector.push(chunk);
      done(null, chunk);
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      this.#verdict = this.#inspector.end();
      done();
    } catch (error) {
      done(error as Error);
    }
  }
}
