// JSON as qemu-img prints it: keys in the order of QEMU's QDict, four spaces, ASCII only.

export type JsonValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

const BUCKETS = 512;

/** QEMU's hash of a dictionary key (qobject/qdict.c, tdb_hash), as the index of its bucket. */
export function qdictBucket(key: string): number {
  const bytes = Buffer.from(key);
  let value = Math.imul(0x238f13af, bytes.length) >>> 0;
  for (let i = 0; i < bytes.length; i++) value = (value + (bytes[i] << ((i * 5) % 24))) >>> 0;
  return ((Math.imul(1103515243, value) + 12345) >>> 0) % BUCKETS;
}

/** Keys in the order QEMU writes them: by bucket; within one bucket, the last inserted first. */
export function qdictOrder(keys: readonly string[]): string[] {
  return keys
    .map((key, index) => ({ key, index, bucket: qdictBucket(key) }))
    .sort((a, b) => a.bucket - b.bucket || b.index - a.index)
    .map(({ key }) => key);
}

/** The value as `qemu-img --output=json` would print it, without a line end. Undefined members are left out. */
export function qemuJson(value: JsonValue, depth = 0): string {
  if (typeof value === 'string') return quoted(value);
  if (value === null || typeof value !== 'object') return String(value);
  const inner = '    '.repeat(depth + 1);
  const outer = '    '.repeat(depth);
  if (Array.isArray(value)) {
    const items = (value as readonly JsonValue[]).map((item) => inner + qemuJson(item, depth + 1));
    return items.length === 0 ? `[\n${outer}]` : `[\n${items.join(',\n')}\n${outer}]`;
  }
  const members = value as { readonly [key: string]: JsonValue | undefined };
  const keys = Object.keys(members).filter((key) => members[key] !== undefined);
  if (keys.length === 0) return `{\n${outer}}`;
  const lines = qdictOrder(keys).map(
    (key) => `${inner}${quoted(key)}: ${qemuJson(members[key]!, depth + 1)}`,
  );
  return `{\n${lines.join(',\n')}\n${outer}}`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function quoted(text: string): string {
  let out = '"';
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const plain = unit >= 0x20 && unit < 0x7f;
    out += ESCAPES[text[i]] ?? (plain ? text[i] : `\\u${unit.toString(16).toUpperCase().padStart(4, '0')}`);
  }
  return `${out}"`;
}
