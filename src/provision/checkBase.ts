import { DiskImageError } from '../disk/errors.js';
import type { HostFile } from '../disk/hostFile.js';
import { inspectHostFile } from '../inspect/index.js';
import { type IntakeRules, tooLarge } from './intake.js';

export interface BaseRules extends IntakeRules {
  /** Format the source had: an ISO image stays one. */
  format?: string;
}

/**
 * A base must be raw and not itself an image: a guest's disk content that a tool would open as qcow2, VMDK … (a
 * nested image) could name host files.
 * @throws IMAGE_UNSAFE, IMAGE_TOO_LARGE
 */
export async function checkBase(file: HostFile, rules: BaseRules): Promise<void> {
  const claimed = rules.format === 'iso' ? 'iso' : 'raw';
  const { violations, detected } = await inspectHostFile(file, { claimed });
  // What a guest keeps in its partition table is its own affair: nothing on the host reads it.
  const dangers = violations.filter(({ code }) => code !== 'partition-table');
  if (dangers.length > 0) {
    const reasons = dangers.map(({ message }) => message).join('; ');
    throw new DiskImageError(
      'IMAGE_UNSAFE',
      `Base image '${file.path}' of image '${rules.imageId}' is refused: converted to raw, but its content is ${detected ?? 'ambiguous'}: ${reasons}`,
      { path: file.path, operation: 'verify' },
    );
  }
  if (rules.maxVirtualSize !== undefined && file.size > rules.maxVirtualSize)
    throw tooLarge(file.size, rules);
}
