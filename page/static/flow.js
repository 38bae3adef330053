// How many messages come, and how late. Pure: the time comes in.

const SECONDS = 60;
const MAX_LAGS = 2000;

export class Flow {
  #counts = new Array(SECONDS).fill(0);
  #second = 0;
  #lags = [];

  /** Count a message; `at`: when its event happened (Unix ms), or null where that is not known. */
  count(now, at) {
    this.#advance(now);
    this.#counts[this.#second % SECONDS] += 1;
    if (at === null) return;
    this.#lags.push({ now, lag: now - at });
    if (this.#lags.length > MAX_LAGS) this.#lags.shift();
  }

  /** Messages of each of the last 60 whole seconds, the oldest first. */
  history(now) {
    this.#advance(now);
    return Array.from({ length: SECONDS - 1 }, (_, i) => this.#counts[(this.#second + 1 + i) % SECONDS]);
  }

  /** Messages per second over the last `window` whole seconds. */
  rate(now, window = 5) {
    return this.history(now).slice(-window).reduce((sum, count) => sum + count, 0) / window;
  }

  /** {p50, p95} of the last minute's lags in ms, or null where there was none. */
  lag(now) {
    while (this.#lags.length > 0 && this.#lags[0].now < now - SECONDS * 1000) this.#lags.shift();
    if (this.#lags.length === 0) return null;
    const sorted = this.#lags.map((each) => each.lag).sort((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    return { p50: at(0.5), p95: at(0.95) };
  }

  #advance(now) {
    const second = Math.floor(now / 1000);
    // After a long sleep of the machine every bucket is stale, and one round clears them all.
    for (let each = Math.max(this.#second + 1, second - SECONDS + 1); each <= second; each += 1) {
      this.#counts[each % SECONDS] = 0;
    }
    if (second > this.#second) this.#second = second;
  }
}
