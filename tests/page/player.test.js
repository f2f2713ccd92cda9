// The player with media elements that are only as long as they say: which links it asks for, and what it does when
// storage refuses them. That media really plays is tested in a browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Links } from "../../recording/page/links.js";
import { Player } from "../../recording/page/player.js";
import { timelineOf } from "../../recording/page/timeline.js";

// A media element: `length` is that of every file; `advance` plays, `refuse` fails as a browser does.
class Media extends EventTarget {
  buffered = { length: 0 };
  crossOrigin = null;
  currentTime = 0;
  ended = false;
  error = null;
  hidden = false;
  paused = true;
  playbackRate = 1;
  readyState = 0;
  seeking = false;
  volume = 1;
  // The code with which a file fails before there is anything of it.
  failure = () => undefined;
  #src = null;

  constructor(length) {
    super();
    this.duration = length;
  }

  get src() {
    return this.#src;
  }

  set src(url) {
    this.#src = url;
    Object.assign(this, { readyState: 4, error: null, ended: false, paused: true, currentTime: 0 });
    const code = this.failure(url);
    if (code) setTimeout(() => this.refuse(code));
    else this.emit("loadedmetadata");
  }

  getAttribute() {
    return this.#src;
  }

  removeAttribute() {
    this.#src = null;
  }

  load() {}

  async play() {
    this.paused = false;
  }

  pause() {
    this.paused = true;
    this.emit("pause");
  }

  advance(to) {
    this.currentTime = Math.min(to, this.duration);
    this.emit("timeupdate");
    if (to < this.duration) return;
    Object.assign(this, { ended: true, paused: true });
    this.emit("ended");
  }

  refuse(code) {
    this.error = { code };
    this.emit("error");
  }

  emit(name) {
    this.dispatchEvent(new Event(name));
  }
}

const UNSUPPORTED = 4;
const settled = () => new Promise((done) => setTimeout(done, 2));
const at = (seconds) => new Date(Date.UTC(2026, 10, 24, 13) + seconds * 1000).toISOString();
const span = (kind, begin, end, chunks = [], offsetMs = 0) => ({ kind, begin: at(begin), end: at(end), chunks, offsetMs });

// Chunk 0 of 60 s with a pause after 20, chunk 1 lost, chunk 2.
const RECORDING = {
  chunks: [0, 2].map((index) => ({ index, outcome: "archived", verdict: index ? "undecided" : "complete", content: {} })),
  timeline: [
    span("recorded", 0, 20, [0]), span("paused", 20, 30), span("recorded", 30, 70, [0], 20_000),
    span("lost", 70, 100, [1]), span("recorded", 100, 160, [2]),
  ],
};

function made({ life = 300_000, ask, separate } = {}) {
  const clock = { now: Date.UTC(2026, 10, 25) }, asked = [], events = [];
  const fetch = async (index) => {
    asked.push(index);
    if (ask) await ask(index);
    return { url: `https://storage/${index}/${asked.length}`, expiresAt: new Date(clock.now + life).toISOString() };
  };
  const elements = [new Media(60), new Media(60)];
  const player = new Player(elements, new Links(fetch, () => clock.now), timelineOf(RECORDING), { separate });
  for (const name of ["skip", "lanes"]) player.addEventListener(name, () => events.push(name === "skip" ? player.skips.map((one) => one.kind).join() : player.separable));
  return { player, elements, asked, clock, events };
}

test("nothing is asked for before somebody plays, wherever they have gone", async () => {
  const { player, asked } = made();
  await player.seek(110);
  assert.deepEqual([player.seconds, asked], [110, []]);
  await player.play();
  assert.deepEqual([player.chunk, player.element.currentTime, asked], [2, 10, [2]]);
});

test("the next chunk is loaded before this one ends, and plays in the same turn", async () => {
  const { player, asked, elements, events } = made();
  await player.play();
  elements[0].advance(30);
  assert.deepEqual([player.seconds, asked], [40, [0]]);
  // Whose channel is which must be known before it is heard.
  const known = [];
  player.addEventListener("change", () => known.push(player.chunkOf(elements[1])));
  elements[0].advance(45);
  await settled();
  assert.deepEqual([asked, known, elements[1].paused], [[0, 2], [2], true]);
  elements[0].advance(60);
  assert.deepEqual([elements[1].paused, elements[1].hidden, elements[0].hidden], [false, false, true]);
  assert.deepEqual([player.seconds, player.chunk, player.playing], [100, 2, true]);
  assert.deepEqual(events, ["paused", "lost"]);
  await settled();
  assert.equal(elements[0].src, null);
  elements[1].advance(60);
  assert.deepEqual([player.playing, player.seconds], [false, 160]);
});

test("a seek within a chunk uses its link, and a new one after it ran out", async () => {
  const { player, asked, clock } = made();
  await player.play();
  await player.seek(35);
  assert.deepEqual([player.element.currentTime, asked], [25, [0]]);
  clock.now += 280_000;
  await player.seek(60);
  assert.deepEqual([player.element.src, player.element.currentTime, player.element.paused], ["https://storage/0/2", 50, false]);
});

test("what is in memory to the end needs no new link", async () => {
  const { player, asked, clock } = made();
  await player.play();
  player.element.buffered = { length: 1, start: () => 0, end: () => 60 };
  clock.now += 400_000;
  await player.seek(35);
  assert.deepEqual(asked, [0]);
});

