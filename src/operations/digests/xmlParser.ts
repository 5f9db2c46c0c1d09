// XML lists: the first element tells which.
import { BmapParser } from './bmapParser.js';
import { DfxmlParser } from './dfxmlParser.js';
import type { ListHints, ListItem, ListParser } from './types.js';
import { XmlError } from './xmlScanner.js';

const MAX_PROLOGUE = 65_536;

export class XmlParser implements ListParser {
  readonly #hints: ListHints;
  #head = '';
  #parser: ListParser | undefined;

  constructor(hints: ListHints = {}) {
    this.#hints = hints;
  }

  *push(text: string): Generator<ListItem> {
    if (this.#parser) {
      yield* this.#parser.push(text);
      return;
    }
    this.#head += text;
    const bare = this.#head.replace(/<!--.*?-->|<\?.*?\?>/gs, '');
    const root = /<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s/>]/.exec(bare)?.[1];
    if (root === undefined || bare.includes('<!--')) {
      if (this.#head.length > MAX_PROLOGUE)
        throw new XmlError(`no element in its first ${MAX_PROLOGUE} characters`);
      return;
    }
    if (root === 'bmap') this.#parser = new BmapParser();
    else if (root === 'dfxml') this.#parser = new DfxmlParser(this.#hints);
    else throw new XmlError(`its element <${root.slice(0, 40)}> is neither dfxml nor bmap`);
    yield* this.#parser.push(this.#head);
    this.#head = '';
  }

  *end(): Generator<ListItem> {
    if (!this.#parser) throw new XmlError('it has no element');
    yield* this.#parser.end();
  }
}
