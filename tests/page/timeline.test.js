// The timeline of a recording: where it has media, how it is drawn, and which second is which.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as timeline from "../../recording/page/timeline.js";

const at = (seconds) => new Date(Date.UTC(2026, 10, 24, 13, 0, 0) + seconds * 1000).toISOString();
const span = (kind, begin, end, chunks = [], offsetMs) => ({ kind, begin: at(begin), end: at(end), chunks, offsetMs });
const chunk = (index, more) => ({ index, documentId: `d${index}`, outcome: "archived", content: { bytes: 1 }, ...more });

// Chunk 0 with a pause of 60 s in it, chunk 1 lost for 10 minutes, chunk 2 after a gap of 5 s.
const RECORDING = {
  recordingStartTime: at(0),
  chunks: [chunk(0), { index: 1, documentId: "d1", outcome: "lost" }, chunk(2)],
  timeline: [
    span("recorded", 0, 100, [0], 0), span("paused", 100, 160), span("recorded", 160, 200, [0], 100_000),
    span("lost", 200, 800, [1]), span("gap", 800, 805), span("recorded", 805, 905, [2], 0),
  ],
};
const LINE = timeline.timelineOf(RECORDING);

test("media times and wall clock are mapped piece by piece between pauses", () => {
  for (const [chunk, offset, seconds] of [[0, 0, 0], [0, 99, 99], [0, 100, 160], [0, 130, 190], [0, 500, 200], [2, 10, 815]]) {
    assert.equal(timeline.ofMedia(LINE, chunk, offset), seconds);
  }
  assert.equal(timeline.wallTime(LINE, 815), Date.parse(at(815)));
  const { segment, offset } = timeline.playableFrom(LINE, 170);
  assert.deepEqual([segment.chunk, offset], [0, 110]);
});

test("playing begins at the next media, and ends behind the last", () => {
  assert.equal(timeline.playableFrom(LINE, 120).seconds, 160);
  assert.equal(timeline.playableFrom(LINE, 300).seconds, 805);
  assert.equal(timeline.playableFrom(LINE, 905), undefined);
  assert.equal(timeline.playableBefore(LINE, 500).seconds, 200);
  assert.equal(timeline.following(LINE, 0).chunk, 2);
  assert.equal(timeline.following(LINE, 2), undefined);
});

test("what playing skips is named", () => {
  assert.deepEqual(timeline.skipped(LINE, 200, 805).map((one) => one.kind), ["lost", "gap"]);
  assert.deepEqual(timeline.skipped(LINE, 100, 160).map((one) => one.kind), ["paused"]);
  assert.deepEqual(timeline.skipped(LINE, 500, 805).map((one) => one.kind), ["lost", "gap"]);
  assert.deepEqual(timeline.skipped(LINE, 160, 200), []);
});

test("a step is of media: forward and back over pauses and losses, and never beyond the ends", () => {
  for (const [from, delta, to] of [[95, 10, 165], [165, -10, 95], [195, 10, 810], [805, -5, 195], [500, -5, 195], [2, -10, 0], [903, 10, 905], [905, -5, 900]]) {
    assert.equal(timeline.step(LINE, from, delta), to, `${from} ${delta}`);
  }
});

test("chapters: the beginning of this one first, then the one before", () => {
  assert.equal(timeline.chapter(LINE, 50, 1), 160);
  assert.equal(timeline.chapter(LINE, 170, -1), 160);
  assert.equal(timeline.chapter(LINE, 162, -1), 0);
  assert.equal(timeline.chapter(LINE, 850, 1), 905);
});

test("a long span without media has a fixed width, a short one its own", () => {
  const [first, pause, , lost] = LINE.segments;
  assert.ok(Math.abs(lost.width - 0.07) < 0.001);
  assert.ok(Math.abs(pause.width / first.width - 0.6) < 0.001);
  assert.ok(Math.abs(LINE.segments.reduce((sum, one) => sum + one.width, 0) - 1) < 1e-9);
});

test("places and seconds are each other's inverse, in fixed spans too", () => {
  for (const seconds of [0, 40, 130, 199, 500, 803, 880, 905]) {
    assert.ok(Math.abs(timeline.secondsAt(LINE, timeline.place(LINE, seconds)) - seconds) < 1e-6, String(seconds));
  }
  assert.equal(timeline.place(LINE, 5000), 1);
});

test("an address asks for a second or for a time, within the recording", () => {
  const moment = (query) => timeline.momentOf(LINE, new URLSearchParams(query));
  assert.equal(moment("t=815"), 815);
  assert.equal(moment(`at=${at(160)}`), 160);
  assert.equal(moment("t=9999"), 905);
  assert.equal(moment("t=-1"), 0);
  for (const query of ["", "t=soon", "at=yesterday", "t=Infinity"]) assert.equal(moment(query), undefined, query);
});

test("what is not there yet, and what no player reads, does not play", () => {
  const kinds = (chunks) => timeline.timelineOf({ ...RECORDING, chunks }).segments.map((one) => one.kind);
  assert.deepEqual(kinds([chunk(0), chunk(2, { verdict: "error page" })]).slice(-1), ["damaged"]);
  assert.deepEqual(kinds([chunk(0), { index: 2, outcome: "waiting" }]).slice(-1), ["waiting"]);
  assert.deepEqual(kinds([chunk(0), chunk(2, { verdict: "truncated" })]).slice(-1), ["recorded"]);
});

test("a document that was announced at two indices plays at both; one of its own index comes first", () => {
  const files = timeline.filesOf([chunk(0, { otherIndices: [1, 2] }), chunk(2)]);
  assert.deepEqual([...files].map(([index, file]) => [index, file.documentId]).sort(), [[0, "d0"], [1, "d0"], [2, "d2"]]);
});

test("media of unknown length gets it when it is loaded, and what follows moves back", () => {
  const unknown = timeline.timelineOf({
    ...RECORDING,
    timeline: [span("recorded", 0, 0, [0], 0), span("lost", 0, 0, [1]), span("recorded", 5, 25, [2], 0)],
  });
  const line = timeline.withMedia(unknown, 0, 60);
  assert.deepEqual(line.segments.map((one) => [one.from, one.to]), [[0, 60], [60, 60], [65, 85]]);
  assert.ok(line.segments[1].width > 0.01);
  assert.equal(timeline.withMedia(line, 0, 70), line);
  assert.equal(timeline.withMedia(unknown, 0, Infinity), unknown);
  assert.equal(timeline.playableFrom(unknown, 0).segment.chunk, 0);
});

test("a recording without a chunk has an empty timeline", () => {
  const empty = timeline.timelineOf({ recordingStartTime: at(7), chunks: [] });
  assert.deepEqual([empty.begin, empty.seconds, empty.segments], [Date.parse(at(7)), 0, []]);
  assert.deepEqual([timeline.step(empty, 0, 5), timeline.place(empty, 0), timeline.secondsAt(empty, 0.5)], [0, 0, 0]);
  assert.deepEqual([timeline.playableFrom(empty, 0), timeline.chapter(empty, 0, 1)], [undefined, 0]);
});

test("chunks are counted from one, and those in a row are a range", () => {
  for (const [indexes, text] of [[[], ""], [[0], "chunk 1"], [[4, 0, 1, 2], "chunks 1 to 3, 5"], [[0, 0], "chunk 1"]]) {
    assert.equal(timeline.chunksOf(indexes), text);
  }
});
