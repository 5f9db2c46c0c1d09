// Header extensions: type, length, payload padded to 8 bytes (specification, "Header extensions").
import { ExtensionType } from './constants.js';

export interface HeaderExtension {
  readonly type: number;
  readonly data: Buffer;
}

export interface ExtensionArea {
  extensions: HeaderExtension[];
  /** What is wrong with the area; the extensions before that place were parsed. */
  problem?: string;
}

const HEAD_BYTES = 8;

/**
 * Extensions in [start, end) of the first cluster. An empty area has none; any other must close with the end
 * marker, or consist of padding zeros too short for one.
 */
export function parseExtensions(bytes: Buffer, start: number, end: number): ExtensionArea {
  const extensions: HeaderExtension[] = [];
  let at = start;
  while (end - at >= HEAD_BYTES) {
    const type = bytes.readUInt32BE(at);
    const length = bytes.readUInt32BE(at + 4);
    if (type === ExtensionType.end) return { extensions };
    const room = end - at - HEAD_BYTES;
    if (length > room) {
      return {
        extensions,
        problem: `Header extension 0x${type.toString(16)} at offset ${at} claims ${length} bytes, but its area has ${room}`,
      };
    }
    extensions.push({ type, data: Buffer.from(bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length)) });
    at += HEAD_BYTES + padded(length);
  }
  if (end > start && bytes.subarray(Math.min(at, end), end).some((byte) => byte !== 0)) {
    return { extensions, problem: `Header extension area at ${start} to ${end} has no end marker` };
  }
  if (at === end && end > start) {
    return { extensions, problem: `Header extension area at ${start} to ${end} has no end marker` };
  }
  return { extensions };
}

/** The area with its end marker. */
export function serializeExtensions(extensions: readonly HeaderExtension[]): Buffer {
  const parts: Buffer[] = [];
  for (const { type, data } of [...extensions, { type: ExtensionType.end, data: Buffer.alloc(0) }]) {
    const part = Buffer.alloc(HEAD_BYTES + padded(data.length));
    part.writeUInt32BE(type, 0);
    part.writeUInt32BE(data.length, 4);
    data.copy(part, HEAD_BYTES);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function padded(length: number): number {
  return (length + 7) & ~7;
}

/** Payload of the bitmaps extension. */
export interface BitmapsExtension {
  count: number;
  /** Bytes. */
  directorySize: number;
  /** Host offset, bytes. */
  directoryOffset: number;
}

export const BITMAPS_EXTENSION_BYTES = 24;

export function textExtension(type: number, text: string): HeaderExtension {
  return { type, data: Buffer.from(text, 'utf8') };
}
