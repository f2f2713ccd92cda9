// What is being recorded now: pause, resume and stop.
import * as api from "./api.js";
import { fill, h, icon, say } from "./dom.js";
import { count } from "./main.js";
import { ask, badge, copy, load, problem } from "./parts.js";
import { roughly, when } from "./time.js";

const EVERY = 10_000;
const STATES = { active: ["bad", "recording"], paused: ["warn", "paused"], ending: ["busy", "stopped, files on their way"], inactive: ["off", "not recording"] };

export function open(place) {
  const { main, may, signal } = place;
  const asOf = h("p", { class: "faint" }, "Again every 10 s while this tab is seen");
  const area = h("div", { class: "sheet" });
  const rows = new Map();
  const body = h("tbody", {});
  const table = h("table", { class: "cards live" }, h("caption", { class: "unseen" }, "Live recordings"),
    h("thead", {}, h("tr", {}, ["Started", "Call", "Reference", "State", "Controls"].map((word) => h("th", { scope: "col" }, word)))), body);
  fill(main, h("div", { class: "row" }, h("h1", { tabindex: "-1" }, "Live"), asOf, h("span", { class: "grow" }), h("button", { type: "button", onclick: () => refresh() }, "Ask again")), area);
  refresh();
  const timer = setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); }, { signal });
  signal.addEventListener("abort", () => clearInterval(timer));

  function refresh() {
    return load(area, () => api.get("live", { query: { limit: 1000 }, signal }), ({ recordings, cursor }) => {
      fill(asOf, "As of ", when(Date.now(), "clock"), ", again every 10 s while this tab is seen");
      count("live", recordings.length, "live recordings");
      draw(recordings);
      if (cursor) area.append(h("p", { class: "waiting" }, "There are more than these 1,000."));
    }, { signal, rows: 3 });
  }

  // Rows stay where they are, so that a button that is being pressed doesn't move and keeps the focus.
  function draw(recordings) {
    const known = new Set(recordings.map((one) => one.recordingId));
    for (const [id, row] of rows) if (!known.has(id)) { row.element.remove(); rows.delete(id); }
    for (const one of recordings) {
      if (!rows.has(one.recordingId)) {
        rows.set(one.recordingId, liveRow(one));
        body.prepend(rows.get(one.recordingId).element);
      }
      rows.get(one.recordingId).show(one);
    }
    if (recordings.length) { if (!table.isConnected) fill(area, table); } else fill(area, h("div", { class: "empty" }, h("p", {}, "Nothing is being recorded through this app."), h("p", {}, "A recording shows here from its start until its files are announced.")));
  }

  function liveRow(first) {
    const path = (more = "") => `${api.path`conversations/${first.conversationId}/recordings/${first.recordingId}`}${more}`;
    const state = h("td", {});
    const failed = h("div", { class: "in-row" });
    const busy = new Set();
    const button = (word, sign, run, kind = null) => h("button", { type: "button", class: kind, "aria-label": `${word} the recording of ${first.reference || "this call"}`, onclick: run }, sign ? icon(sign) : null, word);
    const buttons = {
      pause: button("Pause", "pause", () => steer("pause", "paused")),
      resume: button("Resume", "play", () => steer("resume", "resumed")),
      stop: button("Stop…", "stop", stop),
      asked: button("Ask the service", null, askService, "quiet"),
    };
    const element = h("tr", {},
      h("td", {}, when(first.startedAt)),
      h("td", {}, h("code", { class: "cut" }, first.conversationId), " ", copy(first.conversationId, "Copy the conversation id")),
      h("td", { class: "reference" }, first.reference ? h("span", { class: "cut" }, first.reference) : h("span", { class: "faint" }, "—")),
      state, h("td", {}, h("div", { class: "row" }, Object.values(buttons)), failed));
    return { element, show };

    function show(one) {
      const [kind, word] = STATES[one.state] || ["off", one.state];
      const since = one.since ? ` ${roughly(Date.now() - Date.parse(one.since))}` : "";
      fill(state, badge(kind, word), h("span", { class: "faint" }, since));
      const offers = { pause: one.state === "active" && may("v1_pause_recording"), resume: one.state === "paused" && may("v1_resume_recording"), stop: ["active", "paused"].includes(one.state) && may("v1_stop_recording"), asked: may("v1_get_recording_state") };
      for (const [name, shown] of Object.entries(offers)) buttons[name].hidden = !shown;
    }

    async function steer(action, done) {
      await act(async () => {
        await api.post(path(`/${action}`), {}, { signal });
        say(`The recording is ${done}`);
        await refresh();
        (action === "pause" ? buttons.resume : buttons.pause).focus();
      }, action);
    }

    async function stop() {
      const agreed = await ask({
        title: "Stop this recording?", danger: true, action: "Stop recording",
        body: [["The call goes on, but what is said from now on isn't recorded. This can't be taken back; a new recording can be started by the calling app."].join(""), first.reference ? `Reference ${first.reference}` : `Call ${first.conversationId}`],
      });
      if (!agreed) return;
      await act(async () => {
        await api.remove(path(), { signal });
        say("The recording is stopped");
        await refresh();
      }, "stop");
    }

    async function askService() {
      await act(async () => {
        const found = await api.get(path(), { signal });
        fill(failed, h("p", { class: "faint" }, `The service says: ${found.recordingState}${found.endedAt ? ", ended" : ""}, `, when(Date.now(), "clock")));
        say(`The service says ${found.recordingState}`);
      }, "ask");
    }

    // One at a time: a second press while the first is answered does nothing.
    async function act(work, name) {
      if (busy.has(name)) return;
      busy.add(name);
      fill(failed);
      try {
        await work();
      } catch (error) {
        if (!signal.aborted) fill(failed, problem(error));
      } finally {
        busy.delete(name);
      }
    }
  }
}
