import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { JobControl, type Progress } from '../../disk/control.js';
import { DiskImageError } from '../../disk/errors.js';
import { pace } from '../../operations/pace.js';
import { throwIfAborted } from '../abort.js';
import type { FollowingDigest } from '../followingDigest.js';
import type { Intake } from '../intake.js';
import { PartFile } from '../partFile.js';
import { nameOf, type Origin } from './location.js';
import { ConnectionError, get, type Reply, type RequestLimits } from './request.js';
import {
  addressDigest,
  bootId,
  contentLength,
  type PartState,
  parseContentRange,
  readPartState,
  strongValidator,
  writePartState,
} from './validator.js';

/** Bytes that are judged in memory before the first one is written. */
const HEAD_BYTES = 2 ** 16;
const READ_BYTES = 2 ** 20;
/** A try that came this much further than all before was worth it: the count of failures starts anew. */
const WORTHWHILE_BYTES = 2 ** 20;
const FIRST_BACKOFF_MS = 250;
const LAST_BACKOFF_MS = 10_000;
const MAX_RETRY_AFTER_MS = 30_000;
const PROGRESS_INTERVAL_MS = 100;
const DEFAULT_RETRIES = 5;

export interface HttpLimits extends RequestLimits {
  /** Failures in a row before a download is given up. Default 5. */
  retries?: number;
}

export interface DownloadRequest {
  origin: Origin;
  part: string;
  partState: string;
  intake: Intake;
  digest: FollowingDigest;
  /** Most bytes taken; a sender that goes on is cut off. */
  maxBytes: number;
  limits: HttpLimits;
  signal?: AbortSignal;
  bytesPerSecond?: number;
  onProgress?: (progress: Progress) => void;
}

/**
 * Fetches a file into `part`, which may hold the beginning already. Nothing is written before the first bytes are
 * judged; a connection that breaks is taken up where it broke when the server can prove that the file is the same.
 */
export class Download {
  readonly #request: DownloadRequest;
  readonly #name: string;
  readonly #control = new JobControl();
  #part: PartFile | undefined;
  /** What the bytes so far belong to; undefined = they can't be continued. */
  #state: PartState | undefined;
  #total: number | undefined;
  #head: Uint8Array[] = [];
  #headBytes = 0;
  #lastReport = 0;

  constructor(request: DownloadRequest) {
    this.#request = request;
    this.#name = nameOf(request.origin.url);
    this.#control.bytesPerSecond = request.bytesPerSecond ?? 0;
  }

  /** Whether a later run could take up what is there now. */
  get resumable(): boolean {
    return this.#state !== undefined && this.#part !== undefined && this.#part.position > 0;
  }

  /**
   * @returns the open, complete part and its size in bytes; the caller closes it.
   * @throws DOWNLOAD_FAILED, IMAGE_TOO_LARGE, IMAGE_UNSAFE, IO, CANCELLED
   */
  async run(): Promise<PartFile> {
    const { limits, signal } = this.#request;
    const unfollow = this.#control.follow(signal);
    try {
      return await this.#insist(limits.retries ?? DEFAULT_RETRIES, signal);
    } finally {
      unfollow();
    }
  }

  async #insist(retries: number, signal: AbortSignal | undefined): Promise<PartFile> {
    await this.#takeUp();
    let furthest = this.#position;
    for (let failures = 0; ; ) {
      throwIfAborted(signal, 'fetch');
      try {
        await this.#attempt();
        return await this.#complete();
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
        failures = this.#position - furthest >= WORTHWHILE_BYTES ? 1 : failures + 1;
        furthest = Math.max(furthest, this.#position);
        if (failures > retries)
          throw this.#failed(`${error.message} (gave up after ${failures} tries)`, error);
        await this.#keepWhatCame();
        await this.#pause(failures, error);
      }
    }
  }

  async close(): Promise<void> {
    await this.#part?.close();
  }

  get #position(): number {
    return (this.#part?.position ?? 0) + this.#headBytes;
  }

  /** Continues a part that a killed run left, if it is known to be a beginning of this very file. */
  async #takeUp(): Promise<void> {
    const { part, partState, origin, intake, digest } = this.#request;
    const found = await fs.lstat(part).catch(() => undefined);
    if (!found?.isFile()) return;
    const state = await readPartState(partState);
    const fits = state && state.address === addressDigest(origin) && state.boot === (await bootId());
    if (!fits || found.size === 0 || found.size > state.length) return;
    const opened = await PartFile.open(part);
    this.#adopt(opened);
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (let at = 0; at < found.size; ) {
      throwIfAborted(this.#request.signal, 'fetch');
      const count = await opened.file.read(buffer.subarray(0, Math.min(buffer.length, found.size - at)), at);
      intake.push(buffer.subarray(0, count), state.length);
      at += count;
    }
    digest.follow(opened.file, found.size);
    this.#state = state;
    this.#total = state.length;
  }

