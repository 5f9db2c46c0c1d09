// Free memory that a virtual machine gives back to its host costs up to ten times a copy when it is touched again, and
// which run meets it is chance. Only large free blocks are given back; so none are left while the benchmark runs.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';

/** Where the kernel tells that it reports free memory to its host. */
const REPORTING = '/sys/module/page_reporting/parameters/page_reporting_order';
/** Of the memory that is available when the run begins. */
const PART = 0.75;
const BLOCK = 2 ** 21;

// Touches everything, so that the host has it, then frees all but a page of each block.
const KEEP = `
import mmap, sys
size, block = int(sys.argv[1]), int(sys.argv[2])
memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, size, 4096): memory[at] = 1
for at in range(0, size, block): memory.madvise(mmap.MADV_DONTNEED, at + 4096, block - 4096)
print('ready', flush=True)
sys.stdin.read()
`;

export interface SteadyMemory {
  /** Bytes of free memory that stay this machine's. */
  bytes: number;
  /** Large blocks may form again. */
  release(): void;
}

/** undefined where free memory is not reported to a host, or there is no Python to do it. */
export async function steadyMemory(): Promise<SteadyMemory | undefined> {
  if (!fs.existsSync(REPORTING)) return undefined;
  const [, available] = /^MemAvailable: +(\d+) kB$/m.exec(fs.readFileSync('/proc/meminfo', 'utf8')) ?? [];
  const bytes = Math.floor((Number(available) * 1024 * PART) / BLOCK) * BLOCK;
  const keeper = spawn('python3', ['-ISc', KEEP, String(bytes), String(BLOCK)], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ready = await new Promise<boolean>((resolve) => {
    keeper.stdout.once('data', () => resolve(true));
    keeper.once('error', () => resolve(false));
    keeper.once('exit', () => resolve(false));
  });
  if (!ready) return undefined;
  return { bytes, release: () => void keeper.kill('SIGKILL') };
}
