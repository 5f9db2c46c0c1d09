import { DiskImageError } from '../../disk/errors.js';
import type { ChunkDigests } from '../hash.js';
import type { HashAlgorithm } from '../hashAlgorithms.js';
import { chunkRows, eachOf, joined, pieceSuffix } from './chunkRows.js';
import { DfxmlWriter } from './dfxmlWriter.js';
import { escapedName, hashdeepName, pieceName } from './names.js';
import { chunkLists, type DigestReport } from './report.js';

export type DigestFormat = 'plain' | 'hashdeep' | 'dfxml' | 'json';

/** Who writes a list, for the formats that say so. */
export interface DigestListOrigin {
  /** Default `basecow`. */
  program?: string;
  version?: string;
  /** As it was given; default none. */
  command?: string;
  /** Default the current one. */
  directory?: string;
  /** Machine, user and time too (DFXML). Default false: the same input makes the same list. */
  execution?: boolean;
}

/** Writes one list: `begin`, `file` (or `failed`) for each, `end`. Texts come in pieces, to be joined as they are. */
export interface DigestWriter {
  begin(): string;
  /** @throws INVALID_ARGUMENT when the format cannot hold the file's name. */
  file(report: DigestReport): Iterable<string>;
  /** A file that could not be read. */
  failed(path: string, reason: string): string;
  end(): string;
}

/**
 * A writer of `format`: md5sum's lines, or md5deep's of chunks (`plain`); hashdeep's audit file; DFXML as md5deep -d
 * writes it; our JSON. `algorithms`: the columns of hashdeep's, in any order.
 */
export function digestWriter(
  format: DigestFormat,
  algorithms: readonly HashAlgorithm[],
  origin: DigestListOrigin = {},
): DigestWriter {
  if (format === 'plain') return new PlainWriter(algorithms);
  if (format === 'hashdeep') return new HashdeepWriter(algorithms, origin);
  if (format === 'dfxml') return new DfxmlWriter(algorithms, origin);
  if (format === 'json') return new JsonWriter();
  throw new DiskImageError(
    'INVALID_ARGUMENT',
    `format must be one of plain, hashdeep, dfxml, json, not '${String(format)}'`,
    { operation: 'hash' },
  );
}

/** A whole list of files already digested. */
export function* writeDigests(
  format: DigestFormat,
  reports: Iterable<DigestReport>,
  algorithms: readonly HashAlgorithm[],
  origin: DigestListOrigin = {},
): Generator<string> {
  const writer = digestWriter(format, algorithms, origin);
  yield writer.begin();
  for (const report of reports) yield* writer.file(report);
  yield writer.end();
}

class PlainWriter implements DigestWriter {
  readonly #algorithms: readonly HashAlgorithm[];

  constructor(algorithms: readonly HashAlgorithm[]) {
    this.#algorithms = algorithms;
  }

  begin(): string {
    return '';
  }

  *file(report: DigestReport): Generator<string> {
    const whole = escapedName(report.path);
    const mark = whole.escaped ? '\\' : '';
    for (const algorithm of this.#algorithms) {
      const digest = report.digests[algorithm];
      if (digest !== undefined) yield `${mark}${digest}  ${whole.text}\n`;
    }
    if (report.blkhash) yield `${mark}${report.blkhash.digest}  ${whole.text}\n`;
    const piece = pieceName(report.path);
    const pieceMark = piece.escaped ? '\\' : '';
    for (const chunks of chunkLists(report)) {
      const rows = chunkRows({ ...report, chunks: [chunks] });
      yield* joined(
        eachOf(rows, (row) => `${pieceMark}${row.digests[0]}  ${piece.text}${pieceSuffix(row)}\n`),
      );
    }
  }

  failed(): string {
    return '';
  }

  end(): string {
    return '';
  }
}

/** hashdeep's own order of columns. */
const HASHDEEP_ORDER = ['md5', 'sha1', 'sha256'];

