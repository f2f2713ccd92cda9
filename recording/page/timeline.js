// Pure: a recording on its wall clock. Times are seconds on its axis, which begins with its first span.

// Outcomes of a chunk whose file a link is handed out for, and verdicts on bytes that no player reads.
const PLAYED = ["staged", "archived", "unproved"];
const UNREADABLE = ["empty", "error page", "not media"];
// A longer span without media is drawn at a fixed width, and all of these share half of the axis at most.
const LONG = 120, FIXED = 0.07, MOST_FIXED = 0.5;
// A span of unknown length is drawn as wide as this.
const LEAST = 0.015;

// The timeline of `GET /v1/recordings/{key}`: `{begin, seconds, segments}`; `begin` is a number of milliseconds.
//
// A segment is `{kind, from, to, chunks, chunk, offset, plays, left, width}`: `chunk` is the index of its media and
// `offset` the second in it where the segment begins, `isWhole` whether its file is known to
// be; `left` and `width` are where it is drawn, as parts of the axis.
// Kinds are those of the answer's spans, `waiting` for media that is not in storage yet, and `damaged` for a file that
// no player reads.
export function timelineOf(recording) {
  const spans = recording.timeline ?? [];
  const begin = Date.parse(spans[0]?.begin ?? recording.recordingStartTime);
  const files = filesOf(recording.chunks ?? []);
  const segments = spans.map((span) => {
    const has = span.kind === "recorded" || span.kind === "notProved";
    const file = has ? files.get(span.chunks[0]) : undefined;
    const plays = file !== undefined && !UNREADABLE.includes(file.verdict);
    return {
      kind: !has || plays ? span.kind : file ? "damaged" : "waiting",
      from: (Date.parse(span.begin) - begin) / 1000,
      to: (Date.parse(span.end) - begin) / 1000,
      chunks: span.chunks ?? [],
      chunk: has ? span.chunks[0] : undefined,
      offset: (span.offsetMs ?? 0) / 1000,
      plays,
      isWhole: file?.verdict === "complete",
    };
  });
  return drawn(begin, segments);
}

// The chunk that a link to an index leads to: `Map` of index to an entry of the answer's `chunks`.
export function filesOf(chunks) {
  const files = new Map();
  for (const chunk of chunks) {
    if (!chunk.content || !PLAYED.includes(chunk.outcome)) continue;
    for (const index of [chunk.index, ...(chunk.otherIndices ?? [])]) {
      if (files.get(index)?.index !== index) files.set(index, chunk);
    }
  }
  return files;
}

function drawn(begin, segments) {
  const seconds = Math.max(0, ...segments.map((one) => one.to));
  const isFixed = (one) => !one.plays && one.to - one.from > LONG;
  const fixed = Math.min(FIXED, MOST_FIXED / (segments.filter(isFixed).length || 1));
  const least = Math.min(LEAST, 0.3 / (segments.length || 1));
  const free = segments.reduce((sum, one) => sum + (isFixed(one) ? 0 : one.to - one.from), 0);
  const rest = 1 - fixed * segments.filter(isFixed).length;
  const parts = segments.map((one) => (isFixed(one) ? fixed : Math.max(free ? (rest * (one.to - one.from)) / free : 0, least)));
  const whole = parts.reduce((sum, part) => sum + part, 0) || 1;
  let left = 0;
  const placed = segments.map((one, at) => {
    const width = parts[at] / whole;
    left += width;
    return { ...one, left: left - width, width };
  });
  return { begin, seconds, segments: placed };
}

// The timeline with the length of a chunk's media, where that was not known before: what follows moves back.
export function withMedia(timeline, chunk, seconds) {
  const at = timeline.segments.findLastIndex((one) => one.chunk === chunk);
  const last = timeline.segments[at];
  if (!last || last.to > last.from || !Number.isFinite(seconds) || seconds <= last.offset) return timeline;
  const to = last.from + seconds - last.offset;
  const following = timeline.segments[at + 1];
  const moved = following ? Math.max(0, to - following.from) : 0;
  const segments = timeline.segments.map((one, number) =>
    number < at ? one : number === at ? { ...one, to } : { ...one, from: one.from + moved, to: one.to + moved });
  return drawn(timeline.begin, segments);
}

// The segment at a second; between two of them the one before, and undefined for a timeline without any.
export function segmentAt(timeline, seconds) {
  return timeline.segments.findLast((one) => one.from <= seconds && (one.to > one.from || one.plays)) ?? timeline.segments[0];
}

