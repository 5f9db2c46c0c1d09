// Which of a list's names is the file that was asked for.
import { basename, resolve } from 'node:path';
import { DiskImageError } from '../../disk/errors.js';
import { type DigestListSource, type ParseDigestsRequest, parseBatches } from './parse.js';

const MAX_HELD = 64 * 2 ** 20;

const listName = ({ list, name }: ParseDigestsRequest): string =>
  name ?? (typeof list === 'string' ? list : 'the list');

/**
 * The list, so that it can be read twice where that is needed: a stream is held then.
 * @throws LIMIT_EXCEEDED for a stream of more than 64 MiB, with `file`.
 */
export async function rereadable(
  request: ParseDigestsRequest & { file?: string },
): Promise<DigestListSource> {
  const { list, file } = request;
  if (file === undefined || typeof list === 'string' || list instanceof Uint8Array) return list;
  const pieces: Buffer[] = [];
  let held = 0;
  for await (const piece of list) {
    held += piece.length;
    if (held > MAX_HELD) {
      throw new DiskImageError(
        'LIMIT_EXCEEDED',
        `The list is longer than ${MAX_HELD} bytes; give it as a file`,
        { path: listName(request), operation: 'hash' },
      );
    }
    pieces.push(Buffer.from(piece as Uint8Array));
  }
  return Buffer.concat(pieces);
}

/**
 * The name that the list has for `file`; `{}` in a list without names.
 * @throws INVALID_ARGUMENT when there is none, or more than one could be meant.
 */
export async function chooseFile(request: ParseDigestsRequest, file: string): Promise<{ name?: string }> {
  const path = resolve(file);
  const base = basename(file);
  const names = new Set<string>();
  const alike = new Set<string>();
  for await (const items of parseBatches(request)) {
    for (const item of items) {
      if (item.of === 'malformed') continue;
      if (item.name === undefined) return {};
      if (item.name === file || resolve(item.name) === path) return { name: item.name };
      if (names.size < 2) names.add(item.name);
      if (alike.size < 2 && basename(item.name) === base) alike.add(item.name);
    }
  }
  if (alike.size === 1) return { name: [...alike][0] };
  if (names.size === 1) return { name: [...names][0] };
  const why =
    alike.size > 1
      ? `has several files that could be '${file}'`
      : names.size === 0
        ? 'has no digests'
        : `has no digests of '${file}'`;
  throw new DiskImageError('INVALID_ARGUMENT', `'${listName(request)}' ${why}`, {
    path: listName(request),
    operation: 'hash',
  });
}

/** A bmap lies beside its image: IMAGE.bmap. @throws INVALID_ARGUMENT when it is called otherwise. */
export function fileOfBmap(request: ParseDigestsRequest): string {
  const { list } = request;
  if (typeof list === 'string' && list.endsWith('.bmap') && basename(list) !== '.bmap') {
    return list.slice(0, -'.bmap'.length);
  }
  throw new DiskImageError(
    'INVALID_ARGUMENT',
    `'${listName(request)}' is a bmap, which does not name its image: say which file it is about`,
    { path: listName(request), operation: 'hash' },
  );
}
