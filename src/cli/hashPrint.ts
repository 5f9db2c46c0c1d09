// How digests are asked for and printed, by --output.
import { BlkhashPlan } from '../operations/digests/blkhash.js';
import { etagOf, planEtag } from '../operations/digests/etag.js';
import { escapedName } from '../operations/digests/names.js';
import { type DigestReport, reportOf, reportRequests, reportTimes } from '../operations/digests/report.js';
import { type DigestWriter, digestWriter } from '../operations/digests/writers.js';
import type { HashOutcome, HashRequest } from '../operations/hash.js';
import type { CliContext } from './context.js';
import type { HashWords } from './hashOptions.js';
import { print } from './output.js';
import { packageVersion } from './version.js';

/** What is to be digested of one file, and what to make of it. */
export interface Work {
  path: string;
  requests: HashRequest[];
  print(outcomes: readonly HashOutcome[]): void;
}

export class HashPrinter {
  readonly #words: HashWords;
  readonly #ctx: CliContext;
  readonly #writer: DigestWriter;

  constructor(words: HashWords, command: string, ctx: CliContext) {
    this.#words = words;
    this.#ctx = ctx;
    const { output, algorithms } = words;
    const format = output === 'etag' || output === 'bmap' ? 'plain' : output;
    const origin = { program: ctx.programName, version: packageVersion(), command, execution: true };
    this.#writer = digestWriter(format, algorithms, origin);
  }

  begin(): void {
    print(this.#ctx, this.#writer.begin());
  }

  end(): void {
    print(this.#ctx, this.#writer.end());
  }

  failed(path: string, reason: string): void {
    print(this.#ctx, this.#writer.failed(path, reason));
  }

  print(work: Work, outcomes: readonly HashOutcome[]): void {
    work.print(outcomes);
  }

  plan(source: HashRequest): Promise<Work> {
    if (this.#words.output === 'etag') return this.#etag(source);
    return this.#words.blkhash ? this.#blkhash(source) : this.#report(source);
  }

  async #etag(source: HashRequest): Promise<Work> {
    const partSize = this.#words.chunkSize;
    const { path } = source;
    return {
      path,
      requests: [await planEtag({ ...source, partSize })],
      print: ([outcome]) => {
        const { escaped, text } = escapedName(path);
        print(this.#ctx, `${escaped ? '\\' : ''}${etagOf(outcome, partSize).etag}  ${text}\n`);
      },
    };
  }

  async #blkhash(source: HashRequest): Promise<Work> {
    const { algorithms, blockSize } = this.#words;
    const [algorithm] = algorithms;
    const plan = new BlkhashPlan(algorithm, source.path);
    return {
      path: source.path,
      requests: [{ ...source, ...plan.request(blockSize) }],
      print: (outcomes) => {
        const digest = plan.digest(outcomes[0].size);
        this.#write({ ...reportOf(source, outcomes), blkhash: { algorithm, blockSize, digest } });
      },
    };
  }

  async #report(source: HashRequest): Promise<Work> {
    const { algorithms, chunkSize, output } = this.#words;
    const whole = chunkSize === undefined || this.#words.whole || output === 'dfxml';
    const times = output === 'dfxml' ? await reportTimes(source.path) : undefined;
    return {
      path: source.path,
      requests: reportRequests(source, { algorithms, chunkSize, whole }),
      print: (outcomes) => this.#write({ ...reportOf(source, outcomes), times }),
    };
  }

  #write(report: DigestReport): void {
    for (const text of this.#writer.file(report)) print(this.#ctx, text);
  }
}
