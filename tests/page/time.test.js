// Days and lengths as people read them, in the zone that they chose.

import assert from "node:assert/strict";
import { test } from "node:test";

const kept = {};
globalThis.localStorage = { getItem: (name) => kept[name], setItem: (name, value) => { kept[name] = value; } };
globalThis.document = { querySelectorAll: () => [] };
const time = await import("../../recording/page/time.js");

test("a day begins at midnight of the zone, also when clocks change", () => {
  time.setZone("Europe/Berlin");
  assert.equal(time.dayBegins("2026-11-24"), "2026-11-23T23:00:00Z");
  assert.equal(time.dayBegins("2026-07-01"), "2026-06-30T22:00:00Z");
  // The day of 23 hours, the day after it, and the day of 25 hours.
  assert.equal(time.dayBegins("2026-03-29"), "2026-03-28T23:00:00Z");
  assert.equal(time.dayBegins("2026-03-29", 1), "2026-03-29T22:00:00Z");
  assert.equal(time.dayBegins("2026-10-25", 1), "2026-10-25T23:00:00Z");
  assert.equal(time.dayOf("2026-11-23T23:00:00Z"), "2026-11-24");
  time.setZone("UTC");
  assert.equal(time.dayBegins("2026-11-30", 1), "2026-12-01T00:00:00Z");
  assert.equal(time.dayOf("2026-11-23T23:00:00Z"), "2026-11-23");
});

test("a length is shown and said", () => {
  assert.deepEqual([0, 760_000, 3_723_999, null].map(time.length), ["0:00:00", "0:12:40", "1:02:03", "—"]);
  assert.deepEqual([0, 1000, 3_661_000].map(time.spoken), ["0 seconds", "1 second", "1 hour 1 minute 1 second"]);
  assert.deepEqual([20_000, 240_000, 3 * 3_600_000 + 600_000, 3 * 86_400_000].map(time.roughly), ["less than a minute", "4 min", "3 h 10 min", "3 days"]);
});

test("bytes are shown in the unit that fits", () => {
  assert.deepEqual([0, 999, 1000, 147_000_000, 2_300_000_000].map(time.size), ["0 bytes", "999 bytes", "1.0 kB", "147 MB", "2.3 GB"]);
});

test("a time that is none is a dash", () => {
  assert.equal(time.write("nonsense"), "—");
});
