// A reader of the XML that digest lists are written in: elements, attributes, text. No document types, so no entities but
// XML's five and characters by number; bounded tokens and depth. Strict: what is not well-formed is an error.
export type XmlEvent =
  | { type: 'open'; name: string; attributes: Readonly<Record<string, string>> }
  | { type: 'close'; name: string }
  | { type: 'text'; text: string };

const MAX_TOKEN = 65_536;
const MAX_DEPTH = 64;
const NAME = '[A-Za-z_:][\\w:.-]*';
const TAG = new RegExp(
  `<(${NAME})((?:\\s+${NAME}\\s*=\\s*(?:"[^"<]*"|'[^'<]*'))*)\\s*(/?)>|</(${NAME})\\s*>`,
  'y',
);
const ATTRIBUTE = new RegExp(`(${NAME})\\s*=\\s*(?:"([^"]*)"|'([^']*)')`, 'g');
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** What is wrong, without the name of the list. */
export class XmlError extends Error {}

export class XmlScanner {
  #rest = '';
  readonly #open: string[] = [];
  #rooted = false;

  /** Names come without their namespace prefix. @throws XmlError */
  *push(text: string): Generator<XmlEvent> {
    const buffer = this.#rest + text;
    let at = 0;
    while (at < buffer.length) {
      const next = buffer[at] === '<' ? this.#markup(buffer, at) : this.#text(buffer, at);
      if (!next) break;
      yield* next.events;
      at = next.end;
    }
    this.#rest = buffer.slice(at);
    if (this.#rest.length > MAX_TOKEN) throw new XmlError(`it is not well-formed: ${shown(this.#rest)}`);
  }

  /** @throws XmlError when something is left open. */
  end(): void {
    if (this.#rest.trim() !== '') throw new XmlError(`it is not well-formed: ${shown(this.#rest)}`);
    if (this.#open.length > 0) throw new XmlError(`<${this.#open.at(-1)}> is not closed`);
    if (!this.#rooted) throw new XmlError('it has no element');
  }

  #text(buffer: string, at: number): { events: XmlEvent[]; end: number } | undefined {
    let end = buffer.indexOf('<', at);
    if (end < 0) {
      // An entity may be cut in two.
      const ampersand = buffer.lastIndexOf('&');
      end = ampersand >= at && !buffer.includes(';', ampersand) ? ampersand : buffer.length;
      if (buffer.length - end > 16) throw new XmlError(`it is not well-formed: ${shown(buffer.slice(end))}`);
      if (end === at) return undefined;
    }
    const text = buffer.slice(at, end);
    if (this.#open.length > 0) return { events: [{ type: 'text', text: decoded(text) }], end };
    if (text.replace(/^\ufeff/, '').trim() !== '')
      throw new XmlError(`it is not well-formed: ${shown(text)}`);
    return { events: [], end };
  }

  #markup(buffer: string, at: number): { events: XmlEvent[]; end: number } | undefined {
    if (buffer.startsWith('<!--', at)) return skipped(buffer, at + 4, '-->');
    if (buffer.startsWith('<?', at)) return this.#instruction(buffer, at);
    if (buffer.startsWith('<![CDATA[', at)) {
      const end = buffer.indexOf(']]>', at);
      if (end < 0) return undefined;
      if (this.#open.length === 0) throw new XmlError('it is not well-formed: CDATA outside the element');
      return { events: [{ type: 'text', text: buffer.slice(at + 9, end) }], end: end + 3 };
    }
    if (buffer.startsWith('<!', at)) {
      if ('<![CDATA['.startsWith(buffer.slice(at)) || '<!--'.startsWith(buffer.slice(at))) return undefined;
      throw new XmlError('document types and entity declarations are not read');
    }
    TAG.lastIndex = at;
    const match = TAG.exec(buffer);
    if (match) return { events: this.#tag(match), end: TAG.lastIndex };
    // Complete, and still no tag?
    if (/^<[^<>"']*>/.test(buffer.slice(at, at + MAX_TOKEN)) || buffer.indexOf('<', at + 1) > 0) {
      throw new XmlError(`it is not well-formed: ${shown(buffer.slice(at))}`);
    }
    return undefined;
  }

  #instruction(buffer: string, at: number): { events: XmlEvent[]; end: number } | undefined {
    const found = skipped(buffer, at, '?>');
    if (!found) return undefined;
    const encoding = /^<\?xml\s[^?]*encoding\s*=\s*["']([^"']*)/.exec(buffer.slice(at, found.end))?.[1];
    if (encoding !== undefined && !/^(utf-?8|us-ascii|ascii)$/i.test(encoding)) {
      throw new XmlError(`its encoding is '${encoding.slice(0, 40)}'; only UTF-8 is read`);
    }
    return found;
  }

  #tag([, name, attributeText, empty, closing]: RegExpExecArray): XmlEvent[] {
    if (closing !== undefined) return [this.#close(closing)];
    if (this.#open.length === 0 && this.#rooted) throw new XmlError(`<${name}> comes after the end`);
    if (this.#open.length === MAX_DEPTH)
      throw new XmlError(`elements are nested more than ${MAX_DEPTH} deep`);
    this.#rooted = true;
    this.#open.push(name);
    const attributes: Record<string, string> = Object.create(null);
    for (const [, key, double, single] of attributeText.matchAll(ATTRIBUTE)) {
      if (key in attributes) throw new XmlError(`<${name}> has the attribute ${key} twice`);
      attributes[key] = decoded(double ?? single);
    }
    const events: XmlEvent[] = [{ type: 'open', name: local(name), attributes }];
    if (empty) events.push(this.#close(name));
    return events;
  }

  #close(name: string): XmlEvent {
    const open = this.#open.pop();
    if (open !== name)
      throw new XmlError(`</${name}> closes ${open === undefined ? 'nothing' : `<${open}>`}`);
    return { type: 'close', name: local(name) };
  }
}

function skipped(buffer: string, at: number, mark: string): { events: XmlEvent[]; end: number } | undefined {
  const end = buffer.indexOf(mark, at);
  return end < 0 ? undefined : { events: [], end: end + mark.length };
}

const local = (name: string): string => name.slice(name.indexOf(':') + 1);

function decoded(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&([^;&]{0,16});?/g, (entity: string, name: string) => {
    if (entity.endsWith(';')) {
      if (Object.hasOwn(ENTITIES, name)) return ENTITIES[name];
      const number = /^#(?:([0-9]+)|x([0-9a-fA-F]+))$/.exec(name);
      const code = number ? Number.parseInt(number[1] ?? number[2], number[1] ? 10 : 16) : 0;
      if (code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff))
        return String.fromCodePoint(code);
    }
    throw new XmlError(`it has the entity ${shown(entity)}, which is none of XML's own`);
  });
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 40));
