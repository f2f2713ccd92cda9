// Links to chunks, each kept as long as it is valid: every link that is handed out stands in the trail.

// A link with less time left is not used: a request could come too late.
const MARGIN = 30_000;
// This computer's clock may be ahead of the service's by more than a link lives: it is used until storage refuses it.
const AHEAD = 60_000;

// Keeps the links of one recording; `ask(index)` fetches `{url, expiresAt, …}`, and tests have a clock of their own.
export class Links {
  #ask;
  #now;
  #kept = new Map();

  constructor(ask, now = Date.now) {
    this.#ask = ask;
    this.#now = now;
  }

  // Whether the link to a chunk is there, or asked for, and valid for a while.
  has(index) {
    return this.#now() < (this.#kept.get(index)?.until ?? 0);
  }

  // The link to a chunk: the one that is kept, or a new one; whoever asks meanwhile gets the same.
  get(index) {
    if (this.has(index)) return this.#kept.get(index).link;
    const kept = { until: Infinity };
    const asked = this.#now();
    kept.link = this.#ask(index).then((link) => {
      const life = Date.parse(link.expiresAt) - asked;
      kept.until = asked + (life > 0 ? Math.max(life - MARGIN, life / 2) : AHEAD);
      return link;
    }, (failed) => {
      if (this.#kept.get(index) === kept) this.forget(index);
      throw failed;
    });
    this.#kept.set(index, kept);
    return kept.link;
  }

  // Fetch a new link the next time, because storage has refused this one.
  forget(index) {
    this.#kept.delete(index);
  }
}
