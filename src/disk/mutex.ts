/** One critical section at a time, in the order they were asked for. */
export class Mutex {
  #held = false;
  readonly #waiting: (() => void)[] = [];

  async run<T>(section: () => Promise<T>): Promise<T> {
    if (this.#held) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#held = true;
    try {
      return await section();
    } finally {
      const next = this.#waiting.shift();
      // Handed over, never let go in between: nobody overtakes.
      if (next) next();
      else this.#held = false;
    }
  }
}
