// The same command line given to qemu-img and to basecow under qemu-img's name, in two directories made alike.
// basecow runs inside the test's process: hundreds of commands cost no start-up each.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { Test } from 'tap';
import { runProgram } from '#src/cli/program.js';
import { type Ran, run, tryRun } from './tools.js';

/** Splits a command line as a shell does: blanks, single and double quotes, no expansion. */
export function shellWords(line: string): string[] {
  const words: string[] = [];
  for (const [, ...parts] of line.matchAll(/((?:[^\s'"]|'[^']*'|"[^"]*")+)/g)) {
    words.push(parts[0].replace(/'([^']*)'|"([^"]*)"/g, (_, single, double) => single ?? double));
  }
  return words;
}

/** Verbs that change nothing: both programs look at the very same files. */
const READERS = new Set(['info', 'map', 'check', 'compare', 'measure']);

function readsOnly([verb, ...args]: string[]): boolean {
  return READERS.has(verb) && !args.some((word) => word.startsWith('-r') || word.startsWith('--r'));
}

/** What two images made by the same words must agree in; the rest is where their makers differ. */
interface MadeInfo {
  format: string;
  'virtual-size': number;
  'format-specific'?: unknown;
  'backing-filename'?: string;
  'backing-filename-format'?: string;
}

/** Runs a command line in this process, as the program `programName`. */
export async function runHere(words: string[], programName = 'qemu-img', signal?: AbortSignal): Promise<Ran> {
  // Times of snapshots are local times; qemu-img is run with the same zone.
  process.env.TZ = 'UTC';
  const [stdout, stderr] = [new Collected(), new Collected()];
  const ended = await runProgram(words, {
    programName,
    stdout,
    stderr,
    signal: signal ?? new AbortController().signal,
  });
  return { status: ended === 'cancelled' ? -1 : ended, stdout: stdout.text, stderr: stderr.text };
}

class Collected extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export class Twins {
  readonly #theirs: string;
  readonly #ours: string;

  /** `setup` makes the images, once in each directory. */
  constructor(t: Test, setup: (dir: string) => void) {
    const root = t.testdir({ theirs: {}, ours: {} });
    this.#theirs = join(root, 'theirs');
    this.#ours = join(root, 'ours');
    for (const dir of [this.#theirs, this.#ours]) {
      mkdirSync(join(dir, 'dir'));
      setup(dir);
    }
  }

  /** Where qemu-img works, and where basecow does. */
  get dirs(): [string, string] {
    return [this.#theirs, this.#ours];
  }

  /**
   * One test per line: stdout, stderr and exit code must be qemu-img's, byte for byte. `WORDS => FILE FORMAT` also
   * compares what was made: content, qemu-img check, and what qemu-img info says of it.
   */
  async table(t: Test, lines: readonly string[]): Promise<void> {
    for (const line of lines) {
      const [command, made] = line.split(' => ');
      const { theirs, ours } = await this.both(shellWords(command));
      t.strictSame(ours, theirs, command);
      if (made) this.#sameImage(t, command, made.split(' '));
    }
  }

  async both(words: string[]): Promise<{ theirs: Ran; ours: Ran }> {
    const theirs = tryRun('qemu-img', words, { cwd: this.#theirs });
    const reads = readsOnly(words);
    return { theirs, ours: await this.ours(words, reads ? this.#theirs : this.#ours) };
  }

  /** Our qcow2 image is sound to qemu-img, and holds what the other one does. */
  soundAndEqual(t: Test, file: string, other: string): void {
    const checked = tryRun('qemu-img', ['check', '-q', '-f', 'qcow2', file], { cwd: this.#ours });
    t.match(checked, { status: 0, stderr: '' }, `${file} is sound`);
    const words = ['compare', '-f', 'qcow2', '-F', 'qcow2', file, other];
    t.match(
      tryRun('qemu-img', words, { cwd: this.#ours }),
      { status: 0 },
      `${file} holds what ${other} does`,
    );
  }

  /** basecow alone. */
  async ours(words: string[], cwd = this.#ours): Promise<Ran> {
    const before = process.cwd();
    process.chdir(cwd);
    try {
      return await runHere(words);
    } finally {
      process.chdir(before);
    }
  }

  #sameImage(t: Test, command: string, [file, format]: string[]): void {
    const dirs = [this.#theirs, this.#ours];
    // Read where they were made: QEMU looks for a data file in the working directory.
    for (const cwd of dirs)
      run('qemu-img', ['convert', '-f', format, '-O', 'raw', file, 'content.raw'], { cwd });
    const [theirs, ours] = dirs.map((dir) => join(dir, 'content.raw'));
    const compared = tryRun('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', theirs, ours]);
    t.match(compared, { status: 0, stdout: 'Images are identical.\n' }, `content after: ${command}`);
    const [expected, found] = dirs.map((dir) => this.#info(dir, file, format));
    t.strictSame(found, expected, `info after: ${command}`);
    if (format === 'raw') return;
    const checked = tryRun('qemu-img', ['check', '-f', format, file], { cwd: this.#ours });
    t.match(checked, { status: 0, stderr: '' }, `check after: ${command}`);
  }

  #info(cwd: string, file: string, format: string): MadeInfo {
    const info = JSON.parse(
      run('qemu-img', ['info', '-f', format, '--output=json', file], { cwd }),
    ) as MadeInfo;
    return {
      format: info.format,
      'virtual-size': info['virtual-size'],
      'format-specific': info['format-specific'],
      'backing-filename': info['backing-filename'],
      'backing-filename-format': info['backing-filename-format'],
    };
  }
}
