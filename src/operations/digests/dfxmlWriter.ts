// DFXML as md5deep and hashdeep -d write it.
import { hostname, machine, release, type, version } from 'node:os';
import type { HashAlgorithm } from '../hashAlgorithms.js';
import { chunkRows, joined } from './chunkRows.js';
import { printable, xmlText } from './names.js';
import { chunkLists, type DigestReport } from './report.js';
import type { DigestListOrigin, DigestWriter } from './writers.js';

/** What md5deep itself lists, whether enabled or not. */
const MD5DEEP_ALGORITHMS = ['md5', 'sha1', 'sha256', 'tiger', 'whirlpool'];

export class DfxmlWriter implements DigestWriter {
  readonly #algorithms: readonly HashAlgorithm[];
  readonly #origin: DigestListOrigin;
  readonly #started = new Date();

  constructor(algorithms: readonly HashAlgorithm[], origin: DigestListOrigin) {
    this.#algorithms = algorithms;
    this.#origin = origin;
  }

  begin(): string {
    const { program = 'basecow', version: own = '' } = this.#origin;
    const names = [...new Set<string>([...MD5DEEP_ALGORITHMS, ...this.#algorithms])];
    const enabled = (name: string) => ((this.#algorithms as readonly string[]).includes(name) ? 1 : 0);
    const rows = names
      .map((name) => `      <algorithm name='${name}' enabled='${enabled(name)}'/>\n`)
      .join('');
    return `<?xml version='1.0' encoding='UTF-8'?>
<dfxml${' '}
  xmlns='http://www.forensicswiki.org/wiki/Category:Digital_Forensics_XML'${' '}
  xmlns:deep='http://md5deep.sourceforge.net/md5deep/'${' '}
  xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'${' '}
  xmlns:dc='http://purl.org/dc/elements/1.1/' version='1.0'>
  <deep:configuration>
    <algorithms>
${rows}    </algorithms>
  </deep:configuration>
  <metadata>
    <dc:type>Hash List</dc:type>
  </metadata>
  <creator version='1.0'>
    <program>${xmlText(program)}</program>
    <version>${xmlText(own)}</version>
${this.#execution()}  </creator>
`;
  }

  #execution(): string {
    if (!this.#origin.execution) return '';
    const values: readonly [string, string | number][] = [
      ['os_sysname', type()],
      ['os_release', release()],
      ['os_version', version()],
      ['host', hostname()],
      ['arch', machine()],
      ['command_line', printable(this.#origin.command ?? '')],
      ['uid', process.getuid?.() ?? 0],
      ['start_time', stamp(this.#started)],
    ];
    const rows = values.map(([name, value]) => `      <${name}>${xmlText(String(value))}</${name}>\n`);
    return `    <execution_environment>\n${rows.join('')}    </execution_environment>\n`;
  }

  *file(report: DigestReport): Generator<string> {
    const { path, size, times, digests } = report;
    yield `  <fileobject>\n    <filename>${xmlText(path)}</filename>\n    <filesize>${size}</filesize>\n`;
    if (times) {
      yield `    <mtime>${stamp(times.modified)}</mtime>\n    <ctime>${stamp(times.changed)}</ctime>\n    <atime>${stamp(times.accessed)}</atime>\n`;
    }
    const types = chunkLists(report).map(({ algorithm }) => algorithm.toUpperCase());
    yield* joined(runs(report, types));
    for (const algorithm of this.#algorithms) {
      const digest = digests[algorithm];
      if (digest !== undefined) yield `    ${hashdigest(algorithm.toUpperCase(), digest)}`;
    }
    yield '  </fileobject>\n';
  }

  failed(path: string, reason: string): string {
    const name = printable(path);
    return `  <fileobject>\n    <filename>${xmlText(name)}</filename>\n    <error>${xmlText(reason)}</error>\n  </fileobject>\n`;
  }

  end(): string {
    if (!this.#origin.execution) return '</dfxml>\n';
    const usage = process.resourceUsage();
    const seconds = (microseconds: number) => (microseconds / 1e6).toFixed(6);
    const rows: readonly [string, string | number][] = [
      ['utime', seconds(usage.userCPUTime)],
      ['stime', seconds(usage.systemCPUTime)],
      ['maxrss', usage.maxRSS],
      ['minflt', usage.minorPageFault],
      ['majflt', usage.majorPageFault],
      ['nswap', usage.swappedOut],
      ['inblock', usage.fsRead],
      ['oublock', usage.fsWrite],
      ['clocktime', ((Date.now() - this.#started.getTime()) / 1000).toFixed(6)],
    ];
    const lines = rows.map(([name, value]) => `    <${name}>${value}</${name}>\n`);
    return `  <rusage>\n${lines.join('')}  </rusage>\n</dfxml>\n`;
  }
}

function* runs(report: DigestReport, types: readonly string[]): Generator<string> {
  for (const { start, length, digests } of chunkRows(report)) {
    const lines = digests.map((digest, i) => `      ${hashdigest(types[i], digest)}`).join('');
    yield `    <byte_run file_offset='${start}' len='${length}'>   \n${lines}    </byte_run>\n`;
  }
}

const hashdigest = (type: string, digest: string): string =>
  `<hashdigest type='${type}'>${digest}</hashdigest>\n`;

/** Whole seconds, UTC. */
const stamp = (time: Date): string => time.toISOString().replace(/\.\d+Z$/, 'Z');
