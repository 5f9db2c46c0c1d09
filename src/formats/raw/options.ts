// Create options of raw images. All but `size` belong to the file underneath (QEMU: block/file-posix.c), and so
// every format that lives in a file accepts them too.
import type { CreateOptionSpec, CreateOptions } from '../../disk/format.js';
import type { FileHints } from '../../disk/newFile.js';
import { invalid, OptionValues } from '../optionText.js';

export type RawPreallocation = 'off' | 'falloc' | 'full';

export const protocolOptions: readonly CreateOptionSpec[] = [
  {
    name: 'nocow',
    type: 'bool',
    help: 'Turn off copy-on-write (valid only on btrfs)',
    protocol: true,
  },
  {
    name: 'preallocation',
    type: 'str',
    help: 'Preallocation mode (allowed values: off, falloc, full)',
    protocol: true,
  },
  {
    name: 'extent_size_hint',
    type: 'size',
    help: 'Extent size hint for the image file, 0 to disable',
    protocol: true,
  },
];

const all: readonly CreateOptionSpec[] = [
  { name: 'size', type: 'size', help: 'Virtual disk size' },
  ...protocolOptions,
];
const order = all.map((spec) => spec.name);

/** As `-o help` lists them. */
export const rawCreateOptions: readonly CreateOptionSpec[] = [...all].sort((a, b) =>
  a.name < b.name ? -1 : 1,
);

/** What `nocow` and `extent_size_hint` ask of the filesystem. Undefined when nothing is asked. @throws INVALID_ARGUMENT with QEMU's sentence. */
export function fileHints(values: OptionValues, path: string): FileHints | undefined {
  const extentSize = values.amount('extent_size_hint') ?? 0n;
  if (extentSize > 0xffffffffn) throw invalid('Extent size hint is too large', path);
  const noCopyOnWrite = values.flag('nocow');
  return noCopyOnWrite || extentSize > 0n ? { noCopyOnWrite, extentSize: Number(extentSize) } : undefined;
}

export function parseRawOptions(options: CreateOptions, path: string): OptionValues {
  return new OptionValues(all, options, path);
}

export function effectiveRawOptions(values: OptionValues, size: bigint): [string, string][] {
  values.show('size', size.toString());
  return values.effective(order);
}

/** @throws INVALID_ARGUMENT with QEMU's sentences. */
export function rawPreallocation(values: OptionValues, path: string): RawPreallocation {
  const text = values.text('preallocation') ?? 'off';
  if (text === 'off' || text === 'falloc' || text === 'full') return text;
  if (text === 'metadata') throw invalid('Unsupported preallocation mode: metadata', path);
  throw invalid(`invalid parameter value: ${text}`, path);
}
