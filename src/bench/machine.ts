// The machine that figures are true of.
import * as fs from 'node:fs';
import * as os from 'node:os';

export interface Machine {
  cpu: string;
  cores: number;
  /** Instruction sets that the engine's kernels choose by. */
  flags: string[];
  /** Bytes. */
  memory: number;
  kernel: string;
  node: string;
  /** Of the last minute, before the run. */
  load: number;
}

const FLAGS = [
  'sse4_1',
  'avx2',
  'bmi1',
  'bmi2',
  'avx512f',
  'avx512bw',
  'avx512vl',
  'avx512vbmi2',
  'vpclmulqdq',
  'sha_ni',
  'asimd',
  'sve',
];

/** Above this load of the last minute, per core, figures are doubtful. */
const BUSY_LOAD = 0.25;

export function describeMachine(): Machine {
  const text = fs.readFileSync('/proc/cpuinfo', 'utf8');
  const words = new Set((/^(?:flags|Features)\s*: (.*)$/m.exec(text)?.[1] ?? '').split(' '));
  return {
    cpu: (os.cpus()[0]?.model ?? 'unknown CPU').trim(),
    cores: os.availableParallelism(),
    flags: FLAGS.filter((flag) => words.has(flag)),
    memory: os.totalmem(),
    kernel: os.release(),
    node: process.version,
    load: os.loadavg()[0],
  };
}

/** A sentence when the machine was not idle before the run. */
export function busyWarning({ load, cores }: Machine): string | undefined {
  if (load <= BUSY_LOAD * cores) return undefined;
  return `The machine was not idle: load ${load.toFixed(2)} on ${cores} cores before the run`;
}

export interface Filesystem {
  type: string;
  options: string;
  /** What is mounted. */
  source: string;
}

/** The mount that `folder` is on. */
export function filesystemOf(folder: string): Filesystem {
  const path = fs.realpathSync(folder);
  let best: Filesystem & { at: string } = { type: 'unknown', options: '', source: '', at: '' };
  for (const line of fs.readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n')) {
    const [mount, filesystem] = line.split(' - ');
    const [, , , , at, options] = mount.split(' ');
    const [type, source] = filesystem.split(' ');
    const place = at.replace(/\\([0-7]{3})/g, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 8)),
    );
    const inside = path === place || path.startsWith(place === '/' ? '/' : `${place}/`);
    if (inside && place.length >= best.at.length) best = { type, options, source, at: place };
  }
  const { at: _, ...found } = best;
  return found;
}
