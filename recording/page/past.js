// What was done with this recording, by whom.
import * as api from "./api.js";
import { h } from "./dom.js";
import { load } from "./parts.js";
import { chunksOf } from "./timeline.js";
import { ACTIONS } from "./trail.js";
import { when } from "./time.js";

// One entry of the trail as a sentence.
export function entry(one) {
  const details = one.details ?? {};
  const said = [
    one.who || { key: "A function key", timer: "The timer", service: "A service" }[one.kind] || "Somebody",
    ACTIONS[one.operation] || one.operation,
    chunksOf(one.indexes) || (typeof details.file === "string" ? details.file : ""),
    one.from ? `from ${one.from}` : "",
  ].filter(Boolean).join(" ");
  return [said, one.reason ? `: “${one.reason}”` : "", one.outcome && one.outcome !== "ok" ? ` (${one.outcome})` : ""].join("");
}

export function past(place, key) {
  const list = h("ol", { class: "past" });
  const area = h("div", {}, list);
  let cursor = null;
  const more = h("button", { type: "button", hidden: true, onclick: () => page() }, "Older");
  const page = () => load(area, () => api.get(api.path`recordings/${key}/trail`, { query: { limit: 8, cursor }, signal: place.signal }), (answer) => {
    list.append(...answer.entries.map((one) => h("li", {}, when(one.at), h("span", {}, entry(one)))));
    cursor = answer.cursor;
    more.hidden = !cursor;
    if (!list.childElementCount) area.append(h("p", { class: "faint" }, "Nothing yet."));
  }, { signal: place.signal, rows: 3 });
  page();
  return h("section", { class: "panel" }, h("h2", {}, "Trail"), area, more);
}
