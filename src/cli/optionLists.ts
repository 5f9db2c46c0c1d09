// QEMU's comma-separated option lists: `a=b,c=d`, `,,` stands for a comma.

export interface ListedOption {
  name: string;
  value: string;
  /** Written without `=`. */
  flag: boolean;
}

/**
 * Splits an option list. A word without `=` is a flag: `name` is on, `noname` is off; with `implied`, a first
 * word without `=` is that option's value.
 */
export function splitOptions(text: string, implied?: string): ListedOption[] {
  const options: ListedOption[] = [];
  for (let at = 0; at < text.length; ) {
    const name = readUntil(text, at, /[=,]/);
    if (text[name.end] === '=') {
      const value = readUntil(text, name.end + 1, /,/);
      options.push({ name: name.text, value: value.text, flag: false });
      at = value.end + 1;
      continue;
    }
    if (implied !== undefined && options.length === 0) {
      const value = readUntil(text, at, /,/);
      options.push({ name: implied, value: value.text, flag: false });
      at = value.end + 1;
      continue;
    }
    const off = name.text.startsWith('no');
    options.push({ name: off ? name.text.slice(2) : name.text, value: off ? 'off' : 'on', flag: true });
    at = name.end + 1;
  }
  return options;
}

/** Text up to a separator; a doubled comma is one comma of the text. */
function readUntil(text: string, start: number, separator: RegExp): { text: string; end: number } {
  let out = '';
  let at = start;
  for (; at < text.length; at++) {
    if (text[at] === ',' && text[at + 1] === ',' && separator.source === ',') at++;
    else if (separator.test(text[at])) break;
    out += text[at];
  }
  return { text: out, end: at };
}

/** `-o` lists can be joined by commas only if they neither begin nor end with an odd comma. */
export function isOptionList(text: string): boolean {
  if (text === '' || text.startsWith(',')) return false;
  const trailing = /,*$/.exec(text)?.[0].length ?? 0;
  return trailing % 2 === 0;
}

/** `help` or `?` stands among the options. */
export function asksForHelp(text: string): boolean {
  return splitOptions(text).some(({ name, flag }) => flag && (name === 'help' || name === '?'));
}
