// JSON piece by piece: values with the path to them. Bounded strings and depth; strict.
export type JsonValue = string | number | boolean | null;

export type JsonEvent =
  | { type: 'value'; path: readonly (string | number)[]; value: JsonValue }
  | { type: 'open'; path: readonly (string | number)[] }
  | { type: 'close'; path: readonly (string | number)[] };

/** What is wrong, without the name of the list. */
export class JsonError extends Error {}

const MAX_TOKEN = 65_536;
const MAX_DEPTH = 16;
const SPACE = /[ \t\r\n]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in strings
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
/** With what follows, so that it is complete. */
const BARE = /(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?=[ \t\r\n,\]}])/y;

interface Level {
  array: boolean;
  /** Key or index of the member that is being read. */
  at: string | number;
  members: number;
}

type Expected = 'value' | 'first' | 'key' | 'colon' | 'more' | 'nothing';

export class JsonScanner {
  #rest = '';
  readonly #levels: Level[] = [];
  #expected: Expected = 'value';

  /** @throws JsonError */
  *push(text: string): Generator<JsonEvent> {
    const buffer = this.#rest + text;
    let at = 0;
    for (;;) {
      SPACE.lastIndex = at;
      SPACE.exec(buffer);
      at = SPACE.lastIndex;
      if (at >= buffer.length) break;
      const token = tokenAt(buffer, at);
      if (!token) break;
      const event = this.#take(token.text, token.value);
      at = token.end;
      if (event) yield event;
    }
    this.#rest = buffer.slice(at);
    if (this.#rest.length > MAX_TOKEN) throw wrong(this.#rest);
  }

  /** @throws JsonError when something is left open. */
  end(): void {
    if (this.#rest !== '') throw wrong(this.#rest);
    if (this.#expected !== 'nothing') throw new JsonError('it ends too early');
  }

  #take(text: string, value: JsonValue | undefined): JsonEvent | undefined {
    const level = this.#levels.at(-1);
    const expected = this.#expected;
    if (expected === 'nothing') throw wrong(text);
    if (expected === 'colon') {
      if (text !== ':') throw wrong(text);
      this.#expected = 'value';
      return undefined;
    }
    if (text === ']' || text === '}') {
      const right = level && (text === ']') === level.array && (expected === 'more' || expected === 'first');
      if (!right) throw wrong(text);
      this.#levels.pop();
      this.#after();
      return { type: 'close', path: this.#path() };
    }
    if (expected === 'more') {
      if (text !== ',') throw wrong(text);
      if (level!.array) level!.at = level!.members;
      this.#expected = level!.array ? 'value' : 'key';
      return undefined;
    }
    if (expected === 'key' || (expected === 'first' && !level!.array)) {
      if (typeof value !== 'string') throw wrong(text);
      level!.at = value;
      this.#expected = 'colon';
      return undefined;
    }
    if (text === '[' || text === '{') {
      if (this.#levels.length === MAX_DEPTH) throw new JsonError(`it is nested more than ${MAX_DEPTH} deep`);
      const path = this.#path();
      this.#levels.push({ array: text === '[', at: 0, members: 0 });
      this.#expected = 'first';
      return { type: 'open', path };
    }
    if (value === undefined) throw wrong(text);
    const path = this.#path();
    this.#after();
    return { type: 'value', path, value };
  }

  #after(): void {
    const level = this.#levels.at(-1);
    if (level) level.members++;
    this.#expected = level ? 'more' : 'nothing';
  }

  #path(): (string | number)[] {
    return this.#levels.map((level) => level.at);
  }
}

/** Undefined when more of it has to come. */
function tokenAt(buffer: string, at: number): { text: string; value?: JsonValue; end: number } | undefined {
  const character = buffer[at];
  if ('[]{},:'.includes(character)) return { text: character, end: at + 1 };
  const pattern = character === '"' ? STRING : BARE;
  pattern.lastIndex = at;
  const match = pattern.exec(buffer);
  if (match) {
    if (match[0].length > MAX_TOKEN) throw wrong(match[0]);
    return { text: match[0], value: JSON.parse(match[0]) as JsonValue, end: pattern.lastIndex };
  }
  const open =
    character === '"'
      ? // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in strings
        !/[\u0000-\u001f]/.test(buffer.slice(at, at + MAX_TOKEN))
      : /^[-+.0-9a-zA-Z]*$/.test(buffer.slice(at, at + 64));
  if (!open) throw wrong(buffer.slice(at));
  return undefined;
}

const wrong = (text: string): JsonError =>
  new JsonError(`it is no JSON where it says ${JSON.stringify(text.slice(0, 40))}`);
