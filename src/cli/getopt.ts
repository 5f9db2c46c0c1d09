/** A long option. `value` is what next() reports for it, usually the letter of its short twin. */
export interface LongOption {
  name: string;
  argument: 'none' | 'required' | 'keyword';
  value: string;
  /** For `keyword`: the words that may follow as a separate argument; any other word is not the option's. */
  keywords?: readonly string[];
}

export interface OptionSpec {
  /** getopt(3)'s string: letters, `:` after those with an argument; a leading `+` stops at the first operand. */
  short: string;
  /** Long names that may be abbreviated to any unique prefix. */
  long: readonly LongOption[];
  /** Further names, looked up only when `long` has no match, so that they never make an abbreviation ambiguous. */
  extra?: readonly LongOption[];
}

export type Parsed =
  | { kind: 'option'; value: string; argument?: string }
  /** An option without its argument. `word` is argv[optind - 1], as qemu-img names it; `message` is glibc's. */
  | { kind: 'missing'; word: string; message: string }
  | { kind: 'unknown'; word: string; message: string };

const EMPTY_SPEC_END = 'end';

/**
 * getopt_long(3) as glibc does it: operands are moved behind the options, `-abc` groups, `-fVALUE`, `--long=VALUE`
 * and unique prefixes work, `--` ends the options. `argv[0]` is the program (or verb) itself and is skipped.
 * The words are permuted in a copy; the caller's array stays as it is.
 */
export class Getopt {
  readonly #argv: string[];
  readonly #spec: OptionSpec;
  readonly #permute: boolean;
  readonly #letters: string;
  /** Index of the next word to look at (optind). */
  #index = 1;
  /** Operands skipped so far are argv[firstOperand, afterOperands). */
  #firstOperand = 1;
  #afterOperands = 1;
  /** Letters of a group that are still to come. */
  #group = '';

  constructor(argv: readonly string[], spec: OptionSpec, environment: NodeJS.ProcessEnv = process.env) {
    this.#argv = [...argv];
    this.#spec = spec;
    const inOrder = spec.short.startsWith('+');
    this.#letters = inOrder ? spec.short.slice(1) : spec.short;
    this.#permute = !inOrder && environment.POSIXLY_CORRECT === undefined;
  }

  /** The words that are not options; valid once next() returned undefined. */
  get operands(): string[] {
    return this.#argv.slice(this.#index);
  }

  /** The next option in order; undefined at the end. */
  next(): Parsed | undefined {
    if (this.#group === '') {
      if (this.#advance() === EMPTY_SPEC_END) return undefined;
      const word = this.#argv[this.#index];
      if (word.startsWith('--')) {
        this.#index++;
        return this.#long(word.slice(2));
      }
      this.#group = word.slice(1);
    }
    return this.#short();
  }

  #advance(): typeof EMPTY_SPEC_END | 'option' {
    const argv = this.#argv;
    if (this.#permute) {
      if (this.#firstOperand !== this.#afterOperands && this.#afterOperands !== this.#index) this.#exchange();
      else if (this.#afterOperands !== this.#index) this.#firstOperand = this.#index;
      while (this.#index < argv.length && !isOption(argv[this.#index])) this.#index++;
      this.#afterOperands = this.#index;
    }
    if (this.#index < argv.length && argv[this.#index] === '--') {
      this.#index++;
      if (this.#firstOperand !== this.#afterOperands && this.#afterOperands !== this.#index) this.#exchange();
      else if (this.#firstOperand === this.#afterOperands) this.#firstOperand = this.#index;
      this.#afterOperands = argv.length;
      this.#index = argv.length;
    }
    if (this.#index >= argv.length) {
      if (this.#firstOperand !== this.#afterOperands) this.#index = this.#firstOperand;
      return EMPTY_SPEC_END;
    }
    return isOption(argv[this.#index]) ? 'option' : EMPTY_SPEC_END;
  }

  /** Moves the operands skipped so far behind the options that came after them. */
  #exchange(): void {
    const operands = this.#argv.slice(this.#firstOperand, this.#afterOperands);
    const options = this.#argv.slice(this.#afterOperands, this.#index);
    this.#argv.splice(this.#firstOperand, operands.length + options.length, ...options, ...operands);
    this.#firstOperand += options.length;
    this.#afterOperands = this.#index;
  }

  #short(): Parsed {
    const letter = this.#group[0];
    this.#group = this.#group.slice(1);
    const at = letter === ':' || letter === ';' ? -1 : this.#letters.indexOf(letter);
    if (this.#group === '') this.#index++;
    if (at < 0) return this.#failure('unknown', `invalid option -- '${letter}'`);
    if (this.#letters[at + 1] !== ':') return { kind: 'option', value: letter };
    if (this.#group !== '') {
      const argument = this.#group;
      this.#group = '';
      this.#index++;
      return { kind: 'option', value: letter, argument };
    }
    if (this.#index >= this.#argv.length) {
      return this.#failure('missing', `option requires an argument -- '${letter}'`);
    }
    return { kind: 'option', value: letter, argument: this.#argv[this.#index++] };
  }

  #long(text: string): Parsed {
    const equals = text.indexOf('=');
    const name = equals < 0 ? text : text.slice(0, equals);
    const attached = equals < 0 ? undefined : text.slice(equals + 1);
    const found = this.#find(name);
    if (Array.isArray(found)) {
      if (found.length === 0) return this.#failure('unknown', `unrecognized option '--${text}'`);
      const names = found.map((option) => ` '--${option.name}'`).join('');
      return this.#failure('unknown', `option '--${text}' is ambiguous; possibilities:${names}`);
    }
    const { value } = found;
    if (attached !== undefined) {
      if (found.argument !== 'none') return { kind: 'option', value, argument: attached };
      return this.#failure('unknown', `option '--${found.name}' doesn't allow an argument`);
    }
    if (found.argument === 'none') return { kind: 'option', value };
    if (found.argument === 'keyword') {
      const word = this.#argv[this.#index];
      if (!found.keywords?.includes(word)) return { kind: 'option', value };
      this.#index++;
      return { kind: 'option', value, argument: word };
    }
    if (this.#index >= this.#argv.length) {
      return this.#failure('missing', `option '--${found.name}' requires an argument`);
    }
    return { kind: 'option', value, argument: this.#argv[this.#index++] };
  }

  /** The option meant, or the candidates: none, or several that differ. */
  #find(name: string): LongOption | LongOption[] {
    for (const list of [this.#spec.long, this.#spec.extra ?? []]) {
      const exact = list.find((option) => option.name === name);
      if (exact) return exact;
    }
    for (const list of [this.#spec.long, this.#spec.extra ?? []]) {
      const candidates = list.filter((option) => option.name.startsWith(name));
      if (candidates.length === 0) continue;
      const [first] = candidates;
      const same = candidates.every((one) => one.value === first.value && one.argument === first.argument);
      return same ? first : candidates;
    }
    return [];
  }

  #failure(kind: 'missing' | 'unknown', message: string): Parsed {
    return { kind, word: this.#argv[this.#index - 1], message };
  }
}

/** A lone `-` is an operand (standard input). */
function isOption(word: string): boolean {
  return word.length > 1 && word.startsWith('-');
}
