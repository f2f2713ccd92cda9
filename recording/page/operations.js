// What needs an operator: which chunks die next, what was lost, what never came, what waits.
import * as api from "./api.js";
import { fill, h, icon, refill, say } from "./dom.js";
import { count } from "./main.js";
import { ask, badge, load, plural, problem } from "./parts.js";
import { href } from "./route.js";
import { settings } from "./session.js";
import { roughly, size, when } from "./time.js";

const HOUR = 3_600_000;
const EVERY = 60_000;
const REQUEUED = { queued: "queued now", waiting: "it is on the queue already", running: "an attempt is at work", safe: "it is safe by now" };
const PARTS = { timer: "the timer", waiting: "at risk", lost: "lost", truncated: "truncated", notAnnounced: "not announced", quarantined: "quarantined", deadLetters: "dead letters", queues: "queues", damaged: "damaged" };

export function open(place) {
  const { main, may, signal } = place;
  const asOf = h("span", { class: "faint" });
  const area = h("div", { class: "panels" });
  fill(main, h("div", { class: "row" }, h("h1", { tabindex: "-1" }, "Operations"), asOf, h("span", { class: "grow" }), h("button", { type: "button", onclick: refresh }, "Look again")), area);
  refresh();
  // Not while somebody is asked, or reads an event.
  const timer = setInterval(() => { if (!document.hidden && !document.querySelector("dialog[open], tr:focus-within pre")) refresh(); }, EVERY);
  signal.addEventListener("abort", () => clearInterval(timer));

  function refresh() {
    return load(area, () => api.get("operations", { query: { limit: 20 }, signal }), draw, { signal });
  }

  function draw(view) {
    fill(asOf, "as of ", when(view.asOf, "clock"), `, the last ${view.days} days`);
    count("ops", (view.waiting?.chunks || []).filter((one) => one.atRisk).length, "chunks at risk");
    const list = (found, name, columns, row) => found && pages(found, name, columns, row);
    refill(area,
      view.unread?.length ? h("div", { class: "problem" }, icon("warn"), h("div", {}, h("p", {}, "Some parts can't be read now: ", view.unread.map((one) => `${PARTS[one.part] || one.part} (${one.reason})`).join(", ")))) : null,
      summary(view),
      section("At risk and failing", view.waiting?.chunks, "recording-at-risk", "Every chunk is safe, or on its way in time.",
        "A chunk that isn't safe when its time is over is lost at the source. Its code says what stands in the way: SourceUnavailable, ACS is down, or the app has lost its role there; SourceRefused, a host that isn't in CONTENT_HOSTS; Storage…, the staging account. Then queue it again: the timer would, too, but later. If less than two hours are left, fetch it yourself: python -m recording ingest KEY",
        list(view.waiting, "chunks", ["Left", "Recording", "Chunk", "Why", "Next try", ""], waitingRow)),
      section("Lost", view.lost?.recordings, "recording-lost", "Nothing was lost.",
        "ACS deleted these chunks before there was a proved copy; the manifest is the evidence. ACS may keep a file longer than it says: take the event from the archive and ask once more, with python -m recording ingest --event FILE. SourceGone is final. Then look for other chunks with the same cause, and inform the owners of the call.",
        list(view.lost, "recordings", ["Started", "Reference", "Lost"], (one) => recordingRow(one, badge("bad", `${one.missing} of ${one.chunks}`)))),
      section("Truncated", view.truncated?.recordings, "chunk-not-complete", "All files are complete media.",
        "The source delivered these bytes, and they end early. They are kept, and asked for again for an hour.",
        list(view.truncated, "recordings", ["Started", "Reference", "Truncated"], (one) => recordingRow(one, badge("warn", `${one.truncated} of ${one.chunks}`)))),
      section("Not announced", view.notAnnounced?.recordings, "recording-not-announced", "Every recording that was stopped was announced.",
        "A recording was stopped, and no event has said where its files are. Check the Event Grid subscription (python -m recording doctor) and its dead letters; without the event nobody can fetch the files.",
        list(view.notAnnounced, "recordings", ["Left", "Stopped", "By", "Reference", "Recording id"], unannouncedRow)),
      section("Quarantined", view.quarantined?.events, "event-quarantined", "Every event was understood.",
        "These events weren't understood. Look at the reason; after an update that understands them, replay them.",
        list(view.quarantined, "events", ["Received", "Reasons", ""], quarantinedRow)),
      section("Dead letters", view.deadLetters?.blobs, "event-dead-lettered", "Event Grid gave nothing up.",
        "Event Grid gave these events up. Accept them with: python -m recording replay FILE",
        list(view.deadLetters, "blobs", ["Written", "Blob", "Events", "Why"], deadRow)),
      queues(view.queues));
  }

  function summary({ timer: ran }) {
    if (!ran) return h("p", { class: "panel" }, badge("warn", "The timer has not run yet"));
    const late = Date.now() - Date.parse(ran.at) > 20 * 60_000;
    return h("p", { class: "panel row" }, badge(late ? "bad" : "good", late ? "The timer is late" : "The timer runs"), h("span", {}, "last ", when(ran.at, "clock"), `, ${roughly(Date.now() - Date.parse(ran.at))} ago`),
      h("span", { class: "faint" }, `${plural(ran.inFlight, "recording")} in flight, ${plural(ran.chunksInFlight, "chunk")}, ${ran.notReached} not reached, ${ran.archived} archived, ${ran.queuedAgain} queued again, ${ran.failed} failed`));
  }

  // `kind` is the alert's name, and that of its section in the runbook.
  const runbook = (kind) => settings.runbook && [" ", h("a", { href: `${settings.runbook}#${kind}`, target: "_blank", rel: "noreferrer" }, "Runbook")];

  function section(title, found, kind, nothing, advice, table) {
    if (!found) return null;
    const number = `${found.length}${table?.more ? "+" : ""}`;
    return h("section", { class: "panel", "aria-label": title },
      h("h2", {}, title, " ", h("span", { class: found.length ? "tag" : "faint" }, found.length ? number : "0")),
      found.length ? [h("details", { class: "advice", open: area.querySelector(`[aria-label="${title}"] details`)?.open }, h("summary", {}, "What to do"), h("p", {}, advice, runbook(kind))), table.element] : h("p", { class: "faint" }, nothing));
  }

  // A list with its further pages, which the API gives the address of.
  function pages(found, name, columns, row) {
    const body = h("tbody", {}, found[name].map(row));
    const foot = h("div", {});
    const show = (link) => fill(foot, link ? h("button", { type: "button", onclick: () => further(link) }, "More") : null);
    const further = (link) => {
      const { pathname, searchParams } = new URL(link, location.href);
      return load(foot, () => api.get(pathname.replace(/^.*\/v1\//, ""), { query: Object.fromEntries(searchParams), signal }), (next) => { body.append(...next[name].map(row)); show(next.nextLink); say(`${next[name].length} more`); }, { signal, rows: 1 });
    };
    show(found.nextLink);
    return { more: Boolean(found.nextLink), element: h("div", {}, h("table", { class: "cards" }, h("thead", {}, h("tr", {}, columns.map((word) => (word ? h("th", { scope: "col" }, word) : h("td", {}))))), body), foot) };
  }

  function left(hours) {
    return h("strong", { class: hours < 2 ? "wrong" : null }, hours > 0 ? roughly(hours * HOUR) : "none");
  }

  function waitingRow(one) {
    const result = h("div", { class: "in-row", role: "status" });
    const button = may("v1_requeue_chunk") ? h("button", { type: "button", onclick: queue }, "Queue now") : null;
    async function queue() {
      const agreed = await ask({ title: "Queue this chunk again?", action: "Queue now", reason: "optional", body: [`Chunk ${one.index + 1} of ${one.recordingKey}`] });
      if (!agreed) return;
      try {
        const done = await api.post(api.path`recordings/${one.recordingKey}/chunks/${one.index}/requeue`, agreed, { signal });
        fill(result, REQUEUED[done.state] || done.state);
      } catch (failed) {
        fill(result, problem(failed));
      }
    }
    return h("tr", {}, h("td", {}, left(one.hoursLeft), one.atRisk ? [" ", h("span", { class: "tag" }, "at risk")] : null),
      h("td", {}, h("a", { href: href("r", one.recordingKey) }, h("code", { class: "cut" }, one.recordingKey)), one.reference ? h("div", { class: "faint cut" }, one.reference) : null),
      h("td", {}, `${one.index + 1}`),
      h("td", {}, one.code ? `${one.code}, ${plural(one.attempts, "attempt")}` : plural(one.attempts, "attempt"), one.reason ? h("div", { class: "faint" }, one.reason) : null),
      h("td", {}, when(one.nextTry, "minute")), h("td", {}, button, result));
  }

  function recordingRow(one, what) {
    return h("tr", {}, h("td", {}, h("a", { href: href("r", one.recordingKey) }, when(one.recordingStartTime))), h("td", {}, one.reference ? h("span", { class: "cut" }, one.reference) : "—"), h("td", {}, what));
  }

  function unannouncedRow(one) {
    return h("tr", {}, h("td", {}, left(one.hoursLeft)), h("td", {}, when(one.stoppedAt)), h("td", {}, one.stoppedBy || "—"), h("td", {}, one.reference ? h("span", { class: "cut" }, one.reference) : "—"), h("td", {}, h("code", { class: "cut" }, one.recordingId)));
  }

  function quarantinedRow(one) {
    const result = h("div", { class: "in-row", role: "status" });
    const at = api.path`operations/quarantined/${one.eventKey}`;
    async function look() {
      try {
        const found = await api.get(at, { signal });
        fill(result, found.event ? h("pre", { tabindex: "0" }, found.event) : h("p", { class: "faint" }, "Its text may name people: it is shown to those who also have Recordings.Read, Manage or Erase."));
      } catch (failed) {
        fill(result, problem(failed));
      }
    }
    async function replay() {
      const agreed = await ask({ title: "Replay this event?", action: "Replay", reason: "required", body: ["The app takes the event as if it had just come. If it still isn't understood, it stays in quarantine."] });
      if (!agreed) return;
      try {
        const done = await api.post(`${at}/replay`, agreed, { signal });
        fill(result, done.events.map((event) => `${event.state || event.outcome || "accepted"}${event.reason ? `: ${event.reason}` : ""}`).join(", ") || "done");
      } catch (failed) {
        fill(result, problem(failed));
      }
    }
    return h("tr", {}, h("td", {}, when(one.receivedAt)), h("td", {}, one.reasons.join("; "), h("span", { class: "faint" }, ` · ${size(one.bytes)}`), result),
      h("td", {}, h("div", { class: "row" }, may("v1_get_quarantined") ? h("button", { type: "button", class: "quiet", onclick: look }, "Show") : null, may("v1_replay_quarantined") ? h("button", { type: "button", onclick: replay }, "Replay…") : null)));
  }

  function deadRow(one) {
    return h("tr", {}, h("td", {}, when(one.writtenAt)), h("td", {}, h("code", { class: "cut" }, one.blob)), h("td", {}, `${one.events}`), h("td", {}, one.reason || "—"));
  }

  function queues(found) {
    if (!found) return null;
    const poisoned = found.some((one) => one.poison);
    return h("section", { class: "panel", "aria-label": "Queues" }, h("h2", {}, "Queues ", poisoned ? h("span", { class: "tag" }, "poison") : null),
      h("table", {}, h("thead", {}, h("tr", {}, ["Queue", "Messages", "Poison"].map((word, index) => h("th", { scope: "col", class: index ? "number" : null }, word)))),
        h("tbody", {}, found.map((one) => h("tr", {}, h("td", {}, h("code", {}, one.name)), h("td", { class: "number" }, `${one.messages}`), h("td", { class: "number" }, one.poison ? badge("bad", `${one.poison}`) : "0"))))),
      poisoned ? h("p", { class: "faint" }, "The timer takes poison messages up again by itself, and queues what is missing from the facts.", runbook("poison-message")) : null);
  }
}
