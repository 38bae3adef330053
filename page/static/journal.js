// The last messages, bounded, and which of them a filter lets through. Pure.

export class Journal {
  #entries = [];
  #serial = 0;

  constructor(limit = 5000) {
    this.limit = limit;
  }

  /** Number of messages that were ever added. */
  get total() {
    return this.#serial;
  }

  add(entry) {
    this.#serial += 1;
    this.#entries.push({ ...entry, serial: this.#serial });
    // In blocks: to shift an array of thousands for every message would cost more than it keeps.
    if (this.#entries.length > this.limit * 1.2) this.#entries.splice(0, this.#entries.length - this.limit);
  }

  /**
   * The newest matches first.
   * @param {{words: string, kinds: Set<string>, upTo: number}} filter every word must occur in the
   *   topic or the payload, whatever its case; `upTo`: the last serial to be shown
   * @returns {{shown: Array, matches: number}}
   */
  find({ words, kinds, upTo = Infinity }, limit = 200) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = [];
    let matches = 0;
    for (let i = this.#entries.length - 1; i >= 0; i -= 1) {
      const entry = this.#entries[i];
      if (entry.serial > upTo || !kinds.has(entry.kind)) continue;
      if (wanted.length > 0) {
        entry.searched ??= `${entry.topic} ${entry.raw}`.toLowerCase();
        if (!wanted.every((word) => entry.searched.includes(word))) continue;
      }
      matches += 1;
      if (shown.length < limit) shown.push(entry);
    }
    return { shown, matches };
  }
}
