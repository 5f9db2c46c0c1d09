// Programs of this machine that basecow is measured against, or that prepare and check.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PATH = `${process.env.PATH}${delimiter}/usr/sbin${delimiter}/sbin`;

/** The repository. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** basecow's command line, as words. */
export const BASECOW: readonly string[] = [
  process.execPath,
  join(ROOT, JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).bin.basecow),
];

/** Runs a program that prepares or checks; its time does not count. @throws when it fails. */
export function run(program: string, ...args: string[]): string {
  const ran = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, PATH, LC_ALL: 'C' },
  });
  if (ran.error) throw ran.error;
  if (ran.status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${ran.stderr}${ran.stdout}`);
  return ran.stdout;
}

/** Rivals, and how each tells its version. */
const RIVALS: Readonly<Record<string, readonly string[]>> = {
  'qemu-img': ['--version'],
  md5sum: ['--version'],
  openssl: ['version'],
  cp: ['--version'],
  md5deep: ['-v'],
  blksum: ['--version'],
  nbdcopy: ['--version'],
  'qemu-nbd': ['--version'],
  valgrind: ['--version'],
};

export interface Programs {
  /** First line of what each tells of itself; undefined: not on this machine. */
  versions: Record<string, string | undefined>;
  /** Why a rival that needs all these programs is absent; undefined: they are there. */
  lacks(...names: string[]): string | undefined;
}

export function findPrograms(): Programs {
  const versions: Programs['versions'] = {};
  for (const [name, words] of Object.entries(RIVALS)) {
    const ran = spawnSync(name, words, { encoding: 'utf8', env: { ...process.env, PATH } });
    const [line] = `${ran.stdout}${ran.stderr}`.trim().split('\n');
    // Some tell their number alone.
    versions[name] = ran.error ? undefined : /^\d/.test(line) ? `${name} ${line}` : line;
  }
  return {
    versions,
    lacks(...names) {
      const missing = names.filter((name) => versions[name] === undefined);
      return missing.length > 0 ? `${missing.join(', ')} not on this machine` : undefined;
    },
  };
}

export const isRoot = (): boolean => process.getuid?.() === 0;
