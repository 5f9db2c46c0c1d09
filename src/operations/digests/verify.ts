import type { DiskImageError } from '../../disk/errors.js';
import type { HashRequest } from '../hash.js';
import type { ByteRange } from '../hashRanges.js';
import type { JobSettings } from '../job.js';
import { Claim } from './claims.js';
import { chooseFile, fileOfBmap, rereadable } from './listedFile.js';
import { type ParseDigestsRequest, parseBatches } from './parse.js';
import type { ListedDigest, ListItem, MalformedLine } from './types.js';
import { verifyRanges } from './verifyRanges.js';
import { fileError, verifyWholes } from './verifyWholes.js';

export interface VerifyDigestsRequest
  extends ParseDigestsRequest,
    Pick<HashRequest, 'snapshot' | 'gate' | 'limits' | 'lock' | 'cache'> {
  /**
   * Verify this file, by what the list says of it: under this name, or this last part of a name, or whatever the name when
   * the list is about one file only. The rest of the list is passed over. Default: every file that the list names.
   */
  file?: string;
  /** Digests are of the guest disks, not of the files' bytes. JSON lists say so themselves. */
  guest?: boolean;
  /**
   * With guest: the images' format, or how to find out where a JSON list does not record it, or records that of another
   * file than `file`. Default what the list records.
   */
  format?: string | ((path: string) => Promise<string>);
  /** ETags: bytes per part. Default: sizes that tools choose by themselves and that give the ETag's number of parts. */
  partSize?: number;
}

export interface VerifiedFile {
  of: 'file';
  /** As the list spells it. */
  name: string;
  /** What was read. */
  path: string;
  verdict: 'ok' | 'failed' | 'unreadable';
  /** Digests compared, and those that were wrong. */
  checked: number;
  mismatched: number;
  /** Where it differs, bytes, ascending, joined: as far as digests of ranges tell. */
  differing: ByteRange[];
  /** A digest of the whole was wrong. */
  wholeDiffers: boolean;
  /** The list has digests of ranges of it. */
  ranged: boolean;
  /** The digests are of the guest disk in it, an image of this format. */
  guest: boolean;
  format?: string;
  /** Bytes it has, where that was found out, and bytes that the list says. */
  size?: number;
  listedSize?: number;
  /** Why it is unreadable. */
  error?: DiskImageError;
}

/** Digests that wait for one another: many files are read at once, ranges of one in one pass. */
const MAX_FILES = 64;
const MAX_RANGES = 65_536;
/** A file that was not mentioned for so many digests is answered. */
const IDLE = 256;

/**
 * Verifies a list of digests of any kind that parseDigests reads, one answer per file in the order of the list (one per line
 * of md5sum's kinds). Only the bytes that the list has digests of are read; where it has them of ranges, the answer says
 * which differ. Memory does not grow with the list.
 * @throws as parseDigests; INVALID_ARGUMENT when the list has nothing about `file`; CANCELLED. A file that cannot be
 * read is an answer.
 */
export async function* verifyDigests(
  request: VerifyDigestsRequest,
  settings: JobSettings = {},
): AsyncGenerator<VerifiedFile | MalformedLine> {
  const source = { ...request, list: await rereadable(request) };
  const chosen = request.file === undefined ? undefined : await chooseFile(source, request.file);
  const verifier = new Verifier(source, settings, chosen);
  for await (const items of parseBatches(source)) {
    for (const item of items) yield* verifier.take(item);
  }
  yield* verifier.finish();
}

class Verifier {
  readonly #request: VerifyDigestsRequest;
  readonly #settings: JobSettings;
  /** The one name in the list that counts; undefined: all of them. */
  readonly #chosen: { name?: string } | undefined;
  /** Files that the list gives several digests of, by name. */
  #files = new Map<string, Claim>();
  #order: (Claim | MalformedLine)[] = [];
  #ranges = 0;
  #seen = 0;

  constructor(request: VerifyDigestsRequest, settings: JobSettings, chosen: { name?: string } | undefined) {
    this.#request = request;
    this.#settings = settings;
    this.#chosen = chosen;
  }

