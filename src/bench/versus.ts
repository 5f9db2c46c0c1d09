// bench-vs: the short benchmark that users run on their own machine. The one place of basecow that starts other
// programs: there is no measuring a rival without it.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DiskImageError } from '../disk/errors.js';
import { compareSides } from './compareSides.js';
import { busyWarning, describeMachine, type Filesystem, filesystemOf, type Machine } from './machine.js';
import { ProgramError, ProgramMeter } from './measure.js';
import type { Row } from './model.js';
import { inScratch } from './scratch.js';
import { makeSources, versusCases } from './versusCases.js';
import { writeInput } from './versusInput.js';

export interface VersusRequest {
  /** qemu-img: a path, or a name to look for in PATH. */
  rival: string;
  /** Existing folder on the filesystem to measure on; a scratch folder is made in it and removed again. */
  folder: string;
  /** Bytes of the disk, a multiple of 1 MiB. */
  size: number;
  /** Counted rounds of each row, at least 1. */
  rounds: number;
}

export interface VersusSettings {
  signal?: AbortSignal;
  onRow?: (row: Row) => void;
}

export interface VersusReport {
  machine: Machine;
  filesystem: Filesystem;
  /** First line of the rival's `--version`. */
  rival: string;
  size: number;
  seed: number;
  warnings: string[];
  rows: Row[];
}

const SEED = 20_260_101;
const BASECOW = [process.execPath, fileURLToPath(new URL('../cli/main.js', import.meta.url))];

/**
 * Measures basecow against `rival` on a disk made up for it. Nothing is left in `folder`, also when cancelled.
 * @throws INVALID_ARGUMENT when there is no such rival; CANCELLED; ProgramError when a program fails.
 */
export async function versus(request: VersusRequest, settings: VersusSettings = {}): Promise<VersusReport> {
  const { signal } = settings;
  try {
    return await measured(request, settings);
  } catch (error) {
    if (!signal?.aborted) throw error;
    throw new DiskImageError('CANCELLED', 'bench-vs was cancelled', { operation: 'bench-vs', cause: error });
  }
}

async function measured(
  { rival, folder, size, rounds }: VersusRequest,
  { signal, onRow }: VersusSettings,
): Promise<VersusReport> {
  const meter = new ProgramMeter();
  const machine = describeMachine();
  const options = { signal, env: { LC_ALL: 'C' } };
  const version = await rivalVersion(rival, meter, signal);
  const md5sum = (await isThere('md5sum', meter, signal)) ? 'md5sum' : undefined;
  return inScratch(folder, async (scratch) => {
    // A name of its own for every part of the run: basecow and qemu-img take a colon for a protocol.
    const place = join(scratch, 'd');
    await mkdir(place);
    await writeInput(join(place, 'disk.raw'), size, SEED, signal);
    const bench = { folder: place, basecow: BASECOW, rival, md5sum, size, meter, options };
    const zstd = await makeSources(bench);
    const rows: Row[] = [];
    for (const entry of versusCases({ ...bench, zstd })) {
      for (const row of await compareSides(entry, { rounds, signal })) {
        rows.push(row);
        onRow?.(row);
      }
    }
    const warning = busyWarning(machine);
    const warnings = warning ? [warning] : [];
    return { machine, filesystem: filesystemOf(folder), rival: version, size, seed: SEED, warnings, rows };
  });
}

async function rivalVersion(rival: string, meter: ProgramMeter, signal?: AbortSignal): Promise<string> {
  try {
    const { stdout } = await meter.run([rival, '--version'], { signal });
    const [line] = stdout.split('\n');
    if (line.includes('qemu-img')) return line;
    throw refusal(`'${rival}' is no qemu-img: it calls itself '${line}'`);
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    throw refusal(
      error.status === 127
        ? `There is no rival: '${rival}' can't be run (--rival PATH names a qemu-img)`
        : `'${rival}' is no qemu-img: ${error.message}`,
    );
  }
}

function refusal(message: string): DiskImageError {
  return new DiskImageError('INVALID_ARGUMENT', message, { operation: 'bench-vs' });
}

async function isThere(program: string, meter: ProgramMeter, signal?: AbortSignal): Promise<boolean> {
  try {
    await meter.run([program, '--version'], { signal });
    return true;
  } catch (error) {
    if (error instanceof ProgramError) return false;
    throw error;
  }
}
