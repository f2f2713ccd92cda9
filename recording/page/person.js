// What is done with several recordings at once: with all of a person, or with those that are marked in the list.
import * as api from "./api.js";
import { fill, h, say } from "./dom.js";
import { REASONS } from "./keeping.js";
import { ask, plural, problem } from "./parts.js";
import { size, when } from "./time.js";

const AGAIN = 3_000;

// The row of buttons for a participant, as they were searched for; null if nothing of it may be done.
export function person(place, participant) {
  const area = h("div", { role: "status" });
  const poll = async (path, isDone, show) => {
    for (;;) {
      const answer = await api.get(path, { signal: place.signal });
      show(answer);
      if (isDone(answer)) return;
      await api.pause(AGAIN, place.signal);
    }
  };
  const button = (operation, label, question, work) => place.may(operation) && h("button", {
    type: "button",
    onclick: async () => {
      const said = await ask(question);
      if (!said) return;
      try {
        await work({ participant, ...said });
      } catch (failed) {
        if (!place.signal.aborted) fill(area, problem(failed));
      }
    },
  }, label);
  const note = (...text) => { fill(area, h("p", {}, text)); };

  const buttons = [
    button("v1_place_holds", "Hold all…", {
      title: `Hold all recordings of ${participant}`, body: ["Those that a search finds now. Nobody can delete them until the hold of this case is lifted, one by one."], action: "Hold all", reason: "required", fields: [{ name: "case", label: "Case" }],
    }, async (body) => {
      const { holdId } = await api.post("holds", body);
      await poll(api.path`holds/${holdId}`, (one) => one.state === "done", (one) => note(`${one.held ?? 0} recordings held${one.state === "done" ? "." : " so far…"}`));
    }),
    button("v1_create_export", "Export…", {
      title: `Export what there is about ${participant}`, body: ["An index of their recordings, metadata files, and what was done with them. It expires by itself."], action: "Export", reason: "required",
      fields: [{ name: "files", label: "Media", options: { links: "as links", copies: "as copies" } }],
    }, async (body) => {
      const { exportId } = await api.post("exports", body);
      await poll(api.path`exports/${exportId}`, (one) => one.state === "ready", (one) => (one.state === "ready" ? exported(one) : note(`Exporting: ${one.recordingsDone}${one.recordings === undefined ? "" : ` of ${one.recordings}`} recordings…`)));
      say("The export is ready");
    }),
    button("v1_erase_person", "Erase all…", {
      title: `Erase all recordings of ${participant}`, action: "Erase all", danger: true, typed: "erase all", reason: "required",
      body: ["Each is erased later, and can be called off one by one until then. What a case holds stays."], fields: [{ name: "ground", label: "Ground", options: REASONS }],
    }, async ({ ground, reason }) => {
      const found = { erasures: [], refused: [], unreadable: [] };
      for (let after; ;) {
        const part = await api.post("erasures", { participant, reason: ground, text: reason, after });
        for (const each of Object.keys(found)) if (Array.isArray(found[each])) found[each].push(...part[each]);
        found.happensAt = part.happensAt ?? found.happensAt;
        after = part.next;
        if (!after) break;
        note(`${found.erasures.length} recordings will be erased so far: looked through up to ${after}…`);
      }
      note(`${found.erasures.length} recordings will be erased`, found.happensAt ? [" by ", when(found.happensAt, "full")] : "", ".",
        found.refused.length ? ` ${found.refused.length} can't be: ${found.refused.map((one) => `${one.recordingKey}: ${one.message}`).join("; ")}` : "",
        found.unreadable.length ? ` ${found.unreadable.length} could not be read, and may be of them: ${found.unreadable.join(", ")}` : "");
    }),
  ].filter(Boolean);

  // Links of five minutes, again for each look.
  function exported(found) {
    fill(area,
      h("p", {}, `The export has ${found.recordings} recordings`, found.unreadable ? `; ${found.unreadable} could not be read` : "", ". It expires ", when(found.expiresAt, "full"), "."),
      h("ul", { class: "parts" }, found.links.map((one) => h("li", {}, h("a", { href: one.url, rel: "noreferrer", target: "_blank" }, one.name), " ", h("span", { class: "faint" }, size(one.bytes))))),
      found.next ? h("p", { class: "faint" }, "There are more files: the API lists them, GET /v1/exports.") : null);
  }

  return buttons.length ? h("div", { class: "panel" }, h("div", { class: "row" }, h("strong", { class: "grow" }, participant), buttons), area) : null;
}

// The button that erases recordings that are marked, by their keys; what fails is named.
export function eraseEach(place, keys) {
  if (!place.may("v1_erase_recording")) return null;
  const area = h("span", { role: "status" });
  return [area, h("button", {
    type: "button", disabled: !keys.length,
    onclick: async () => {
      const said = await ask({
        title: `Erase ${plural(keys.length, "recording")}`, action: "Erase", danger: true, typed: "erase", reason: "required",
        body: ["Each is erased later, and can be called off one by one until then."], fields: [{ name: "ground", label: "Ground", options: REASONS }],
      });
      const failed = [];
      for (const [at, key] of said ? keys.entries() : []) {
        fill(area, `${at + 1} of ${keys.length}…`);
        await api.post(api.path`recordings/${key}/erase`, { reason: said.ground, text: said.reason }).catch((problem) => failed.push(`${key}: ${problem.message}`));
      }
      if (said) fill(area, failed.length ? h("span", { class: "wrong" }, `${failed.length} of ${keys.length} not: ${failed.join("; ")}`) : `${keys.length} will be erased`);
    },
  }, "Erase…")];
}
