// The timeline as a list: it says what the drawing says, and leads to each part.
import { fill, h } from "./dom.js";
import { wallTime } from "./timeline.js";
import { length, when, write } from "./time.js";

// What a part of the timeline is called.
export const WORDS = {
  recorded: "recorded", notProved: "not proved", paused: "paused", gap: "gap", lost: "lost", waiting: "not here yet", damaged: "damaged",
};

// The class of a part, for its pattern.
export const signOf = ({ kind }) => (kind === "waiting" ? "is-waiting-for" : `is-${kind}`);

// What there is at a part that doesn't play, as one sentence: for the list, and for what playing skips.
export function sentence(segment, recording) {
  const entries = recording.chunks.filter((one) => segment.chunks.includes(one.index));
  const reason = entries.map((one) => one.reason).find(Boolean);
  const at = entries.map((one) => one.evidence?.at).find(Boolean);
  if (segment.kind === "lost") return `${reason || "It was not in storage when it was deleted at the source"}${at ? `; last asked for ${write(at, "full")}` : ""}.`;
  if (segment.kind === "damaged") return `No player reads it: ${entries[0]?.verdict || "damaged"}. Its file can be downloaded.`;
  if (segment.kind === "waiting") return reason ? `Not here yet: ${reason}` : "Not here yet: it is on its way.";
  if (segment.kind === "notProved") return reason || "Its copy was not compared with the source.";
  return segment.kind === "paused" ? "The recording was paused." : "Nothing was recorded.";
}

// The panel; returns {element, draw(timeline, recording), mark(segment)}.
export function chapters(onSeek) {
  const list = h("ol", { class: "chapters" });
  let rows = new Map();
  const draw = (timeline, recording) => {
    const begun = new Set();
    rows = new Map();
    fill(list, timeline.segments.map((segment) => {
      const isNew = segment.chunk !== undefined && !begun.has(segment.chunk);
      if (isNew) begun.add(segment.chunk);
      const isPlain = segment.kind === "recorded";
      const parts = [
        h("span", { class: "sign" }, segment.chunk !== undefined ? segment.chunk + 1 : segment.kind === "lost" ? "!" : "–"),
        when(wallTime(timeline, segment.from), "clock"),
        h("span", { class: "grow" }, isPlain && !isNew ? "resumed" : WORDS[segment.kind]),
        h("span", { class: "faint" }, segment.to > segment.from ? length((segment.to - segment.from) * 1000) : ""),
      ];
      const row = segment.plays && onSeek
        ? h("button", { type: "button", class: "quiet", onclick: () => onSeek(segment.from) }, parts)
        : h("div", {}, parts);
      rows.set(segment.from + segment.kind, row);
      const says = !isPlain && !["paused", "gap"].includes(segment.kind) && h("p", { class: "faint" }, sentence(segment, recording));
      return h("li", { class: signOf(segment) }, row, says);
    }));
    if (!timeline.segments.length) fill(list, h("li", {}, h("p", { class: "faint" }, "There is nothing to play yet.")));
  };
  let marked;
  const mark = (segment) => {
    const row = segment && rows.get(segment.from + segment.kind);
    if (row === marked) return;
    marked?.removeAttribute("aria-current");
    row?.setAttribute("aria-current", "true");
    marked = row;
  };
  return { element: h("section", { class: "panel" }, h("h2", {}, "Chapters"), list), draw, mark };
}
