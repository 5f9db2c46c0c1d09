// What figures are true of, and whether the machine was left alone.
import * as fs from 'node:fs';
import { join } from 'node:path';
import {
  busyWarning,
  describeMachine,
  type Filesystem,
  filesystemOf,
  type Machine,
} from '#src/bench/machine.js';
import { coldBy, makeCold } from './cache.js';
import type { Programs } from './programs.js';
import { run } from './programs.js';

export interface Environment {
  machine: Machine;
  filesystem: Filesystem;
  /** Bytes a second, sequential, by a probe before the run. */
  disk: { write: number; read: number };
  /** How inputs are made cold. */
  cold: string;
  /** Bytes of free memory kept from being given back to the host of a virtual machine. */
  steadyMemory?: number;
  /** Of basecow's parts and of the rivals. */
  programs: Programs['versions'];
  engine: Record<string, string | null>;
  commit?: string;
}

const PROBE_BYTES = 2 ** 28;
const PIECE = 2 ** 22;

/** Sequential write with a final fdatasync, then a cold read: a floor for what touches the disk. */
export function probeDisk(folder: string): Environment['disk'] {
  const path = join(folder, 'probe');
  const piece = Buffer.alloc(PIECE, 0x5a);
  const timed = (work: () => void): number => {
    const start = process.hrtime.bigint();
    work();
    return PROBE_BYTES / (Number(process.hrtime.bigint() - start) / 1e9);
  };
  run('sync');
  try {
    const write = timed(() => {
      const fd = fs.openSync(path, 'w');
      for (let at = 0; at < PROBE_BYTES; at += PIECE) fs.writeSync(fd, piece);
      fs.fdatasyncSync(fd);
      fs.closeSync(fd);
    });
    makeCold(path);
    const read = timed(() => {
      const fd = fs.openSync(path, 'r');
      while (fs.readSync(fd, piece) > 0);
      fs.closeSync(fd);
    });
    return { write, read };
  } finally {
    fs.rmSync(path, { force: true });
  }
}

export function describeEnvironment(
  folder: string,
  programs: Programs,
  engine: Environment['engine'],
): Environment {
  // Before anything that makes the machine busy.
  const machine = describeMachine();
  return {
    machine,
    filesystem: filesystemOf(folder),
    disk: probeDisk(folder),
    cold: coldBy(),
    programs: programs.versions,
    engine,
    commit: commit(),
  };
}

function commit(): string | undefined {
  try {
    return run('git', 'describe', '--always', '--dirty').trim();
  } catch {
    // Not a clone, or no git: the figures stand without it.
    return undefined;
  }
}

/** More than this part of all processor time for others makes figures doubtful. */
const OTHERS_LIMIT = 0.1;

/** Watches what the processors do for others while the benchmark runs. */
export class IdleWatch {
  readonly #start = processorTime();

  /** Part of all processor time since the start that neither was idle nor went to us and the programs we ran. */
  others(): number {
    const now = processorTime();
    const total = now.total - this.#start.total;
    const others = now.busy - this.#start.busy - (now.own - this.#start.own);
    return total > 0 ? Math.max(0, others / total) : 0;
  }
}

/** All in clock ticks. */
function processorTime(): { total: number; busy: number; own: number } {
  const [, ...times] = fs.readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].trim().split(/ +/).map(Number);
  // user nice system idle iowait irq softirq steal; guest time is in user already.
  const total = times.slice(0, 8).reduce((a, b) => a + b, 0);
  const [idle, iowait] = [times[3], times[4]];
  // The name, second field, may have blanks: fields are counted from its closing bracket.
  const own = fs.readFileSync('/proc/self/stat', 'utf8').split(') ').pop()!.split(' ').map(Number);
  // utime stime cutime cstime, fields 14 to 17 of proc(5).
  return { total, busy: total - idle - iowait, own: own.slice(11, 15).reduce((a, b) => a + b, 0) };
}

export function warningsOf({ machine }: Environment, others: number): string[] {
  const warnings: string[] = [];
  const busy = busyWarning(machine);
  if (busy) warnings.push(busy);
  if (others > OTHERS_LIMIT) {
    warnings.push(
      `${Math.round(100 * others)} % of the processor time of the run went to others (the kernel's writing back included)`,
    );
  }
  return warnings;
}
