import { DiskImageError } from '../disk/errors.js';
import type { ConvertWords } from './convertOptions.js';
import { CliError } from './errors.js';
import { creationText, isOpenFailure, openError, snapshotError, systemText } from './messages.js';
import type { Operand } from './operand.js';

/** A failure of convert in qemu-img's words; what is none comes back as it is. */
export function convertError(error: unknown, words: ConvertWords, sources: readonly Operand[]): unknown {
  if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') return error;
  if (error.operation === 'bitmap') {
    const [sentence, hint] = error.message.split('\n');
    return new CliError(sentence, { hint: hint && `${hint}\n`, cause: error });
  }
  if (error.code === 'SNAPSHOT_NOT_FOUND') return snapshotError(error, sources[0]?.format ?? '');
  if (error.code === 'TARGET_TOO_SMALL' && words.noCreate) {
    return new CliError('output file is smaller than input file', { cause: error });
  }
  const place = error.offset === undefined ? '' : ` at byte ${error.offset}`;
  if (error.operation === 'read' || error.code === 'SOURCE_CHANGED') {
    return new CliError(`error while reading${place}: ${systemText(error)}`, { cause: error });
  }
  if (error.operation === 'write' || error.errno === 'ENOSPC' || error.errno === 'EDQUOT') {
    return new CliError(`error while writing${place}: ${systemText(error)}`, { cause: error });
  }
  const target = words.target.replace(/^file:/, '');
  // A target's backing file, or an existing target.
  if (error.image === target && isOpenFailure(error)) return openError(words.target, target, error);
  const source = sources.find(({ path }) => path === (error.image ?? error.path) && path !== target);
  const creating = error.operation === 'create' || error.operation === 'publish';
  if (isOpenFailure(error) && !creating && (source || error.path !== target)) {
    const about = source ?? sources[0];
    return openError(about.name, about.path, error);
  }
  if (words.noCreate && isOpenFailure(error)) return openError(words.target, target, error);
  const text = creationText(error, target);
  if (text === undefined) return error;
  const format = words.targetFormat ?? 'raw';
  return new CliError(`${words.target}: error while converting ${format}: ${text}`, { cause: error });
}