// Where playing begins at a second: `{segment, seconds, offset}` of its media, or of the next; undefined behind the last.
export function playableFrom(timeline, seconds) {
  const segment = timeline.segments.find((one) => one.plays && (one.to > seconds || (one.to === one.from && one.from >= seconds)));
  return segment && inside(segment, Math.max(seconds, segment.from));
}

// The last moment of media at or before a second; undefined before the first.
export function playableBefore(timeline, seconds) {
  const segment = timeline.segments.findLast((one) => one.plays && one.from <= seconds);
  return segment && inside(segment, Math.min(seconds, segment.to));
}

const inside = (segment, seconds) => ({ segment, seconds, offset: segment.offset + seconds - segment.from });

// The media that follows a chunk's: the next segment of another chunk; undefined behind the last.
export function following(timeline, chunk) {
  const at = timeline.segments.findLastIndex((one) => one.chunk === chunk);
  return timeline.segments.slice(at + 1).find((one) => one.plays);
}

// The second on the axis of a second in a chunk's media.
export function ofMedia(timeline, chunk, offset) {
  const own = timeline.segments.filter((one) => one.chunk === chunk);
  const segment = own.findLast((one) => one.offset <= offset) ?? own[0];
  if (!segment) return 0;
  const seconds = Math.max(segment.from, segment.from + offset - segment.offset);
  return segment.to > segment.from ? Math.min(seconds, segment.to) : seconds;
}

// The second after `delta` seconds of media, forward or back: a span without media takes no step.
export function step(timeline, seconds, delta) {
  const media = timeline.segments.filter((one) => one.plays);
  if (!media.length) return seconds;
  let left = delta;
  if (delta >= 0) {
    for (const one of media) {
      const begin = Math.max(one.from, seconds);
      if (one.to <= begin) continue;
      if (begin + left < one.to) return begin + left;
      left -= one.to - begin;
    }
    return media.at(-1).to;
  }
  for (const one of [...media].reverse()) {
    const end = Math.min(one.to, seconds);
    if (end < one.from) continue;
    if (end + left >= one.from) return end + left;
    left += end - one.from;
  }
  return media[0].from;
}

// The beginning of the chapter before (-1) or after (1); three seconds into a chapter, -1 is its own beginning.
export function chapter(timeline, seconds, direction) {
  const begins = timeline.segments.filter((one) => one.plays).map((one) => one.from);
  const found = direction > 0 ? begins.find((one) => one > seconds + 0.5) : begins.findLast((one) => one < seconds - 3);
  return found ?? (direction > 0 ? timeline.seconds : begins[0] ?? 0);
}

// Where a second is drawn, from 0 to 1.
export function place(timeline, seconds) {
  const one = segmentAt(timeline, seconds);
  if (!one) return 0;
  const part = one.to > one.from ? Math.min(1, Math.max(0, (seconds - one.from) / (one.to - one.from))) : 0;
  return one.left + one.width * part;
}

// The second that is drawn at a place from 0 to 1.
export function secondsAt(timeline, part) {
  const one = timeline.segments.findLast((segment) => segment.left <= part) ?? timeline.segments[0];
  return one ? one.from + Math.min(1, Math.max(0, (part - one.left) / one.width)) * (one.to - one.from) : 0;
}

// The time on the wall clock, in milliseconds.
export const wallTime = (timeline, seconds) => timeline.begin + seconds * 1000;

// The second that an address asks for: `t` in seconds on the axis, or `at` as a time; undefined if it asks for none.
export function momentOf(timeline, query) {
  const t = query.get("t"), at = query.get("at");
  const seconds = t ? Number(t) : at ? (Date.parse(at) - timeline.begin) / 1000 : NaN;
  return Number.isFinite(seconds) ? Math.min(Math.max(0, seconds), timeline.seconds) : undefined;
}

// What lies between two moments and is not media: the segments that playing skips, also in part.
export const skipped = (timeline, from, to) =>
  timeline.segments.filter((one) => !one.plays && (one.to > one.from ? one.from < to && one.to > from : one.from >= from && one.to <= to));

// Chunks as people read them, who count from one: "chunks 1 to 3, 5"; "" for none.
export function chunksOf(indexes = []) {
  const runs = [];
  for (const index of [...new Set(indexes)].sort((a, b) => a - b)) {
    if (runs.length && runs.at(-1)[1] >= index - 1) runs.at(-1)[1] = index;
    else runs.push([index, index]);
  }
  if (!runs.length) return "";
  return `chunk${runs.length === 1 && runs[0][0] === runs[0][1] ? "" : "s"} ${runs.map(([a, b]) => (a === b ? a + 1 : `${a + 1} to ${b + 1}`)).join(", ")}`;
}
