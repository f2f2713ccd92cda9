// The list of recordings, and the search for some of them.
import * as api from "./api.js";
import { fill, h, icon, say } from "./dom.js";
import { AS, kindOf } from "./kinds.js";
import { ask, badge, load, plural, problem, save } from "./parts.js";
import { eraseEach, person } from "./person.js";
import { go, here, href, note } from "./route.js";
import { dayBegins, dayOf, length, onZone, size, when, write, zoneName } from "./time.js";

const PAGE = 50;
// A search while somebody types begins with so many characters, and so long after the last one.
const FEWEST = 4;
const REST = 300;
// Back shows the same place as before, unless that is too old.
const FRESH = 5 * 60_000;
let kept = null; // {address, at, recordings, cursor, marked, scroll}

const STATES = { ingesting: ["busy", "on its way"], staged: ["busy", "safe, not archived"], archived: ["good", "archived"], incomplete: ["bad", "incomplete"], absent: ["warn", "not announced"] };
const KINDS = { phone: "by phone", teams: "in Teams", bot: "bot", unknown: "unknown" };

export function open(place) {
  const { main, may, signal, me } = place;
  const seesPeople = !me.roles.length || me.roles.some((role) => role !== "Recordings.Operate");
  const field = h("input", { id: "find", type: "search", autocomplete: "off", spellcheck: "false", placeholder: seesPeople ? "Call, recording or server call id, reference, participant, phone" : "Call, recording or server call id, reference" });
  const state = h("select", { name: "state" }, [["", "any state"], ...Object.entries(STATES).map(([name, [, word]]) => [name, word])].map(([value, word]) => h("option", { value }, word)));
  const from = h("input", { type: "date", name: "from" });
  const to = h("input", { type: "date", name: "to" });
  const flags = Object.fromEntries([["hold", "on hold"], ["missing", "something missing"], ["truncated", "truncated"]].map(([name, word]) => [name, { word, box: h("input", { type: "checkbox", name }) }]));
  const results = h("div", { class: "sheet", id: "results" });
  const understood = h("p", { class: "faint understood" });
  // What is done with everything of a person who was searched for.
  const whole = h("div", { class: "whole" });
  let current = null;
  let abort = new AbortController();
  let timer = null;

  const form = h("form", { class: "search", role: "search", onsubmit: (event) => { event.preventDefault(); find({ jumps: true }); } },
    h("div", { class: "row" },
      h("label", { class: "unseen", for: "find" }, "Search recordings"), h("div", { class: "find grow" }, icon("search"), field),
      h("button", { type: "submit", class: "primary" }, "Find")),
    h("div", { class: "row filters" },
      h("label", {}, "From ", from), h("label", {}, "To ", to), h("label", {}, h("span", { class: "unseen" }, "State "), state),
      Object.values(flags).map(({ word, box }) => h("label", { class: "check" }, box, word))),
    understood);

  field.addEventListener("input", () => {
    clearTimeout(timer);
    const text = field.value.trim();
    // A search for a person is on record: not one for each letter.
    if ((text.length >= FEWEST || !text) && !(text && ["participant", "recordingKey"].includes(kindOf(text)))) timer = setTimeout(() => find({ isTyped: true }), REST);
  });
  for (const one of [from, to, state, ...Object.values(flags).map(({ box }) => box)]) one.addEventListener("change", () => find());
  onZone(() => read(here().query), signal);
  signal.addEventListener("abort", () => { abort.abort(); clearTimeout(timer); });
  addEventListener("scroll", () => { if (kept && kept === current) kept.scroll = scrollY; }, { signal, passive: true });

  fill(main, h("h1", { class: "unseen", tabindex: "-1" }, "Recordings"), form, whole, results);
  place.title("Recordings");
  read(place.route.query);
  const isFresh = kept && kept.address === address() && Date.now() - kept.at < FRESH;
  if (isFresh) draw(kept);
  else run();
  if (isFresh) drawUnderstood(...searched());
  return { update: (route) => { read(route.query); run(); }, scroll: isFresh ? kept.scroll : 0 };

  // Show what the address says
  function read(query) {
    field.value = query.get("q") || "";
    state.value = query.get("state") || "";
    from.value = dayOf(query.get("from"));
    // The address has the moment at which the next day begins.
    to.value = query.get("to") ? dayOf(Date.parse(query.get("to")) - 1) : "";
    for (const [name, { box }] of Object.entries(flags)) box.checked = query.get(name) === "true";
  }

  function address(as = here().query.get("as")) {
    const text = field.value.trim();
    return href("", "", {
      q: text, as: text && as in AS ? as : "", state: state.value,
      from: from.value && dayBegins(from.value), to: to.value && dayBegins(to.value, 1),
      ...Object.fromEntries(Object.entries(flags).map(([name, { box }]) => [name, box.checked])),
    });
  }

  function find({ jumps = false, isTyped = false, as = null } = {}) {
    clearTimeout(timer);
    const text = field.value.trim();
    if (jumps && kindOf(text) === "recordingKey" && !as) return go(href("r", text));
    const { query } = here();
    const wanted = address(as || (text === query.get("q") ? query.get("as") : null));
    const isSame = wanted === location.hash;
    if (isTyped || isSame) {
      note(wanted);
      return run({ jumps });
    }
    // A step in the history, which main.js answers with update().
    jumpsNext = jumps;
    return go(wanted);
  }

  function searched() {
    const text = here().query.get("q") || "";
    return [text, text && (here().query.get("as") || kindOf(text))];
  }

  async function run({ jumps = jumpsNext } = {}) {
    jumpsNext = false;
    abort.abort();
    abort = new AbortController();
    const mine = abort.signal;
    const query = here().query;
    const [text, as] = searched();
    drawUnderstood(text, as);
    const asked = { limit: PAGE, ...Object.fromEntries(["from", "to", "state", "hold", "missing", "truncated"].map((name) => [name, query.get(name)])) };
    if (as && as !== "recordingKey") asked[as] = text;
    const begun = performance.now();
    await load(results, () => api.get("recordings", { query: asked, signal: mine }), (found) => {
      performance.measure("search", { start: begun });
      if (jumps && as && as !== "participant" && !found.cursor && found.recordings.length === 1) return go(href("r", found.recordings[0].recordingKey));
      kept = { address: location.hash || "#/", asked, at: Date.now(), recordings: found.recordings, cursor: found.cursor, marked: new Set(), scroll: 0 };
      draw(kept);
      say(found.recordings.length ? `${found.recordings.length}${found.cursor ? " and more" : ""} recordings` : "No recording fits");
      return null;
    }, { signal: mine, retry: () => run({ jumps }) });
  }

  function drawUnderstood(text, as) {
    if (whole.dataset.who !== (as === "participant" ? text : "")) {
      whole.dataset.who = as === "participant" ? text : "";
      fill(whole, as === "participant" ? person(place, text) : null);
    }
    const others = Object.keys(AS).filter((one) => one !== as && one !== "recordingKey" && (one !== "participant" || seesPeople));
    fill(understood, text ? [`Searched as ${AS[as] || as}. Search it as `, others.map((one, index) => [index ? ", " : "", h("button", { type: "button", class: "link", onclick: () => find({ as: one, jumps: true }) }, AS[one])]), as === "participant" ? " · a search for a person is on record" : ""] : null);
  }

  // Show a list; `older` were there before
  function draw(shown) {
    current = shown;
    if (!shown.recordings.length) return fill(results, shown.cursor ? further(shown) : nothing());
    const body = h("tbody", {});
    const all = h("input", { type: "checkbox", "aria-label": "Mark all that are shown" });
    all.addEventListener("change", () => {
      // What is marked in between changes this box, too.
      const wanted = all.checked;
      for (const box of body.querySelectorAll("input")) if (box.checked !== wanted) box.click();
    });
    const foot = h("div", { class: "foot row" });
    const table = h("table", { class: "cards list" }, h("caption", { class: "unseen" }, "Recordings, newest first"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "mark" }, all), ["Started", "Length", "Who", "Reference", "Files", "State", "Proof"].map((word) => h("th", { scope: "col", class: word === "Length" ? "number" : null }, word)))), body);
    const more = (recordings) => body.append(...recordings.map((one) => row(one, shown, drawFoot)));
    function drawFoot() {
      const marked = shown.recordings.filter((one) => shown.marked.has(one.recordingKey));
      all.checked = marked.length > 0 && marked.length === shown.recordings.length;
      all.indeterminate = marked.length > 0 && !all.checked;
      fill(foot,
        h("span", {}, `${shown.recordings.length} shown`),
        shown.cursor ? h("button", { type: "button", onclick: (event) => older(shown, event.currentTarget, more, drawFoot) }, "Older") : h("span", { class: "faint" }, "no older ones"),
        h("label", { class: "faint" }, "Jump to day ", h("input", { type: "date", onchange: (event) => { to.value = event.target.value; find(); } })),
        h("span", { class: "grow" }),
        marked.length ? h("span", {}, `${marked.length} marked`) : h("span", { class: "faint" }, "Mark recordings to save them as a list"),
        may("v1_place_hold") ? h("button", { type: "button", disabled: !marked.length, onclick: () => holdAll(marked) }, "Hold…") : null,
        eraseEach(place, marked.map((one) => one.recordingKey)),
        h("button", { type: "button", disabled: !marked.length, onclick: () => save(spreadsheet(marked)) }, icon("download"), "Save as CSV"));
    }
    more(shown.recordings);
    drawFoot();
    return fill(results, table, foot);
  }

  // One after the other: what fails is said, and the others are held.
  async function holdAll(marked) {
    const said = await ask({ title: `Hold ${plural(marked.length, "recording")}`, body: ["Nobody can delete them until the hold of this case is lifted."], action: "Hold", reason: "required", fields: [{ name: "case", label: "Case" }] });
    if (!said) return;
    const failures = [];
    for (const one of marked) {
      try {
        await api.put(api.path`recordings/${one.recordingKey}/hold`, said, { signal });
        one.hold = true;
      } catch (failed) {
        if (signal.aborted) return;
        failures.push(failed);
      }
    }
    draw(kept);
    if (failures.length) results.prepend(problem(failures[0]));
    say(`${marked.length - failures.length} held${failures.length ? `, ${failures.length} not` : ""}`);
  }

  function further(shown) {
    return h("div", { class: "empty" }, h("p", {}, "None among those that were looked at so far."),
      h("p", {}, h("button", { type: "button", onclick: (event) => older(shown, event.currentTarget, () => draw(shown), () => {}) }, "Look further")));
  }

  async function older(shown, button, more, done) {
    button.disabled = true;
    const status = h("p", { class: "waiting" });
    results.append(status);
    const isThere = await load(status, () => api.get("recordings", { query: { ...shown.asked, cursor: shown.cursor }, signal }), (found) => {
      shown.cursor = found.cursor;
      shown.recordings.push(...found.recordings);
      const first = results.querySelector("tbody")?.childElementCount;
      more(found.recordings);
      done();
      results.querySelector(`tbody tr:nth-child(${first + 1}) a`)?.focus({ preventScroll: true });
      say(`${found.recordings.length} older ones, ${shown.recordings.length} shown`);
    }, { signal, rows: 2 });
    if (isThere) status.remove();
    else button.disabled = false;
  }

  // Nothing fits: say which filter to take away
  function nothing() {
    const query = here().query;
    const set = [
      query.get("q") && ["q", `the search for “${query.get("q")}”`], query.get("from") && ["from", `from ${write(query.get("from"), "day")}`], query.get("to") && ["to", "the last day"],
      query.get("state") && ["state", STATES[query.get("state")]?.[1] || query.get("state")], ...Object.entries(flags).map(([name, { word }]) => query.get(name) && [name, word]),
    ].filter(Boolean);
    if (!set.length) return h("div", { class: "empty" }, h("p", {}, "No recording has ended yet."), h("p", {}, "One shows here from its end on, also while its files are still on their way; while it runs, under Live."));
    const without = (name) => { const rest = Object.fromEntries(query); delete rest[name]; if (name === "q") delete rest.as; return href("", "", rest); };
    return h("div", { class: "empty" }, h("p", {}, "No recording fits. Take away a filter:"),
      h("p", { class: "row middle" }, set.map(([name, word]) => h("a", { class: "chip", href: without(name) }, word, icon("close")))));
  }
}

