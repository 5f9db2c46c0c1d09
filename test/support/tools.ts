// Outside oracles: qemu-img, qemu-io and coreutils, run as processes.
import { spawnSync } from 'node:child_process';

export interface Ran {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end; never throws for an exit code. */
export function tryRun(
  program: string,
  args: string[],
  options: { cwd?: string; input?: string | Buffer } = {},
): Ran {
  const ran = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, LC_ALL: 'C', LANG: 'C', TZ: 'UTC' },
    ...options,
  });
  if (ran.error) throw ran.error;
  return { status: ran.status ?? -1, stdout: ran.stdout, stderr: ran.stderr };
}

/** Runs a program that must succeed; returns its stdout. */
export function run(
  program: string,
  args: string[],
  options: { cwd?: string; input?: string | Buffer } = {},
): string {
  const ran = tryRun(program, args, options);
  if (ran.status !== 0)
    throw new Error(`${program} ${args.join(' ')} exited ${ran.status}: ${ran.stderr}${ran.stdout}`);
  return ran.stdout;
}

export const qemuImg = (...args: string[]): string => run('qemu-img', args);
/** `qemu-io -f FORMAT -c COMMAND… FILE` */
export const qemuIo = (file: string, format: string, ...commands: string[]): string =>
  run('qemu-io', ['-f', format, ...commands.flatMap((command) => ['-c', command]), file]);
export const md5sum = (file: string): string => run('md5sum', ['--', file]).split(' ')[0];
