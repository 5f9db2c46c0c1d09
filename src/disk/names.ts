/** A name such as `nbd:…`, `json:…`, `http://…`: a protocol before the first slash (QEMU: path_has_protocol). */
export function hasProtocol(name: string): boolean {
  return /^[^/]*:/.test(name);
}

/**
 * A name stored in an image, resolved against the directory of that image, never the current directory: put behind it
 * as it is (QEMU: path_combine), so that `..` means what it means to the kernel, symbolic links included.
 * `file:NAME` is a plain name. Undefined for protocol names.
 */
export function resolveStoredName(name: string, imagePath: string): string | undefined {
  const plain = name.startsWith('file:') ? name.slice(5) : name;
  if (plain === name && hasProtocol(name)) return undefined;
  if (plain.startsWith('/')) return plain;
  return imagePath.slice(0, imagePath.lastIndexOf('/') + 1) + plain;
}
