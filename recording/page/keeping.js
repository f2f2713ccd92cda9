// How long a recording is kept, what holds it, and what is erased.
import { h } from "./dom.js";
import { when } from "./time.js";

export function keeping(place, recording) {
  const { holds = [], keptUntil, retentionClass } = recording;
  return h("section", { class: "panel" }, h("h2", {}, "Keeping"),
    h("p", {}, keptUntil ? ["Kept until ", when(keptUntil, "day"), retentionClass ? ` (${retentionClass})` : "", "."] : "No end of keeping is set."),
    holds.length ? h("ul", {}, holds.map((one) => h("li", {}, `On hold for ${one.case}: “${one.reason}”, since `, when(one.since), one.by ? ` by ${one.by}` : ""))) : h("p", { class: "faint" }, "Nothing holds it."));
}