let jumpsNext = false;

function row(one, shown, changed) {
  const box = h("input", { type: "checkbox", checked: shown.marked.has(one.recordingKey), "aria-label": `Mark the recording of ${write(one.recordingStartTime)}` });
  box.addEventListener("change", () => {
    if (box.checked) shown.marked.add(one.recordingKey);
    else shown.marked.delete(one.recordingKey);
    changed();
  });
  const [kind, word] = STATES[one.state] || ["off", one.state];
  return h("tr", {},
    h("td", { class: "mark" }, box),
    h("td", { class: "started" }, h("a", { href: href("r", one.recordingKey) }, when(one.recordingStartTime))),
    h("td", { class: "number" }, length(one.recordingDurationMs)),
    h("td", {}, people(one)),
    h("td", { class: "reference" }, one.reference ? h("span", { class: "cut", title: null }, one.reference) : h("span", { class: "faint" }, "—")),
    h("td", {}, one.chunks ? `${plural(one.chunks, "file")}${one.bytes ? `, ${size(one.bytes)}` : ""}` : "—"),
    h("td", {}, badge(kind, word), one.hold ? [" ", h("span", { class: "tag" }, "HOLD")] : null),
    h("td", {}, proof(one)));
}

function people({ participants = {} }) {
  const { count = 0, kinds = {} } = participants;
  if (!count) return h("span", { class: "faint" }, "—");
  const named = Object.entries(kinds).filter(([kind]) => kind !== "acs").map(([kind, number]) => `${number} ${KINDS[kind] || kind}`);
  return [`${count} ${count === 1 ? "person" : "people"}`, named.length ? h("span", { class: "faint" }, ` · ${named.join(", ")}`) : null];
}

function proof(one) {
  if (one.missing) return badge("bad", `${one.missing} lost`);
  if (one.truncated) return badge("warn", `${one.truncated} truncated`);
  if (!["archived", "incomplete"].includes(one.state)) return h("span", { class: "faint" }, one.proof === "all" ? "all safe" : one.proof === "some" ? "partly safe" : "not yet");
  return one.proof === "all" ? badge("good", "complete") : badge("warn", one.proof === "some" ? "partial" : "none");
}

// The marked recordings as a file for a spreadsheet; a cell never begins with what one takes for a formula.
function spreadsheet(recordings) {
  const columns = ["recordingStartTime", "recordingDurationMs", "reference", "state", "proof", "missing", "truncated", "chunks", "bytes", "callId", "conversationId", "serverCallId", "recordingId", "recordingKey"];
  const cell = (value) => `"${String(value ?? "").replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
  const lines = [columns, ...recordings.map((one) => columns.map((name) => one[name]))].map((line) => line.map(cell).join(","));
  return { name: `recordings-${dayOf(Date.now())}-${zoneName().replace(/[^A-Za-z0-9]/g, "")}.csv`, blob: new Blob([`\ufeff${lines.join("\r\n")}\r\n`], { type: "text/csv" }) };
}
