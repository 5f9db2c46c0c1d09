/** A GUID as Microsoft writes it: the first three groups are little-endian. */
export function guid(bytes: Buffer, at: number): string {
  const id = Buffer.from(bytes.subarray(at, at + 16));
  id.subarray(0, 4).reverse();
  id.subarray(4, 6).reverse();
  id.subarray(6, 8).reverse();
  return id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
