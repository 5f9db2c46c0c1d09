// Runs one program and measures it from outside, the same way for basecow and its rivals.
import { spawnSync } from 'node:child_process';

export interface Measured {
  /** Seconds. */
  wall: number;
  /** User + system seconds of the process. */
  cpu: number;
  /** Peak resident bytes. */
  peakMemory: number;
}

// wait4 reports the peak memory of exactly this child; Node has no such call for children.
const WRAPPER = `
import os, sys, time
t = time.monotonic(); pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0); wall = time.monotonic() - t
print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status), file=sys.stderr)
`;

/** Runs `command` to its end. @throws when it fails: a failed run is no measurement. */
export function measureProcess(command: string[]): Measured {
  const ran = spawnSync('python3', ['-c', WRAPPER, ...command], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const lines = ran.stderr.trimEnd().split('\n');
  const [wall, cpu, peakMemory, status] = (lines.pop() ?? '').split(' ').map(Number);
  if (ran.status !== 0 || status !== 0) throw new Error(`${command.join(' ')} failed: ${ran.stderr}`);
  return { wall, cpu, peakMemory };
}

/** Measures work done in this process; peak memory is the process's own, so 0 here. */
export async function measureHere(work: () => Promise<void>): Promise<Measured> {
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  await work();
  const wall = Number(process.hrtime.bigint() - start) / 1e9;
  const used = process.cpuUsage(cpu);
  return { wall, cpu: (used.user + used.system) / 1e6, peakMemory: 0 };
}

/** Runs a program that prepares or checks; its time does not count. */
export function run(program: string, ...args: string[]): string {
  const ran = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (ran.error) throw ran.error;
  if (ran.status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${ran.stderr}`);
  return ran.stdout;
}
