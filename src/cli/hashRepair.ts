// `hash --repair-list LIST FILE`: the byte ranges to fetch again. Exit 0 nothing, 1 some, 2 could not be found out.
import { DiskImageError } from '../disk/errors.js';
import { escapedName } from '../operations/digests/names.js';
import { httpRange, repairRanges } from '../operations/digests/repair.js';
import type { CliContext } from './context.js';
import { hashErrorText, withProgress } from './hash.js';
import { verifyRequest } from './hashCheck.js';
import type { HashWords } from './hashOptions.js';
import { systemText } from './messages.js';
import { print, reportError } from './output.js';

export async function printRepairs(words: HashWords, ctx: CliContext): Promise<number> {
  const list = words.repairList!;
  const [file] = words.files;
  try {
    const plan = await withProgress(words, ctx, (settings) =>
      repairRanges({ ...verifyRequest(list, words), file }, settings),
    );
    const { ranges, size, listedSize, guest } = plan;
    const excess = size !== undefined && listedSize !== undefined ? size - listedSize : 0;
    if (words.output === 'json') {
      const shown = ranges.map(({ start, length }) =>
        Number.isFinite(length) ? { start, length } : { start },
      );
      print(
        ctx,
        `${JSON.stringify({ filename: file, guest: guest || undefined, size, 'listed-size': listedSize, ranges: shown }, null, 4)}\n`,
      );
    } else if (guest && ranges.some(({ length }) => Number.isFinite(length))) {
      // Written there, what is fetched would destroy the image.
      const why = 'the list is about the guest disk, whose ranges are not those of the file';
      reportError(ctx, `${escapedName(file).text}: ${why}; --output json prints them`);
      return 2;
    } else print(ctx, ranges.map((range) => `${httpRange(range)}\n`).join(''));
    if (excess > 0) {
      reportError(
        ctx,
        `${escapedName(file).text}: ${guest ? 'its guest disk' : 'it'} has ${size} bytes, not ${listedSize}: cut it to that size`,
      );
    }
    return ranges.length > 0 || excess > 0 ? 1 : 0;
  } catch (error) {
    if (!(error instanceof DiskImageError) || error.code === 'CANCELLED') throw error;
    reportError(ctx, error.path === list ? listError(error, list) : hashErrorText(error, file));
    return 2;
  }
}

function listError(error: DiskImageError, list: string): string {
  return error.errno ? `${list}: ${systemText(error)}` : error.message;
}