  async #attempt(): Promise<void> {
    const { origin, limits, signal } = this.#request;
    const offset = this.#position;
    const range: Record<string, string> =
      offset > 0 && this.#state ? { range: `bytes=${offset}-`, 'if-range': this.#state.validator } : {};
    if (offset > 0 && !this.#state) await this.#startOver();
    if (this.#state && offset === this.#state.length) return;
    const reply = await get(origin, range, limits, signal);
    try {
      await this.#begin(reply);
      for await (const bytes of reply.body()) {
        await pace(this.#control, bytes.length);
        throwIfAborted(signal, 'fetch');
        await this.#take(bytes);
      }
    } finally {
      reply.close();
    }
    if (this.#total !== undefined && this.#position < this.#total) {
      throw new ConnectionError(`'${this.#name}' ended after ${this.#position} of ${this.#total} bytes`);
    }
  }

  /** Reads the reply's headers: from which byte on does it go, and of how many. */
  async #begin(reply: Reply): Promise<void> {
    const { status, headers } = reply;
    const coding = headers.get('content-encoding');
    if (coding !== null && coding !== 'identity') {
      throw this.#failed(`it answers with content coding '${coding.slice(0, 40)}', which was not asked for`);
    }
    if (status === 206 && this.#state) {
      const range = parseContentRange(headers.get('content-range'));
      const validator = strongValidator(headers);
      const same = validator === undefined || validator === this.#state.validator;
      if (
        range &&
        range.start === this.#position &&
        (range.total ?? this.#state.length) === this.#state.length &&
        same
      )
        return;
      await this.#startOver();
      throw new ConnectionError(`'${this.#name}' continued with other bytes than were asked for`);
    }
    if (status === 416 && this.#state) {
      const asked = this.#position;
      await this.#startOver();
      throw new ConnectionError(`'${this.#name}' has no bytes from ${asked} on`);
    }
    if (status !== 200) throw this.#refused(reply);
    await this.#startOver();
    this.#total = contentLength(headers);
    const validator = strongValidator(headers);
    if (validator !== undefined && this.#total !== undefined) {
      const address = addressDigest(this.#request.origin);
      this.#state = { address, validator, length: this.#total, boot: await bootId() };
    }
    if (this.#total !== undefined && this.#total > this.#request.maxBytes) throw this.#tooMuch(this.#total);
  }

  async #take(bytes: Uint8Array): Promise<void> {
    const { intake, maxBytes } = this.#request;
    const end = this.#position + bytes.length;
    if (end > maxBytes) throw this.#tooMuch(end);
    if (this.#total !== undefined && end > this.#total) {
      throw this.#failed(`it sent ${end} bytes or more of a file of ${this.#total}`);
    }
    intake.push(bytes, this.#total);
    if (this.#part) await this.#part.write(bytes);
    else {
      this.#head.push(bytes);
      this.#headBytes += bytes.length;
      if (this.#headBytes >= HEAD_BYTES) await this.#writeHead();
    }
    this.#report();
  }

  /** The first bytes were found good: from here on there is a file. */
  async #writeHead(): Promise<void> {
    const { part, partState } = this.#request;
    await fs.mkdir(dirname(part), { recursive: true });
    await fs.rm(partState, { force: true });
    await fs.rm(part, { force: true });
    if (this.#state) await writePartState(partState, this.#state);
    this.#adopt(await PartFile.open(part));
    const head = this.#head;
    this.#dropHead();
    for (const bytes of head) await this.#part?.write(bytes);
  }

  async #complete(): Promise<PartFile> {
    if (!this.#part) await this.#writeHead();
    const part = this.#part as PartFile;
    await part.flush();
    this.#report(true);
    return part;
  }

  #adopt(part: PartFile): void {
    this.#part = part;
    part.onStored = (end) => this.#request.digest.follow(part.file, end);
  }

  #dropHead(): void {
    this.#head = [];
    this.#headBytes = 0;
  }

  async #keepWhatCame(): Promise<void> {
    if (this.#state && this.#part) await this.#part.flush();
    else await this.#startOver();
  }

  async #startOver(): Promise<void> {
    const { intake, digest, partState } = this.#request;
    this.#dropHead();
    this.#state = undefined;
    this.#total = undefined;
    if (intake.position > 0) intake.restart();
    await digest.abort();
    const part = this.#part;
    if (!part) return;
    this.#part = undefined;
    await part.cut(0);
    await part.close();
    await fs.rm(partState, { force: true });
  }

  /** Waits before the next try: twice as long each time, or as long as the server says. */
  async #pause(failures: number, error: ConnectionError): Promise<void> {
    const doubled = Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 1), LAST_BACKOFF_MS);
    const told = error instanceof BusyError ? error.retryAfter : undefined;
    const pause = Math.min(told ?? doubled, MAX_RETRY_AFTER_MS);
    await sleep(pause, undefined, { signal: this.#request.signal }).catch(() => {}); // run() looks at the signal next
  }

  #report(last = false): void {
    const now = performance.now();
    if (!last && now - this.#lastReport < PROGRESS_INTERVAL_MS) return;
    this.#lastReport = now;
    this.#request.onProgress?.({ done: this.#position, total: this.#total ?? 0 });
  }

  #refused({ status, headers }: Reply): Error {
    const text = `'${this.#name}' answered with status ${status}`;
    if (status === 408 || status === 425 || status === 429 || status >= 500) {
      return new BusyError(text, retryAfter(headers.get('retry-after')));
    }
    return this.#failed(`it answered with status ${status}`);
  }

  #tooMuch(bytes: number): DiskImageError {
    return new DiskImageError(
      'IMAGE_TOO_LARGE',
      `Download of '${this.#name}' is refused: ${bytes} bytes exceed the limit of ${this.#request.maxBytes}`,
      { path: this.#name, operation: 'fetch' },
    );
  }

  #failed(why: string, cause?: unknown): DiskImageError {
    return new DiskImageError('DOWNLOAD_FAILED', `Download of '${this.#name}' failed: ${why}`, {
      path: this.#name,
      operation: 'fetch',
      cause,
    });
  }
}

/** The server is there but has no time. */
class BusyError extends ConnectionError {
  readonly retryAfter: number | undefined;

  constructor(message: string, retryAfter: number | undefined) {
    super(message);
    this.retryAfter = retryAfter;
  }
}

/** Milliseconds; the date form is rare enough to be ignored. */
function retryAfter(text: string | null): number | undefined {
  return text !== null && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined;
}