  async *take(item: ListItem): AsyncGenerator<VerifiedFile | MalformedLine> {
    if (item.of === 'malformed') this.#order.push(item);
    else if (this.#chosen && this.#chosen.name !== item.name) return;
    else {
      this.#claim(item).add(item);
      this.#seen++;
      if (item.of === 'range') this.#ranges++;
    }
    if (this.#order.length >= MAX_FILES + 1 || this.#ranges >= MAX_RANGES) yield* this.#flush(false);
  }

  finish(): AsyncGenerator<VerifiedFile | MalformedLine> {
    return this.#flush(true);
  }

  #claim(item: ListedDigest): Claim {
    const name = item.name ?? this.#request.file ?? fileOfBmap(this.#request);
    const known = item.line ? undefined : this.#files.get(name);
    const claim = known ?? new Claim(name, this.#request.file ?? name);
    claim.latest = this.#seen;
    if (known) return known;
    this.#order.push(claim);
    if (!item.line) this.#files.set(name, claim);
    return claim;
  }

  async *#flush(all: boolean): AsyncGenerator<VerifiedFile | MalformedLine> {
    const claims = this.#order.filter((one) => one instanceof Claim);
    await this.#verify(claims.filter(({ pending }) => pending > 0));
    this.#ranges = 0;
    // A file whose ranges still come is answered when they are over.
    const unfinished = claims.filter(
      (claim) => claim.ranged && this.#files.get(claim.name) === claim && this.#seen - claim.latest <= IDLE,
    );
    const staying = all || unfinished.length > MAX_FILES / 2 ? [] : unfinished;
    const over = this.#order.filter((one) => !staying.includes(one as Claim));
    this.#order = staying;
    for (const one of over) {
      if (!(one instanceof Claim)) yield one;
      else {
        if (this.#files.get(one.name) === one) this.#files.delete(one.name);
        yield answer(one);
      }
    }
  }

  async #verify(claims: readonly Claim[]): Promise<void> {
    const sources = new Map<Claim, HashRequest>();
    for (const claim of claims) {
      if (claim.error) continue;
      try {
        sources.set(claim, await this.#source(claim));
      } catch (error) {
        claim.error = fileError(error, claim.path);
      }
    }
    await verifyWholes(sources, this.#request.partSize, this.#settings);
    for (const [claim, source] of sources) {
      if (claim.ranges.size > 0 && !claim.error) {
        try {
          await verifyRanges(claim, source, this.#settings);
        } catch (error) {
          claim.error = fileError(error, claim.path);
        }
      }
    }
    for (const claim of claims) {
      claim.wholes = [];
      claim.ranges = new Map();
      claim.pending = 0;
    }
  }

  /** The file as `hash` is asked for it. */
  async #source(claim: Claim): Promise<HashRequest> {
    const { guest = claim.guest, format, snapshot, gate, limits, lock, cache } = this.#request;
    const { path } = claim;
    claim.guest = guest;
    if (!guest) return { path, cache };
    const recorded = this.#request.file === undefined ? claim.format : undefined;
    claim.format =
      typeof format === 'function' ? (recorded ?? (await format(path))) : (format ?? claim.format);
    return { path, guest, format: claim.format, snapshot, gate, limits, lock, cache };
  }
}

function answer(claim: Claim): VerifiedFile {
  const { name, path, checked, wholeDiffers, ranged, guest, size, listedSize, error } = claim;
  // A file of another size is another file, even if what there is of it is right.
  const resized = !error && size !== undefined && listedSize !== undefined && size !== listedSize;
  if (resized && listedSize > size) claim.differs(size, listedSize - size);
  claim.settle();
  const mismatched = claim.mismatched || (resized ? 1 : 0);
  return {
    of: 'file',
    name,
    path,
    verdict: error ? 'unreadable' : mismatched > 0 ? 'failed' : 'ok',
    checked,
    mismatched,
    differing: claim.differing,
    wholeDiffers,
    ranged,
    guest,
    ...(guest && { format: claim.format }),
    size,
    listedSize,
    error,
  };
}
