import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The files that `make` makes: made once, put into every further directory from memory. */
export function remembered<Arguments extends unknown[]>(
  make: (dir: string, ...args: Arguments) => void,
): (dir: string, ...args: Arguments) => void {
  const known = new Map<string, [name: string, bytes: Buffer][]>();
  return (dir, ...args) => {
    const key = JSON.stringify(args);
    const files = known.get(key);
    if (files) {
      for (const [name, bytes] of files) writeFileSync(join(dir, name), bytes);
      return;
    }
    const before = new Set(readdirSync(dir));
    make(dir, ...args);
    const made = readdirSync(dir).filter((name) => !before.has(name));
    known.set(
      key,
      made.map((name) => [name, readFileSync(join(dir, name))]),
    );
  };
}
