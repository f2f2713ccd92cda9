// Plays a recording chunk by chunk: two media elements take turns, so that the next chunk is ready when one has ended.

import { following, ofMedia, playableFrom, segmentAt, skipped, withMedia } from "./timeline.js";

// So many seconds before the end of a chunk the next one is loaded; its link is on record from then on.
const PREPARE = 20;
const DECODE = 3, UNSUPPORTED = 4;

// Events: `change` of what is public here, `time`, `timeline`, `skip` (of `skips`), `lanes` (of `separable`).
//
// `problem` is why it stopped: `{kind, chunk, error}` with the kind `link` (storage refused a link twice), `damaged`
// (the file can't be decoded), `unplayable` (it can't be opened, and isn't known to be whole) or `refused` (there is no
// link: `error` says why). Browsers report a link that is refused at the beginning as media that can't be opened.
// No link is asked for before somebody plays or has played: it would stand in the trail.
export class Player extends EventTarget {
  playing = false;
  waiting = false;
  seconds = 0;
  rate = 1;
  problem;
  skips = [];
  separable;
  timeline;
  #links;
  #active;
  #spare;
  #lengths = new Map();
  #separate;

  // `separate`: try to load media so that Web Audio may have it, which needs a CORS rule of the storage account.
  constructor(elements, links, timeline, { separate = false } = {}) {
    super();
    this.#links = links;
    this.timeline = timeline;
    this.#separate = separate;
    [this.#active, this.#spare] = elements.map((element) => ({ element }));
    for (const slot of [this.#active, this.#spare]) {
      const on = (name, run) => slot.element.addEventListener(name, () => slot.element.getAttribute("src") && run.call(this, slot));
      on("timeupdate", this.#tick);
      on("ended", this.#ended);
      on("error", this.#failed);
      on("loadedmetadata", this.#opened);
      on("waiting", (one) => this.#waits(one, true));
      for (const name of ["playing", "canplay", "seeked"]) on(name, (one) => this.#waits(one, false));
      on("pause", (one) => one === this.#active && !one.loading && one.element.paused && !one.element.ended && this.#set({ playing: false }));
    }
    if (separate) this.#setOrigin("anonymous");
    this.#show();
  }

  // The element that is seen and heard.
  get element() {
    return this.#active.element;
  }

  // The index of the chunk that is loaded; undefined before the first play.
  get chunk() {
    return this.#active.chunk;
  }

  // The index of the chunk that one of the two elements has.
  chunkOf(element) {
    return [this.#active, this.#spare].find((slot) => slot.element === element)?.chunk;
  }

  async play() {
    const at = playableFrom(this.timeline, this.seconds) ?? playableFrom(this.timeline, 0);
    if (!at) return;
    if (at.seconds > this.seconds) this.#skip(this.seconds, at.seconds);
    this.#set({ playing: true, problem: undefined });
    await this.#go(at);
  }

  pause() {
    this.#set({ playing: false });
    this.element.pause();
  }

  toggle() {
    return this.playing ? this.pause() : this.play();
  }

  // Go to a second on the axis; where there is no media, to the next, and to the end behind the last.
  async seek(seconds) {
    const at = playableFrom(this.timeline, seconds);
    if (!at) {
      this.pause();
      // What is loaded stands elsewhere: it says no more where the player is.
      this.#active.chunk = undefined;
      this.seconds = Math.min(Math.max(0, seconds), this.timeline.seconds);
      this.#emit("time");
      return;
    }
    if (at.seconds > seconds + 0.01) this.#skip(seconds, at.seconds);
    this.seconds = at.seconds;
    this.#set({ problem: undefined });
    this.#emit("time");
    if (this.playing || this.chunk !== undefined) await this.#go(at);
  }

  // Go on behind the chunk that can't be played.
  async skipChunk() {
    const next = following(this.timeline, this.problem?.chunk ?? this.chunk);
    if (!next) return;
    this.playing = true;
    await this.seek(next.from);
  }

  setRate(rate) {
    for (const { element } of [this.#active, this.#spare]) element.defaultPlaybackRate = element.playbackRate = rate;
    this.#set({ rate });
  }

  setVolume({ volume = this.element.volume, muted = this.element.muted }) {
    for (const { element } of [this.#active, this.#spare]) Object.assign(element, { volume, muted });
    this.#emit("change");
  }

  // Take a newer timeline, of a recording in flight.
  update(timeline) {
    this.timeline = [...this.#lengths].reduce((line, [chunk, length]) => withMedia(line, chunk, length), timeline);
    this.#emit("timeline");
  }

  // Stop, and let go of what is loaded.
  close() {
    this.playing = false;
    for (const slot of [this.#active, this.#spare]) release(slot);
  }

  // Be at a moment of media, and play on if it plays; runs without a wait where the spare element is ready.
  async #go({ segment, offset }) {
    const { chunk } = segment;
    if (this.chunk !== chunk && this.#spare.chunk === chunk) {
      [this.#active, this.#spare] = [this.#spare, this.#active];
      this.#show();
      const left = this.#spare;
      if (!left.element.ended) left.element.pause();
      // After the other one has begun: letting go takes time.
      setTimeout(() => left === this.#spare && !left.loading && release(left));
    }
    const slot = this.#active, { element } = slot;
    if (slot.chunk === chunk && !slot.loading && (this.#links.has(chunk) || isBuffered(element, offset))) {
      if (Math.abs(element.currentTime - offset) > 0.02) element.currentTime = offset;
    } else if (!(await this.#load(slot, chunk, offset))) {
      return;
    }
    if (!this.playing) return;
    try {
      await element.play();
    } catch (failed) {
      // Another load or a pause came in between, or an error that has an event of its own.
      if (failed.name === "NotAllowedError") this.pause();
    }
  }

  // Load a chunk into an element; false if something else was loaded meanwhile, or there is no link.
  async #load(slot, chunk, offset) {
    const ticket = (slot.ticket = {});
    Object.assign(slot, { chunk, loading: true });
    if (slot === this.#active) {
      slot.element.pause();
      this.#set({ waiting: true });
    }
    try {
      const link = await this.#links.get(chunk);
      if (slot.ticket !== ticket) return false;
      slot.element.preload = this.playing ? "auto" : "metadata";
      slot.element.src = link.url;
      slot.element.currentTime = offset;
      Object.assign(slot, { loading: false, refused: undefined });
      return true;
    } catch (error) {
      if (slot.ticket !== ticket) return false;
      Object.assign(slot, { chunk: undefined, loading: false, refused: chunk });
      if (slot === this.#active) this.#stop({ kind: "refused", chunk, error });
      return false;
    }
  }

  #tick(slot) {
    if (slot !== this.#active || slot.chunk === undefined || slot.loading || slot.element.readyState < 1) return;
    const { currentTime, duration, seeking } = slot.element;
    if (Math.abs(currentTime - slot.failedAt) > 1) slot.failedAt = undefined;
    const before = segmentAt(this.timeline, this.seconds);
    this.seconds = ofMedia(this.timeline, slot.chunk, currentTime);
    const now = segmentAt(this.timeline, this.seconds);
    if (this.playing && !seeking && before?.chunk === now.chunk && before.to < now.from && before !== now) this.#skip(before.to, now.from);
    this.#emit("time");
    if (!this.playing || !(duration - currentTime < PREPARE * this.rate)) return;
    const next = following(this.timeline, slot.chunk);
    const spare = this.#spare;
    if (!next || spare.loading || spare.refused === next.chunk) return;
    if (spare.chunk !== next.chunk || !(this.#links.has(next.chunk) || isBuffered(spare.element, next.offset))) {
      this.#load(spare, next.chunk, next.offset);
    }
  }

  #ended(slot) {
    if (slot !== this.#active) return;
    const last = this.timeline.segments.findLast((one) => one.chunk === slot.chunk);
    const next = following(this.timeline, slot.chunk);
    this.seconds = next ? next.from : last?.to ?? this.seconds;
    if (!next) {
      this.#set({ playing: false, waiting: false });
      this.#emit("time");
      return;
    }
    this.#go({ segment: next, offset: next.offset });
    if (last) this.#skip(last.to, next.from);
    this.#emit("time");
  }

  #opened(slot) {
    const { crossOrigin, duration, playbackRate } = slot.element;
    if (playbackRate !== this.rate) slot.element.playbackRate = this.rate;
    if (this.#separate && this.separable === undefined) {
      this.separable = Boolean(crossOrigin);
      this.#emit("lanes");
    }
    this.#lengths.set(slot.chunk, duration);
    // Its channels may have another order than those before.
    this.#emit("change");
    const line = withMedia(this.timeline, slot.chunk, duration);
    if (line === this.timeline) return;
    this.timeline = line;
    this.#emit("timeline");
  }

  #failed(slot) {
    const { element, chunk } = slot, code = element.error?.code;
    // Without a CORS rule it fails as with a refused link: the same link without CORS tells which of them it was.
    const tells = this.#separate && this.separable === undefined;
    const isUntold = tells && code === UNSUPPORTED && element.crossOrigin;
    if (tells) this.#setOrigin(isUntold ? null : "anonymous");
    if (!isUntold && slot !== this.#active) {
      // It is loaded again when it is needed, not with each tick.
      release(slot);
      slot.refused = chunk;
      return;
    }
    if (!isUntold && (code === DECODE || slot.failedAt !== undefined)) {
      const isWhole = this.timeline.segments.some((one) => one.chunk === chunk && one.isWhole);
      this.#stop({ kind: code === DECODE ? "damaged" : code === UNSUPPORTED && !isWhole ? "unplayable" : "link", chunk });
      return;
    }
    if (!isUntold) {
      slot.failedAt = element.currentTime;
      this.#links.forget(chunk);
    }
    slot.chunk = undefined;
    const at = playableFrom(this.timeline, this.seconds);
    if (at && slot === this.#active) this.#go(at);
  }

  #stop(problem) {
    Object.assign(this.#active, { chunk: undefined, failedAt: undefined });
    this.#set({ playing: false, waiting: false, problem });
  }

  #setOrigin(origin) {
    for (const { element } of [this.#active, this.#spare]) element.crossOrigin = origin;
  }

  #skip(from, to) {
    this.skips = skipped(this.timeline, from, to);
    if (this.skips.length) this.#emit("skip");
  }

  #waits(slot, waiting) {
    if (slot === this.#active && !slot.loading) this.#set({ waiting });
  }

  #show() {
    this.#active.element.hidden = false;
    this.#spare.element.hidden = true;
  }

  #set(changes) {
    const changed = Object.entries(changes).filter(([name, value]) => this[name] !== value);
    Object.assign(this, changes);
    if (changed.length) this.#emit("change");
  }

  #emit(name) {
    this.dispatchEvent(new Event(name));
  }
}

function release(slot) {
  Object.assign(slot, { chunk: undefined, loading: false, ticket: undefined, failedAt: undefined, refused: undefined });
  slot.element.pause();
  slot.element.removeAttribute("src");
  slot.element.load();
}

// Whether an element needs nothing more of its file from a second on.
function isBuffered({ buffered, duration }, offset) {
  for (let at = 0; at < buffered.length; at += 1) {
    if (buffered.start(at) <= offset && buffered.end(at) >= duration - 0.1) return true;
  }
  return false;
}
