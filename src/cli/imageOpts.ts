// `--image-opts` and `json:` names, as far as they describe a local file.
import { formatNames } from '../formats/registry.js';
import { CliError } from './errors.js';
import { splitOptions } from './optionLists.js';

export interface DescribedImage {
  path: string;
  /** Undefined: to be probed. */
  format?: string;
  /** `force-share=on`. */
  forceShare: boolean;
}

/** Ways of opening that change nothing about what is read. */
const HARMLESS = new Set([
  'read-only',
  'auto-read-only',
  'node-name',
  'discard',
  'detect-zeroes',
  'cache.direct',
  'cache.no-flush',
  'file.read-only',
  'file.auto-read-only',
  'file.node-name',
  'file.aio',
  'file.locking',
  'file.cache.direct',
  'file.cache.no-flush',
]);

/** `driver=qcow2,file.filename=disk.qcow2`. @throws CliError in qemu-img's words, for `Could not open`. */
export function parseImageOpts(text: string): DescribedImage {
  const options = new Map(splitOptions(text, 'file').map(({ name, value }) => [name, value]));
  return described(options);
}

/** `json:{"driver": "qcow2", "file": {"driver": "file", "filename": "disk.qcow2"}}`. @throws CliError. */
export function parseJsonName(name: string): DescribedImage {
  let value: unknown;
  try {
    value = JSON.parse(name.slice('json:'.length));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(`Could not parse the JSON options: JSON parse error, ${reason}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CliError('Invalid JSON object given');
  }
  const options = new Map<string, string>();
  flatten(value as Record<string, unknown>, '', options);
  return described(options);
}

function flatten(value: Record<string, unknown>, prefix: string, into: Map<string, string>): void {
  for (const [key, member] of Object.entries(value)) {
    if (typeof member === 'object' && member !== null && !Array.isArray(member)) {
      flatten(member as Record<string, unknown>, `${prefix}${key}.`, into);
    } else {
      into.set(prefix + key, typeof member === 'boolean' ? (member ? 'on' : 'off') : String(member));
    }
  }
}

function described(options: Map<string, string>): DescribedImage {
  const take = (name: string) => {
    const value = options.get(name);
    options.delete(name);
    return value;
  };
  const reference = take('file');
  if (reference !== undefined) {
    throw new CliError(`Cannot find device='${reference}' nor node-name='${reference}'`);
  }
  const format = take('driver');
  const protocol = take('file.driver');
  const path = take('file.filename');
  if (format === undefined && protocol === undefined && path === undefined) {
    throw new CliError('Must specify either driver or file');
  }
  if (format === 'file' || format === 'host_device') {
    throw new CliError(`Driver '${format}' reads no image format: give driver=raw,file.filename=… instead`);
  }
  if (protocol !== undefined && protocol !== 'file' && protocol !== 'host_device') {
    throw new CliError(`Unknown driver '${protocol}'`);
  }
  if (path === undefined) {
    if (format !== undefined && !formatNames().includes(format))
      throw new CliError(`Unknown driver '${format}'`);
    throw new CliError(
      protocol === undefined
        ? 'A block device must be specified for "file"'
        : `The '${protocol}' block driver requires a file name`,
    );
  }
  const share = take('force-share') ?? 'off';
  if (share !== 'on' && share !== 'off') {
    throw new CliError("Parameter 'force-share' expects 'on' or 'off'");
  }
  for (const name of options.keys()) {
    if (!HARMLESS.has(name)) {
      throw new CliError(`Block format '${format ?? 'file'}' does not support the option '${name}'`);
    }
  }
  return { path, format, forceShare: share === 'on' };
}
