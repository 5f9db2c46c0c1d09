import { dirname, isAbsolute, join } from 'node:path';

/** A name such as `nbd:…`, `json:…`, `http://…`: a protocol before the first slash (QEMU: path_has_protocol). */
export function hasProtocol(name: string): boolean {
  return /^[^/]*:/.test(name);
}

/**
 * A name stored in an image, resolved against the directory of that image, never the current directory.
 * `file:NAME` is a plain name. Undefined for protocol names.
 */
export function resolveStoredName(name: string, imagePath: string): string | undefined {
  const plain = name.startsWith('file:') ? name.slice(5) : name;
  if (plain === name && hasProtocol(name)) return undefined;
  return isAbsolute(plain) ? plain : join(dirname(imagePath), plain);
}
