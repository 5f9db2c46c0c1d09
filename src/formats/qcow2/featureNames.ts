// The feature name table: 48-byte entries of type, bit and name (specification, "Feature name table").

export type FeatureType = 'incompatible' | 'compatible' | 'autoclear';
const TYPES: readonly FeatureType[] = ['incompatible', 'compatible', 'autoclear'];
const ENTRY_BYTES = 48;
const NAME_BYTES = 46;

export interface FeatureName {
  type: FeatureType;
  /** 0 to 63. */
  bit: number;
  name: string;
}

/** The entries QEMU writes, in its order. */
export const knownFeatures: readonly FeatureName[] = [
  { type: 'incompatible', bit: 0, name: 'dirty bit' },
  { type: 'incompatible', bit: 1, name: 'corrupt bit' },
  { type: 'incompatible', bit: 2, name: 'external data file' },
  { type: 'incompatible', bit: 3, name: 'compression type' },
  { type: 'incompatible', bit: 4, name: 'extended L2 entries' },
  { type: 'compatible', bit: 0, name: 'lazy refcounts' },
  { type: 'autoclear', bit: 0, name: 'bitmaps' },
  { type: 'autoclear', bit: 1, name: 'raw external data' },
];

/** Extension payload. */
export function serializeFeatureNames(features: readonly FeatureName[] = knownFeatures): Buffer {
  const table = Buffer.alloc(features.length * ENTRY_BYTES);
  features.forEach(({ type, bit, name }, i) => {
    table[i * ENTRY_BYTES] = TYPES.indexOf(type);
    table[i * ENTRY_BYTES + 1] = bit;
    table.write(name, i * ENTRY_BYTES + 2, NAME_BYTES, 'utf8');
  });
  return table;
}

/** Entries with a known type; names are untrusted text, so control characters become `?`. */
export function parseFeatureNames(payload: Uint8Array): FeatureName[] {
  const table = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const features: FeatureName[] = [];
  for (let at = 0; at + ENTRY_BYTES <= table.length; at += ENTRY_BYTES) {
    const type = TYPES[table[at]];
    const bit = table[at + 1];
    const name = table.subarray(at + 2, at + 2 + NAME_BYTES);
    const nul = name.indexOf(0);
    const text = name.toString('utf8', 0, nul < 0 ? NAME_BYTES : nul);
    if (type && bit < 64) features.push({ type, bit, name: printable(text) });
  }
  return features;
}

/** Names of the bits set in `mask`, from the image's own table; a bit without a name as `bit 7`. */
export function describeFeatures(mask: bigint, type: FeatureType, names: readonly FeatureName[]): string[] {
  const found: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (!((mask >> BigInt(bit)) & 1n)) continue;
    const name = names.find((feature) => feature.type === type && feature.bit === bit)?.name;
    found.push(name ? `'${name}' (bit ${bit})` : `bit ${bit}`);
  }
  return found;
}

function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\u2028\u2029\ufffd]/gu, '?');
}