class HashdeepWriter implements DigestWriter {
  readonly #algorithms: readonly HashAlgorithm[];
  readonly #origin: DigestListOrigin;

  constructor(algorithms: readonly HashAlgorithm[], origin: DigestListOrigin) {
    const strange = algorithms.find((name) => !HASHDEEP_ORDER.includes(name));
    if (strange) {
      throw new DiskImageError(
        'INVALID_ARGUMENT',
        `hashdeep's format has ${HASHDEEP_ORDER.join(', ')}, not '${strange}'`,
        { operation: 'hash' },
      );
    }
    const rank = (name: string) => HASHDEEP_ORDER.indexOf(name);
    this.#algorithms = algorithms.toSorted((a, b) => rank(a) - rank(b));
    this.#origin = origin;
  }

  begin(): string {
    const { command = 'basecow', directory = process.cwd() } = this.#origin;
    const line = (text: string) => text.replaceAll(/[\n\r]/g, ' ');
    return (
      `%%%% HASHDEEP-1.0\n%%%% size,${this.#algorithms.join(',')},filename\n` +
      `## Invoked from: ${line(directory)}\n## # ${line(command)}\n## \n`
    );
  }

  *file(report: DigestReport): Generator<string> {
    const name = hashdeepName(report.path);
    const { digests } = report;
    const chunks = chunkLists(report);
    const whole = this.#algorithms.map((algorithm) => digests[algorithm]);
    if (!whole.includes(undefined)) yield `${report.size},${whole.join(',')},${name}\n`;
    const columns = this.#algorithms.map((algorithm) =>
      chunks.findIndex((one) => one.algorithm === algorithm),
    );
    if (chunks.length === 0 || columns.includes(-1)) return;
    const rows = chunkRows(report);
    yield* joined(
      eachOf(rows, (row) => {
        const cells = columns.map((column) => row.digests[column]);
        return `${row.length},${cells.join(',')},${name}${pieceSuffix(row)}\n`;
      }),
    );
  }

  failed(): string {
    return '';
  }

  end(): string {
    return '';
  }
}

class JsonWriter implements DigestWriter {
  #files = 0;

  begin(): string {
    return '[';
  }

  *file(report: DigestReport): Generator<string> {
    yield this.#files++ === 0 ? '\n' : ',\n';
    const { path, size, guest = false, format, digests, blkhash } = report;
    const chunks = chunkLists(report);
    const head = JSON.stringify({ filename: path, size, guest, format, ...digests, blkhash }, null, 4);
    const body = head.slice(0, -2).replaceAll('\n', '\n    ');
    yield `    ${body}`;
    if (chunks.length === 1) {
      yield ',\n        "chunks": ';
      yield* this.#chunks(report, chunks[0], 8);
    } else if (chunks.length > 1) {
      for (const [i, one] of chunks.entries()) {
        yield i === 0 ? ',\n        "chunks": [\n            ' : ',\n            ';
        yield* this.#chunks(report, one, 12);
      }
      yield '\n        ]';
    }
    yield '\n    }';
  }

  *#chunks(report: DigestReport, chunks: ChunkDigests, indent: number): Generator<string> {
    const space = ' '.repeat(indent);
    const { algorithm, size, count } = chunks;
    yield `{\n${space}    "algorithm": ${JSON.stringify(algorithm)},\n${space}    "size": ${size},\n${space}    "digests": [`;
    if (count > 0) {
      let first = true;
      const rows = chunkRows({ ...report, chunks: [chunks] });
      yield* joined(
        eachOf(rows, (row) => {
          const comma = first ? '' : ',';
          first = false;
          return `${comma}\n${space}        "${row.digests[0]}"`;
        }),
      );
      yield `\n${space}    `;
    }
    yield `]\n${space}}`;
  }

  failed(): string {
    return '';
  }

  end(): string {
    return this.#files === 0 ? ']\n' : '\n]\n';
  }
}
