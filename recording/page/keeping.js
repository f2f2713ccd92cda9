// How long a recording is kept, what holds it, and its erasure: each change asks for a reason, which stands in the trail.
import * as api from "./api.js";
import { fill, h, say } from "./dom.js";
import { ask, needs, problem } from "./parts.js";
import { when } from "./time.js";

// Why a recording is erased: grounds of article 17 (1) of the GDPR, and the slip of a hand.
export const REASONS = {
  "not-needed": "no longer needed", "consent-withdrawn": "consent withdrawn", objection: "objection", unlawful: "unlawfully recorded",
  "legal-obligation": "legal obligation", child: "a child's data", "recorded-by-mistake": "recorded by mistake",
};

export function keeping(place, recording) {
  const { recordingKey, holds = [], keptUntil, retentionClass, archivedAt, erasure } = recording;
  const isAsked = erasure && (erasure.state ?? "asked") === "asked";
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
    body: ["It is erased later, at a time that stands here as soon as you have asked; until then it can be called off.", "Then its files, versions and traces are removed, also from search. What storage keeps of deleted data an administrator can recover for some days: the certificate says until when. A tombstone without names stays."],
    fields: [{ name: "ground", label: "Ground", options: REASONS }],
  }, ({ ground, reason }) => api.post(to("erase"), { reason: ground, text: reason }));
  const callOff = button("v1_call_off_erasure", "Call off…", { title: "Call the erasure off", body: ["The recording stays as it is."], action: "Call it off" }, () => api.remove(to("erase")));

  return h("section", { class: "panel" },
    h("div", { class: "row" }, h("h2", { class: "grow" }, "Keeping"), hold, holds.length || isAsked || erasure?.state === "erasing" ? null : erase),
    failed,
    isAsked ? h("p", { class: "row wrong" }, h("span", { class: "grow" }, "It will be erased ", when(erasure.happensAt, "full"), `: ${REASONS[erasure.reason] || erasure.reason || ""}.`), callOff) : null,
    erasure?.state === "erasing" ? h("p", { class: "wrong" }, "It is being erased.") : null,
    erasure?.state === "refused" ? h("p", { class: "wrong" }, `An erasure was refused: ${(erasure.reasons ?? []).join("; ")}`) : null,
    h("p", { class: "row" }, h("span", { class: "grow" },
      keptUntil ? ["Kept until ", when(keptUntil, "day")] : archivedAt ? "Kept without an end" : "Its time begins when it is archived",
      retentionClass ? `, class ${retentionClass}` : "", "."), change),
    holds.length ? h("ul", { class: "holds" }, holds.map((one) => h("li", { class: "row" },
      h("span", { class: "grow" }, h("strong", {}, one.case), `: “${one.reason}”, since `, when(one.since)), lift(one)))) : h("p", { class: "faint" }, "No case holds it."),
    holds.length && place.may("v1_erase_recording") ? h("p", { class: "faint" }, "It can't be erased while a case holds it.") : null);
}

// What is known of the erasure of a recording, by the digest of its key; null if nobody has asked for one.
export async function erasureOf(place, key) {
  if (!place.may("v1_get_erasure")) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)));
  const id = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return api.get(api.path`erasures/${id}`, { signal: place.signal }).catch((failed) => {
    if (failed.status === 404) return null;
    throw failed;
  });
}

// A recording that was erased: what stays of it names nobody who took part.
export function erased(place, found) {
  if (!found) return h("section", { class: "panel" }, h("h2", {}, "Erased"), h("p", {}, "This recording was erased."), h("p", { class: "faint" }, needs(place.me, "v1_get_erasure", "To see when and why")));
  const { certificate: done, askedAt, askedBy, reason } = found;
  const count = (kinds) => Object.entries(kinds ?? {}).map(([kind, number]) => `${kind} ${number}`).join(", ") || "nothing";
  const last = done?.left?.map((one) => one.until).filter(Boolean).sort().at(-1);
  const rows = [
    ["Key", h("code", {}, place.route.key)],
    ["Erased", done ? when(done.checkedAt, "full") : "not finished yet"],
    ["Asked for", when(askedAt, "full")],
    askedBy && ["By", h("code", {}, askedBy)],
    ["Ground", REASONS[reason] || reason],
    ...(done ? [
      ["There was", count(done.found)],
      ["Still kept", done.left.length ? [done.left.map((one) => `${one.place}: ${one.kind} ${one.count}, ${one.why}`).join("; "), last ? [". Recoverable by an administrator until ", when(last, "full")] : ""] : "nothing"],
    ] : []),
  ];
  return h("section", { class: "panel" }, h("h2", {}, "Erased"),
    h("dl", { class: "keys" }, rows.filter(Boolean).map(([name, value]) => [h("dt", { class: "faint" }, name), h("dd", {}, value)])));
}
