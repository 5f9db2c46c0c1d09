// QEMU's `KEY=VALUE,…` of objects (util/keyval.c): dots nest, a doubled comma is one, and everything is text.
import { CliError } from './errors.js';

export type KeyvalValue = string | KeyvalObject;
export type KeyvalObject = { [key: string]: KeyvalValue };

export interface Keyval {
  values: KeyvalObject;
  /** A bare `help` or `?` stands among them. */
  help: boolean;
}

const MAX_KEY = 127;
const FRAGMENT = /^(?:[A-Za-z_][A-Za-z0-9_-]*|[0-9]+)$/;

/** `implied`: the key that a first value without `=` is of. @throws CliError in QEMU's words. */
export function parseKeyval(text: string, implied: string): Keyval {
  const parsed: Keyval = { values: Object.create(null), help: false };
  for (let at = 0; at < text.length; ) {
    const [head] = /^[^=,]*/.exec(text.slice(at))!;
    const separator = text[at + head.length];
    let key = head;
    if (separator !== '=') {
      if (head === 'help' || head === '?') {
        parsed.help = true;
        at += head.length + 1;
        continue;
      }
      if (at > 0)
        throw new CliError(head === '' ? "Invalid parameter ''" : `Expected '=' after parameter '${head}'`);
      if (head === '') throw new CliError("Invalid parameter ''");
      key = implied;
    } else at += head.length + 1;
    checkKey(key);
    const [raw] = /^(?:[^,]|,,)*/.exec(text.slice(at))!;
    // The value of the implied key has no commas.
    const value = key === head ? raw.replaceAll(',,', ',') : head;
    put(parsed.values, key, value);
    at += (key === head ? raw : head).length + 1;
  }
  return parsed;
}

function checkKey(key: string): void {
  for (const fragment of key.split('.')) {
    if (fragment.length > MAX_KEY) throw new CliError(`Parameter '${key}' is too long`);
    if (!FRAGMENT.test(fragment)) throw new CliError(`Invalid parameter '${key}'`);
  }
  if (/^[0-9]/.test(key)) throw new CliError(`Invalid parameter '${key}'`);
}

function put(values: KeyvalObject, key: string, value: string): void {
  const path = key.split('.');
  let into = values;
  for (const [depth, fragment] of path.slice(0, -1).entries()) {
    into[fragment] ??= Object.create(null) as KeyvalObject;
    const next = into[fragment];
    if (typeof next === 'string') {
      throw new CliError(`Parameters '${path.slice(0, depth + 1).join('.')}.*' used inconsistently`);
    }
    into = next;
  }
  const last = path[path.length - 1];
  if (typeof into[last] === 'object') throw new CliError(`Parameters '${key}.*' used inconsistently`);
  into[last] = value;
}
