// `--object secret` (QEMU: crypto/secret.c, crypto/secret_common.c).
import { createDecipheriv } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { errnoText } from './errno.js';
import { CliError } from './errors.js';
import type { ObjectProperties } from './objectProperties.js';

const KEY_BYTES = 32;
const BLOCK = 16;

/** Reads the secret, deciphers it when it has a `keyid`, and keeps it by its id. @throws CliError; never names its bytes. */
export function addSecret(secrets: Map<string, Buffer>, properties: ObjectProperties): void {
  const id = properties.require('id');
  const loaded = properties.flag('loaded');
  const format = properties.optional('format') ?? 'raw';
  if (format !== 'raw' && format !== 'base64') {
    throw new CliError(`Parameter 'format' does not accept value '${format}'`);
  }
  const keyId = properties.optional('keyid');
  const iv = properties.optional('iv');
  const data = properties.optional('data');
  const file = properties.optional('file');
  properties.finish();
  if (!/^[A-Za-z][A-Za-z0-9\-._]*$/.test(id)) {
    throw new CliError("Parameter 'id' expects an identifier", {
      hint: "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.\n",
    });
  }
  if (loaded !== undefined) throw new CliError("Property 'secret.loaded' is not writable");
  if (secrets.has(id)) {
    throw new CliError(`attempt to add duplicate property '${id}' to object (type 'container')`);
  }
  const stored = storedBytes(data, file);
  if (keyId !== undefined) secrets.set(id, deciphered(secrets, keyId, iv, stored, format));
  else secrets.set(id, format === 'base64' ? fromBase64(stored) : stored);
}

function storedBytes(data: string | undefined, file: string | undefined): Buffer {
  if (file !== undefined && data !== undefined) {
    throw new CliError("'file' and 'data' are mutually exclusive");
  }
  if (data !== undefined) return Buffer.from(data);
  if (file === undefined) throw new CliError("Either 'file' or 'data' must be provided");
  try {
    return readFileSync(file);
  } catch (error) {
    const { code = '', syscall, message } = error as NodeJS.ErrnoException;
    const reason = errnoText(code) ?? message;
    const what = syscall === 'open' ? 'Failed to open file' : 'Error reading file';
    throw new CliError(`Unable to read ${file}: ${what} “${file}”: ${reason}`, { cause: error });
  }
}

function deciphered(
  secrets: ReadonlyMap<string, Buffer>,
  keyId: string,
  ivText: string | undefined,
  stored: Buffer,
  format: 'raw' | 'base64',
): Buffer {
  const key = secrets.get(keyId);
  if (!key) throw new CliError(`No secret with id '${keyId}'`);
  if (key.length !== KEY_BYTES) throw new CliError(`Key should be ${KEY_BYTES} bytes in length`);
  if (ivText === undefined) throw new CliError('IV is required to decrypt secret');
  const iv = fromBase64(Buffer.from(ivText));
  if (iv.length !== BLOCK) throw new CliError(`IV should be ${BLOCK} bytes in length not ${iv.length}`);
  const ciphertext = format === 'base64' ? fromBase64(stored) : stored;
  if (ciphertext.length % BLOCK !== 0) {
    throw new CliError(`Length ${ciphertext.length} must be a multiple of block size ${BLOCK}`);
  }
  const decipher = createDecipheriv('aes-256-cbc', key, iv).setAutoPadding(false);
  const plain = Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  if (plain.length === 0) return plain;
  const padding = plain[plain.length - 1];
  if (padding > BLOCK || padding > plain.length) {
    throw new CliError(`Incorrect number of padding bytes (${padding}) found on decrypted data`);
  }
  return plain.subarray(0, plain.length - padding);
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** As GLib decodes it: whole groups of four alone count, and `=` leaves its byte out. */
function fromBase64(text: Buffer): Buffer {
  const characters = text.toString('latin1').replaceAll('\n', '');
  if (characters.includes('\0')) throw new CliError('Base64 data contains embedded NUL characters');
  if (!/^[A-Za-z0-9+/=]*$/.test(characters)) throw new CliError('Base64 data contains invalid characters');
  const out: number[] = [];
  for (let at = 0; at + 4 <= characters.length; at += 4) {
    const group = characters.slice(at, at + 4);
    const value = [...group].reduce((sum, letter) => sum * 64 + Math.max(0, ALPHABET.indexOf(letter)), 0);
    out.push(value >> 16);
    if (group[2] !== '=') out.push((value >> 8) & 0xff);
    if (group[3] !== '=') out.push(value & 0xff);
  }
  return Buffer.from(out);
}
