import type { JsonInput } from '../disk/qemuJson.js';
import { CliError } from './errors.js';

/** What an object was described by, read one property after another with QEMU's complaints (qapi visitors). */
export class ObjectProperties {
  readonly #values: Readonly<Record<string, JsonInput>>;
  /** The description was JSON: its values have types. */
  readonly #typed: boolean;
  readonly #seen = new Set<string>();

  constructor(values: Readonly<Record<string, JsonInput>>, typed: boolean) {
    this.#values = values;
    this.#typed = typed;
  }

  /** @throws CliError when it is missing or no text. */
  require(name: string): string {
    const value = this.optional(name);
    if (value === undefined) throw new CliError(`Parameter '${name}' is missing`);
    return value;
  }

  optional(name: string): string | undefined {
    const value = this.#take(name);
    if (value === undefined || typeof value === 'string') return value;
    throw this.#wrongType(name, 'string');
  }

  flag(name: string): boolean | undefined {
    const value = this.#take(name);
    if (value === undefined || typeof value === 'boolean') return value;
    if (this.#typed || typeof value !== 'string') throw this.#wrongType(name, 'boolean');
    if (/^(on|yes|true|y)$/.test(value)) return true;
    if (/^(off|no|false|n)$/.test(value)) return false;
    throw new CliError(`Parameter '${name}' expects 'on' or 'off'`);
  }

  /** @throws CliError for one that nothing asked for. */
  finish(): void {
    const left = Object.keys(this.#values).find((name) => !this.#seen.has(name));
    if (left !== undefined) throw new CliError(`Parameter '${left}' is unexpected`);
  }

  #take(name: string): JsonInput | undefined {
    this.#seen.add(name);
    return this.#values[name];
  }

  #wrongType(name: string, expected: string): CliError {
    return new CliError(
      this.#typed
        ? `Invalid parameter type for '${name}', expected: ${expected}`
        : `Parameters '${name}.*' are unexpected`,
    );
  }
}
