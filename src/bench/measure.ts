// Measures one program from outside, the same way for basecow and its rivals, or work in this process.
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { Sample } from './model.js';

export interface ProgramOptions {
  signal?: AbortSignal;
  /** Added to the environment. */
  env?: Record<string, string>;
  cwd?: string;
  /** Seconds after which the program is killed, and has failed. */
  timeLimit?: number;
}

export interface ProgramRun extends Sample {
  stdout: string;
  stderr: string;
}

/** A program that could not be started, or failed: a failed run is no measurement. */
export class ProgramError extends Error {
  /** Exit code; -N for signal N; 127 when there is no such program. */
  readonly status: number;

  constructor(command: readonly string[], status: number, stderr: string) {
    const how =
      status === 127 ? 'is not there' : status < 0 ? `was ended by signal ${-status}` : `exited ${status}`;
    const words = stderr.trim();
    super(`${status === 127 ? command[0] : command.join(' ')} ${how}${words ? `: ${words}` : ''}`);
    this.status = status;
  }
}

// wait4 tells CPU time and peak memory of exactly this child. Node can't ask for them, and a process that Node itself
// starts is booked with Node's own memory, since vfork shares it until exec. Python's few MiB are the least that is seen.
const WAIT = `
import os, sys, time
os.set_inheritable(3, False)
t = time.monotonic(); pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(pid, 0); wall = time.monotonic() - t
os.write(3, b"%r %r %d %d" % (wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)))
`;

/** Runs programs one at a time. Where there is no Python, only the wall time is measured. */
export class ProgramMeter {
  #python = true;

  /**
   * Runs `command` (found in PATH) to its end, its standard input empty. When the signal aborts, the program and what
   * it started are killed. @throws ProgramError; the signal's reason.
   */
  async run(command: readonly string[], options: ProgramOptions = {}): Promise<ProgramRun> {
    options.signal?.throwIfAborted();
    if (options.timeLimit !== undefined) return this.#limited(command, options, options.timeLimit);
    if (this.#python) {
      try {
        return await throughPython(command, options);
      } catch (error) {
        if (!isMissing(error)) throw error;
        this.#python = false;
      }
    }
    return directly(command, options);
  }

  async #limited(
    command: readonly string[],
    options: ProgramOptions,
    timeLimit: number,
  ): Promise<ProgramRun> {
    const limit = AbortSignal.timeout(timeLimit * 1000);
    const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
    try {
      return await this.run(command, { ...options, signal, timeLimit: undefined });
    } catch (error) {
      if (error !== limit.reason || !limit.aborted) throw error;
      throw new ProgramError(command, -9, `took longer than ${timeLimit} s`);
    }
  }
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

async function throughPython(command: readonly string[], options: ProgramOptions): Promise<ProgramRun> {
  const { output, stdout, stderr } = await ended(['python3', '-ISc', WAIT, ...command], options, true);
  const [wall, cpu, peakMemory, status] = output.split(' ').map(Number);
  if (status === undefined) throw new ProgramError(command, 1, stderr);
  if (status !== 0) throw new ProgramError(command, status, stderr);
  return { wall, cpu, peakMemory, stdout, stderr };
}

async function directly(command: readonly string[], options: ProgramOptions): Promise<ProgramRun> {
  const start = process.hrtime.bigint();
  try {
    const { status, stdout, stderr } = await ended(command, options, false);
    const wall = Number(process.hrtime.bigint() - start) / 1e9;
    if (status !== 0) throw new ProgramError(command, status, stderr);
    return { wall, stdout, stderr };
  } catch (error) {
    throw isMissing(error) ? new ProgramError(command, 127, '') : error;
  }
}

interface End {
  status: number;
  stdout: string;
  stderr: string;
  /** What came on descriptor 3. */
  output: string;
}

function ended(command: readonly string[], options: ProgramOptions, third: boolean): Promise<End> {
  const { signal, env, cwd } = options;
  return new Promise((resolve, reject) => {
    // A process group of its own: a Ctrl-C reaches us alone, and we end the whole group.
    const child = spawn(command[0], command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe', third ? 'pipe' : 'ignore'],
      detached: true,
      cwd,
      env: env ? { ...process.env, ...env } : process.env,
    });
    const kill = (): void => killGroup(child);
    signal?.addEventListener('abort', kill, { once: true });
    const text = {
      stdout: collect(child.stdout),
      stderr: collect(child.stderr),
      output: collect(child.stdio[3]),
    };
    child.on('error', (error) => {
      signal?.removeEventListener('abort', kill);
      reject(error);
    });
    child.on('close', (code, name) => {
      signal?.removeEventListener('abort', kill);
      if (signal?.aborted) reject(signal.reason);
      else
        resolve({
          status: code ?? (name === 'SIGKILL' ? -9 : -15),
          stdout: text.stdout(),
          stderr: text.stderr(),
          output: text.output(),
        });
    });
  });
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // Gone already.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function collect(stream: unknown): () => string {
  let text = '';
  (stream as Readable | null | undefined)?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  return () => text;
}

/** Measures work done in this process. The memory would be that of everything before, so there is none. */
export async function measureHere(work: () => unknown): Promise<Sample> {
  const before = process.cpuUsage();
  const start = process.hrtime.bigint();
  await work();
  const wall = Number(process.hrtime.bigint() - start) / 1e9;
  const used = process.cpuUsage(before);
  return { wall, cpu: (used.user + used.system) / 1e6 };
}

/** Several runs of programs as one sample: times added up. What the meter itself takes in between does not count. */
export async function measureEach(count: number, run: (i: number) => Promise<Sample>): Promise<Sample> {
  const total: Sample = { wall: 0, cpu: 0, peakMemory: 0 };
  for (let i = 0; i < count; i++) {
    const { wall, cpu, peakMemory } = await run(i);
    total.wall += wall;
    total.cpu = cpu === undefined || total.cpu === undefined ? undefined : total.cpu + cpu;
    total.peakMemory =
      peakMemory === undefined || total.peakMemory === undefined
        ? undefined
        : Math.max(total.peakMemory, peakMemory);
  }
  return total;
}
