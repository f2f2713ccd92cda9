// Who did what, on a day, with any recording.
import * as api from "./api.js";
import { fill, h, say } from "./dom.js";
import { badge, load } from "./parts.js";
import { go, href } from "./route.js";
import { when } from "./time.js";
import { chunksOf } from "./timeline.js";

export const ACTIONS = { view: "viewed", search: "searched for a person", play: "played", download: "downloaded", verify: "verified", requeue: "queued again", replay: "replayed an event", start: "started", stop: "stopped", pause: "paused", resume: "resumed", hold: "held", lift: "lifted a hold", retain: "changed the keeping", erase: "erased", export: "exported", consent: "noted consent" };

export function open(place) {
  const { main, signal } = place;
  const area = h("div", { class: "sheet" });
  // Facts of the trail are kept by day in UTC.
  const day = h("input", { type: "date", id: "day", max: today(), onchange: () => go(href("trail", "", { day: day.value })) });
  fill(main, h("div", { class: "row" }, h("h1", { tabindex: "-1" }, "Trail"), h("span", { class: "grow" }),
    h("button", { type: "button", onclick: () => move(-1) }, "Day before"), h("label", { for: "day" }, "Day (UTC) ", day), h("button", { type: "button", onclick: () => move(1) }, "Day after")), area);
  update(place.route);
  return { update };

  function move(days) {
    const moved = new Date(Date.parse(day.value || today()) + days * 86_400_000).toISOString().slice(0, 10);
    if (moved <= today()) go(href("trail", "", { day: moved }));
  }

  function update(route) {
    day.value = route.query.get("day") || today();
    fill(area);
    load(area, () => api.get("trail", { query: { day: day.value, limit: 100 }, signal }), (found) => {
      if (!found.entries.length) return fill(area, h("div", { class: "empty" }, h("p", {}, "Nobody did anything with a recording on this day.")));
      say(`${found.entries.length}${found.cursor ? " and more" : ""} entries`);
      return fill(area, entries(found, (cursor) => api.get("trail", { query: { day: day.value, limit: 100, cursor }, signal }), { signal }));
    }, { signal });
  }
}

const today = () => new Date().toISOString().slice(0, 10);

// A table of the trail with a way to older entries; `next` gets a page by its cursor.
function entries(page, next, { signal }) {
  const body = h("tbody", {}, page.entries.map(entry));
  const foot = h("div", { class: "foot row" });
  const heads = ["When", "Who", "What", "Recording", "Why", "From", "Outcome"];
  const show = (cursor) => fill(foot, h("span", {}, `${body.childElementCount} shown`), cursor ? h("button", { type: "button", onclick: () => older(cursor) }, "Older") : null);
  const older = (cursor) => load(foot, () => next(cursor), (found) => {
    const first = body.childElementCount;
    body.append(...found.entries.map(entry));
    show(found.cursor);
    say(`${body.childElementCount - first} older ones`);
  }, { signal, rows: 1 });
  show(page.cursor);
  return [h("table", { class: "cards trail" }, h("caption", { class: "unseen" }, "Trail, newest first"), h("thead", {}, h("tr", {}, heads.map((word) => h("th", { scope: "col" }, word)))), body), foot];
}

function entry(one) {
  const recording = one.recordingKey ? h("a", { href: href("r", one.recordingKey) }, h("code", { class: "cut" }, one.recordingKey)) : h("code", { class: "cut" }, one.recordingId || "—");
  return h("tr", {},
    h("td", {}, when(one.at, "clock")),
    h("td", {}, one.who || (one.kind === "key" || !one.kind ? "a key" : one.kind), one.kind && one.kind !== "person" && one.who ? h("span", { class: "faint" }, ` ${one.kind}`) : null),
    h("td", {}, [ACTIONS[one.operation] || one.operation, chunksOf(one.indexes)].filter(Boolean).join(" ")),
    h("td", {}, recording),
    h("td", { class: "reference" }, one.reason ? h("span", { class: "cut" }, one.reason) : h("span", { class: "faint" }, "—")),
    h("td", { class: "faint" }, one.from || "—"),
    h("td", {}, one.outcome === "ok" ? badge("good", "ok") : badge("bad", one.outcome)));
}
