import { fstatSync, writeSync } from 'node:fs';
import type { TextSink } from './context.js';
import { errnoText } from './errno.js';
import { CliError } from './errors.js';

/**
 * stdout or stderr, written to without Node's stream for it, which takes some milliseconds to make: that is done when a
 * terminal's is asked for, or the other end is slow and does not block.
 */
export class Outlet implements TextSink {
  readonly #fd: 1 | 2;
  #stream: NodeJS.WriteStream | undefined;
  #closed = false;

  constructor(fd: 1 | 2) {
    this.#fd = fd;
  }

  get isTTY(): boolean {
    try {
      return fstatSync(this.#fd).isCharacterDevice() && this.stream.isTTY === true;
    } catch {
      return false;
    }
  }

  get stream(): NodeJS.WriteStream {
    if (!this.#stream) {
      this.#stream = this.#fd === 1 ? process.stdout : process.stderr;
      this.#stream.on('error', (error) => this.#failed(error));
    }
    return this.#stream;
  }

  /** @throws CliError, but for a reader that went away: how the work itself went tells the exit code. */
  write(text: string): void {
    if (this.#closed) return;
    if (this.#stream) {
      this.#stream.write(text);
      return;
    }
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) {
      try {
        at += writeSync(this.#fd, bytes, at);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EINTR') continue;
        if (code === 'EAGAIN') this.stream.write(bytes.subarray(at));
        else this.#failed(error as NodeJS.ErrnoException);
        return;
      }
    }
  }

  /** Everything written has gone. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stream && !this.#closed) this.#stream.write('', () => resolve());
      else resolve();
    });
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (error.code !== 'EPIPE') {
      throw new CliError(`write error: ${errnoText(error.code ?? '') ?? error.message}`, { cause: error });
    }
    this.#closed = true;
  }
}