test("a link that storage refuses is renewed once, at the same moment", async () => {
  const { player, asked, elements } = made();
  await player.play();
  elements[0].advance(12);
  elements[0].refuse(2);
  await settled();
  assert.deepEqual([asked, player.element.currentTime, player.playing, player.problem], [[0, 0], 12, true, undefined]);
  player.element.refuse(2);
  assert.deepEqual([player.playing, player.problem.kind, player.problem.chunk], [false, "link", 0]);
  await player.play();
  assert.deepEqual([player.playing, player.problem, player.element.currentTime], [true, undefined, 12]);
});

test("a link that is refused before there is any media is no damage of a file that is whole", async () => {
  const { player, asked, elements } = made();
  elements[0].failure = () => UNSUPPORTED;
  await player.play();
  await settled();
  await settled();
  assert.deepEqual([player.playing, player.problem.kind, asked], [false, "link", [0, 0]]);
  await player.seek(110);
  await player.play();
  await settled();
  await settled();
  assert.deepEqual([player.problem.kind, player.problem.chunk], ["unplayable", 2]);
});

test("a file that can't be decoded is not asked for again; playing goes on behind it", async () => {
  const { player, asked } = made();
  await player.play();
  player.element.refuse(3);
  assert.deepEqual([player.problem.kind, asked], ["damaged", [0]]);
  await player.skipChunk();
  assert.deepEqual([player.chunk, player.playing, player.seconds], [2, true, 100]);
});

test("no link is a problem that says why", async () => {
  const { player } = made({ ask: async () => { throw new Error("503"); } });
  await player.play();
  assert.deepEqual([player.playing, player.problem.kind, player.problem.error.message], [false, "refused", "503"]);
});

test("a next chunk that can't be had is asked for once ahead, and once more in its turn", async () => {
  const { player, asked, elements } = made({ ask: async (index) => { if (index === 2) throw new Error("503"); } });
  await player.play();
  for (const seconds of [45, 46, 47, 48]) {
    elements[0].advance(seconds);
    await settled();
  }
  assert.deepEqual([asked, player.playing, player.problem], [[0, 2], true, undefined]);
  elements[0].advance(60);
  await settled();
  assert.deepEqual([asked, player.playing, player.problem.kind, player.problem.chunk], [[0, 2, 2], false, "refused", 2]);
});

test("a next file that storage refuses ahead is loaded again only in its turn", async () => {
  const { player, elements } = made();
  await player.play();
  elements[0].advance(45);
  await settled();
  elements[1].refuse(2);
  elements[0].advance(46);
  await settled();
  assert.equal(elements[1].src, null);
  elements[0].advance(60);
  await settled();
  assert.deepEqual([player.chunk, player.playing, player.problem], [2, true, undefined]);
});

test("a newer seek supersedes one whose link is late", async () => {
  let answer;
  const { player } = made({ ask: (index) => (index === 0 ? new Promise((done) => { answer = done; }) : null) });
  const first = player.play();
  await player.seek(120);
  answer();
  await first;
  assert.deepEqual([player.chunk, player.element.currentTime, player.element.src], [2, 20, "https://storage/2/2"]);
});

test("without a CORS rule lanes are not separable, and it plays by the same link", async () => {
  const { player, elements, asked, events } = made({ separate: true });
  assert.equal(elements[0].crossOrigin, "anonymous");
  elements[0].failure = () => elements[0].crossOrigin && UNSUPPORTED;
  await player.play();
  await settled();
  await settled();
  assert.deepEqual([events, asked, elements[0].crossOrigin, player.playing, player.problem], [[false], [0], null, true, undefined]);
});

test("a first link that is refused says nothing about a CORS rule", async () => {
  const { player, elements, asked, events } = made({ separate: true });
  let isRefused = true;
  elements[0].failure = (url) => (isRefused || url.endsWith("/1")) && UNSUPPORTED;
  await player.play();
  for (const _ of "four") await settled();
  assert.deepEqual([player.problem.kind, events, asked], ["link", [], [0, 0]]);
  isRefused = false;
  await player.play();
  assert.deepEqual([player.playing, events, elements[0].crossOrigin], [true, [true], "anonymous"]);
});

test("with a CORS rule they are", async () => {
  const { player, events } = made({ separate: true });
  await player.play();
  assert.deepEqual(events, [true]);
});

test("speed and volume are those of both elements", async () => {
  const { player, elements } = made();
  player.setRate(1.5);
  player.setVolume({ volume: 0.4, muted: true });
  assert.deepEqual(elements.map((one) => [one.playbackRate, one.volume, one.muted]), [[1.5, 0.4, true], [1.5, 0.4, true]]);
});

test("a recording in flight plays what has arrived, and takes what arrives", async () => {
  const { player } = made();
  await player.play();
  player.update(timelineOf({ ...RECORDING, chunks: RECORDING.chunks.slice(0, 1) }));
  player.element.advance(60);
  assert.deepEqual([player.playing, player.timeline.segments.at(-1).kind], [false, "waiting"]);
});

test("the end stays the end, though the media element stands elsewhere", async () => {
  const { player } = made();
  await player.play();
  player.element.advance(5);
  await player.seek(160);
  player.element.emit("timeupdate");
  assert.deepEqual([player.seconds, player.playing], [160, false]);
  await player.seek(30);
  await player.play();
  assert.deepEqual([player.chunk, player.element.currentTime], [0, 20]);
});
