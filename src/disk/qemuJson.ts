// JSON as QEMU reads it (qobject/json-*.c): strings in either kind of quotes, no key twice, whole numbers kept exact; and
// with QEMU's complaints.

export type JsonInput = string | bigint | number | boolean | null | JsonInput[] | JsonObject;
export type JsonObject = { [key: string]: JsonInput };

/** What is wrong with a text, in QEMU's words. */
export class JsonError extends Error {}

const MAX_NESTING = 1024;

type Token = { kind: 'punctuation' | 'string' | 'integer' | 'float' | 'keyword'; text: string };

/** The one value in `text`. @throws JsonError. */
export function parseQemuJson(text: string): JsonInput {
  const values: JsonInput[] = [];
  const reader = new TokenReader(text);
  for (;;) {
    const tokens = reader.message();
    if (!tokens) break;
    values.push(new Parser(tokens).whole());
  }
  if (values.length === 0) throw new JsonError('Expecting a JSON value');
  if (values.length > 1) throw new JsonError('Expecting at most one JSON value');
  return values[0];
}

const PATTERNS: readonly [Token['kind'], RegExp][] = [
  ['punctuation', /[{}[\]:,]/y],
  ['string', /"(?:[^"\\\p{Cc}]|\\\P{Cc})*"|'(?:[^'\\\p{Cc}]|\\\P{Cc})*'/uy],
  ['float', /-?(?:0(?![0-9])|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)/y],
  ['integer', /-?(?:0(?![0-9])|[1-9][0-9]*)/y],
  ['keyword', /[a-z]+/y],
];

/** What no token begins with, up to the character that shows it; tried where nothing above fits. */
const BROKEN = [
  /"(?:[^"\\\p{Cc}]|\\\P{Cc})*\\?\p{Cc}?/uy,
  /'(?:[^'\\\p{Cc}]|\\\P{Cc})*\\?\p{Cc}?/uy,
  /-?0[0-9]/y,
  /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?[eE][-+]?[^0-9]?/y,
  /-?(?:0|[1-9][0-9]*)\.[^0-9]?/y,
  /-[^0-9]?/y,
  /./suy,
];

class TokenReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Tokens up to where all brackets are closed; undefined at the end. */
  message(): Token[] | undefined {
    const tokens: Token[] = [];
    let braces = 0;
    let brackets = 0;
    for (;;) {
      const token = this.#token();
      if (!token) {
        if (tokens.length === 0) return undefined;
        throw new JsonError('JSON parse error, premature EOI');
      }
      tokens.push(token);
      if (token.text === '{') braces++;
      else if (token.text === '}') braces--;
      else if (token.text === '[') brackets++;
      else if (token.text === ']') brackets--;
      if (braces + brackets > MAX_NESTING) throw new JsonError('JSON nesting depth limit exceeded');
      if (braces < 0 || brackets < 0 || (braces === 0 && brackets === 0)) return tokens;
    }
  }

  #token(): Token | undefined {
    this.#match(/[ \t\r\n]*/y);
    if (this.#at >= this.#text.length) return undefined;
    for (const [kind, pattern] of PATTERNS) {
      // `1.` and `1e` are no whole numbers with something behind them.
      const at = this.#at;
      const text = this.#match(pattern);
      if (text === undefined) continue;
      if (kind === 'integer' && /[.eE]/.test(this.#text[this.#at] ?? '')) this.#at = at;
      else return { kind, text };
    }
    for (const pattern of BROKEN) {
      const text = this.#match(pattern);
      if (text !== undefined) throw new JsonError(`JSON parse error, stray '${text}'`);
    }
    throw new JsonError('JSON parse error, expecting value');
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): JsonInput {
    return this.#value();
  }

  #next(): Token {
    const token = this.#tokens[this.#at++];
    if (!token) throw fail('premature EOI');
    return token;
  }

  #value(): JsonInput {
    const { kind, text } = this.#next();
    if (kind === 'string') return unquoted(text);
    if (kind === 'integer') return whole(text);
    if (kind === 'float') return Number(text);
    if (kind === 'keyword') {
      if (text === 'true') return true;
      if (text === 'false') return false;
      if (text === 'null') return null;
      throw fail(`invalid keyword '${text}'`);
    }
    if (text === '{') return this.#object();
    if (text === '[') return this.#list();
    throw fail('expecting value');
  }

  #object(): JsonObject {
    const object: JsonObject = Object.create(null);
    if (this.#tokens[this.#at]?.text === '}') {
      this.#at++;
      return object;
    }
    for (;;) {
      const key = this.#value();
      if (typeof key !== 'string') throw fail('key is not a string in object');
      const colon = this.#next();
      if (colon.text !== ':') throw fail('missing : in object pair');
      const value = this.#value();
      if (key in object) throw fail('duplicate key');
      object[key] = value;
      const { text } = this.#next();
      if (text === '}') return object;
      if (text !== ',') throw fail('expected separator in dict');
    }
  }

  #list(): JsonInput[] {
    const list: JsonInput[] = [];
    if (this.#tokens[this.#at]?.text === ']') {
      this.#at++;
      return list;
    }
    for (;;) {
      list.push(this.#value());
      const { text } = this.#next();
      if (text === ']') return list;
      if (text !== ',') throw fail('expected separator in list');
    }
  }
}

function fail(message: string): JsonError {
  return new JsonError(`JSON parse error, ${message}`);
}

/** Exact within 64 bits; what is larger is a floating-point number, as in QEMU. */
function whole(text: string): bigint | number {
  const value = BigInt(text);
  return value >= -(2n ** 63n) && value < 2n ** 64n ? value : Number(text);
}

const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  '"': '"',
  "'": "'",
  '\\': '\\',
  '/': '/',
};

function unquoted(token: string): string {
  const inner = token.slice(1, -1);
  let out = '';
  for (let at = 0; at < inner.length; ) {
    const backslash = inner.indexOf('\\', at);
    if (backslash < 0) return out + inner.slice(at);
    out += inner.slice(at, backslash);
    const letter = inner[backslash + 1];
    at = backslash + 2;
    if (letter === 'u') {
      const character = unicode(inner, backslash);
      if (character === undefined)
        throw fail(`${token.slice(backslash + 1, backslash + 7)} is not a valid Unicode character`);
      out += character;
      at = backslash + 6 * character.length;
    } else if (letter in ESCAPES) out += ESCAPES[letter];
    else throw fail('invalid escape sequence in string');
  }
  return out;
}

/** The character that `\uXXXX` at `at` stands for, or that it stands for together with the next one. */
function unicode(text: string, at: number): string | undefined {
  const unit = (from: number) => {
    const hex = /^\\u([0-9a-fA-F]{4})/.exec(text.slice(from, from + 6))?.[1];
    return hex === undefined ? undefined : Number.parseInt(hex, 16);
  };
  const first = unit(at);
  if (first === undefined) return undefined;
  let code: number = first;
  if (first >= 0xd800 && first < 0xdc00) {
    const second = unit(at + 6);
    if (second === undefined || second < 0xdc00 || second > 0xdfff) return undefined;
    code = 0x10000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
  } else if (first >= 0xdc00 && first < 0xe000) return undefined;
  const noCharacter = (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;
  return noCharacter ? undefined : String.fromCodePoint(code);
}
