import { readFileSync } from 'node:fs';
import { native } from '../native.js';

/** The qemu-img whose words, output and exit codes are spoken. */
const IMITATED = '7.2.22';

export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return version;
}

/**
 * `-V`: qemu-img's line (programs parse it, so called as qemu-img it names the version that is imitated), then
 * which codecs and CPU kernels are in use.
 */
export function versionText(programName: string): string {
  const version = packageVersion();
  const first =
    programName === 'qemu-img'
      ? `qemu-img version ${IMITATED} (basecow ${version})`
      : `${programName} version ${version}`;
  const engine = native.engineInfo();
  const parts: [string, string | null][] = [
    ['inflate', engine.inflate],
    ['deflate', engine.deflate],
    ['zstd', engine.zstd],
    ['sha', engine.sha],
    ['md5 kernel', engine.md5],
    ['zero scan kernel', engine.zeroScan],
  ];
  const lines = parts.map(([name, value]) => `  ${name}: ${value ?? 'none'}\n`);
  return `${first}\nEngine:\n${lines.join('')}`;
}
