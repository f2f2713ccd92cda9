// How long a recording is kept, what holds it, and its erasure: each change asks for a reason, which stands in the trail.
import * as api from "./api.js";
import { fill, h, say } from "./dom.js";
import { ask, problem } from "./parts.js";
import { when } from "./time.js";

// Why a recording is erased: grounds of article 17 (1) of the GDPR, and the slip of a hand.
export const REASONS = {
  "not-needed": "no longer needed", "consent-withdrawn": "consent withdrawn", objection: "objection", unlawful: "unlawfully recorded",
  "legal-obligation": "legal obligation", child: "a child's data", "recorded-by-mistake": "recorded by mistake",
};

export function keeping(place, recording) {
  const { recordingKey, holds = [], keptUntil, retentionClass, archivedAt, erasure } = recording;
  const failed = h("div", {});
  const to = (name) => api.path`recordings/${recordingKey}/` + name;
  // A button that asks, sends what was said, and shows what has changed.
  const button = (operation, label, question, send, style) => place.may(operation) && h("button", {
    type: "button", class: style,
    onclick: async () => {
      const said = await ask(question);
      if (!said) return;
      fill(failed);
      try {
        await send(said);
        say("Done");
        await place.changed({ isForced: true });
      } catch (error) {
        if (!place.signal.aborted) fill(failed, problem(error));
      }
    },
  }, label);

  const hold = button("v1_place_hold", "Hold…", {
    title: "Hold this recording", body: ["Nobody can delete it until the hold of this case is lifted."], action: "Hold", reason: "required", fields: [{ name: "case", label: "Case" }],
  }, (said) => api.put(to("hold"), said));
  const lift = (one) => button("v1_lift_hold", "Lift…", {
    title: `Lift the hold of ${one.case}`, body: ["Holds of other cases stay."], action: "Lift the hold", reason: "required",
  }, ({ reason }) => api.remove(to("hold"), { query: { case: one.case, reason } }), "quiet");
  const change = button("v1_set_retention", "Change…", {
    title: "Change how long it is kept", action: "Change", reason: "required", fields: [{ name: "retentionClass", label: "Retention class" }],
  }, (said) => api.put(to("retention"), said), "quiet");
  const erase = button("v1_erase_recording", "Erase…", {
    title: "Erase this recording", action: "Erase", danger: true, typed: "erase", reason: "required",
    body: ["Its files, versions and traces are removed, also from search. Until then it can be called off; after that nobody can bring it back. A tombstone without names stays."],
    fields: [{ name: "ground", label: "Ground", options: REASONS }],
  }, ({ ground, reason }) => api.post(to("erase"), { reason: ground, text: reason }));
  const callOff = button("v1_call_off_erasure", "Call off…", { title: "Call the erasure off", action: "Call it off", reason: "optional" }, () => api.remove(to("erase")));

  return h("section", { class: "panel" },
    h("div", { class: "row" }, h("h2", { class: "grow" }, "Keeping"), hold, holds.length || erasure ? null : erase),
    failed,
    erasure ? h("p", { class: "row wrong" }, h("span", { class: "grow" }, "It will be erased ", when(erasure.happensAt, "full"), "."), callOff) : null,
    h("p", { class: "row" }, h("span", { class: "grow" },
      keptUntil ? ["Kept until ", when(keptUntil, "day")] : archivedAt ? "Kept without an end" : "Its time begins when it is archived",
      retentionClass ? `, class ${retentionClass}` : "", "."), change),
    holds.length ? h("ul", { class: "holds" }, holds.map((one) => h("li", { class: "row" },
      h("span", { class: "grow" }, h("strong", {}, one.case), `: “${one.reason}”, since `, when(one.since)), lift(one)))) : h("p", { class: "faint" }, "No case holds it."),
    holds.length && place.may("v1_erase_recording") ? h("p", { class: "faint" }, "It can't be erased while a case holds it.") : null);
}

// What is known of the erasure of a recording, by the digest of its key; null if it was not erased.
export async function erasedOf(place, key) {
  if (!place.may("v1_get_erasure")) return null;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
  const id = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return api.get(api.path`erasures/${id}`, { signal: place.signal }).catch((failed) => {
    if (failed.status === 404) return null;
    throw failed;
  });
}

export function erased(place, key, found) {
  return h("section", { class: "panel" }, h("h2", {}, "Erased"), h("p", {}, "This recording was erased ", when(found.erasedAt, "full"), "."));
}
