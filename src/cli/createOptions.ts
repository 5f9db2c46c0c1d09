// `-o` of create, convert and measure.
import type { CreateOptionSpec, CreateOptions } from '../disk/format.js';
import { hasProtocol } from '../disk/names.js';
import { formatByName, formatNames } from '../formats/registry.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { asksForHelp, isOptionList, splitOptions } from './optionLists.js';
import { print } from './output.js';

/** Collects the `-o` lists of one command line. */
export class OptionLists {
  #joined: string | undefined;

  /** @throws CliError in qemu-img's words. */
  add(text: string): void {
    if (!isOptionList(text)) throw new CliError(`Invalid option list: ${text}`);
    this.#joined = this.#joined === undefined ? text : `${this.#joined},${text}`;
  }

  get given(): boolean {
    return this.#joined !== undefined;
  }

  get wantsHelp(): boolean {
    return this.#joined !== undefined && asksForHelp(this.#joined);
  }

  /** Values by name; the last of a name counts. */
  get values(): CreateOptions {
    const values: Record<string, string> = {};
    for (const { name, value } of splitOptions(this.#joined ?? '')) values[name] = value;
    return values;
  }
}

/** Formats qemu-img knows and cannot create; it says so in other words than for unknown ones. */
const READ_ONLY_FORMATS = new Set(['bochs', 'cloop', 'dmg']);

/** @throws CliError unless images of this format can be made. `prefix`: `FILE: ` where qemu-img has it. */
export function requireCreatable(format: string, prefix = ''): readonly CreateOptionSpec[] {
  if (READ_ONLY_FORMATS.has(format)) {
    throw new CliError(`${prefix}Format driver '${format}' does not support image creation`);
  }
  if (!formatNames().includes(format)) throw new CliError(`${prefix}Unknown file format '${format}'`);
  const { createOptions } = formatByName(format);
  if (!createOptions)
    throw new CliError(`${prefix}Format driver '${format}' does not support image creation`);
  return createOptions;
}

/** @throws CliError for a name of another protocol than local files. */
export function requireLocalName(name: string, prefix = ''): string {
  if (name.startsWith('file:')) return name.slice('file:'.length);
  if (hasProtocol(name)) {
    throw new CliError(`${prefix}Unknown protocol '${name.slice(0, name.indexOf(':'))}'`);
  }
  return name;
}

/** `-o help`: the table of options; those of the file underneath only when a file is named. */
export function printOptionHelp(ctx: CliContext, format: string, filename: string | undefined): void {
  const specs = requireCreatable(format);
  if (filename !== undefined) requireLocalName(filename);
  const shown = specs.filter((spec) => filename !== undefined || !spec.protocol);
  print(ctx, filename === undefined ? `Supported ${format} options:\n` : 'Supported options:\n');
  print(ctx, optionTable(shown));
  if (filename === undefined) {
    print(
      ctx,
      '\nThe protocol level may support further options.\n' +
        'Specify the target filename to include those options.\n',
    );
  }
}

/** Lines of options, sorted as qemu-img sorts them. */
export function optionTable(specs: readonly CreateOptionSpec[]): string {
  return specs
    .map((spec) => ({ head: `${spec.name}=<${typeText(spec.type)}>`, help: spec.help }))
    .sort((a, b) => (a.head < b.head ? -1 : 1))
    .map(({ head, help }) => `  ${head.padEnd(22)} - ${help}\n`)
    .join('');
}

function typeText(type: CreateOptionSpec['type']): string {
  return type === 'bool' ? 'bool (on/off)' : type;
}
