// Who was in the call, as its metadata files name them, and each one's sound where it has a channel of its own.
import { h, say, visible } from "./dom.js";
import { href } from "./route.js";
import { chunksOf } from "./timeline.js";

const KINDS = { acs: "app", phone: "phone", teams: "Teams", bot: "bot", unknown: "" };

// An id as people read it: a phone number without the sign of its kind.
export const nameOf = (id) => (id.startsWith("4:") ? id.slice(2) : id);

// The panel. `lanes` is {state, set(isHeard)} once it is known whether speakers can be heard one by one; else undefined.
export function people(place, recording, lanes) {
  const said = recording.participants, ids = said.map((one) => one.id);
  const all = [...new Set(said.flatMap((one) => one.chunks))];
  const isHidden = !said.length && !place.me.roles.some((role) => /Read|Manage|Erase/.test(role));
  const hasLanes = recording.chunks.some((one) => Object.keys(one.channels ?? {}).length > 1);
  const presence = (one) => (all.every((index) => one.chunks.includes(index)) ? "whole call" : chunksOf(one.chunks));
  let muted = [];
  const buttons = [];
  const isOnly = (id) => muted.length === ids.length - 1 && !muted.includes(id);
  const button = (id, word, isOn, change) => {
    const made = h("button", {
      type: "button", "aria-label": `${word} ${visible(nameOf(id))}`, "aria-pressed": "false", disabled: !lanes,
      onclick: () => {
        muted = change();
        lanes.set((one) => !muted.includes(one));
        for (const [each, isPressed] of buttons) each.setAttribute("aria-pressed", isPressed());
        say(muted.length ? `Muted: ${muted.map(nameOf).join(", ")}` : "Everybody is heard");
      },
    }, word);
    buttons.push([made, isOn]);
    return made;
  };
  const mute = (id) => button(id, "Mute", () => muted.includes(id), () => (muted.includes(id) ? muted.filter((one) => one !== id) : [...muted, id]));
  const only = (id) => button(id, "Only", () => isOnly(id), () => (isOnly(id) ? [] : ids.filter((one) => one !== id)));
  const why = !hasLanes ? null : !lanes ? "Each speaker has a channel of their own: play, then mute them one by one."
    : lanes.state ? null : "Speakers can't be muted one by one: storage has no CORS rule for this page.";
  return h("section", { class: "panel" }, h("h2", {}, "People"),
    said.length ? h("ul", { class: "people" }, said.map((one) => h("li", {},
      h("span", {},
        h("a", { href: href("", "", { q: one.id, as: "participant" }), title: "All recordings of this person" }, nameOf(one.id)), " ",
        h("span", { class: "faint" }, [KINDS[one.kind], presence(one)].filter(Boolean).join(", "))),
      hasLanes && lanes?.state !== false ? h("span", { class: "row" }, mute(one.id), ids.length > 1 && only(one.id)) : null)))
      : h("p", { class: "faint" }, isHidden ? "Your roles don't show who took part." : "No metadata file names anybody."),
    why && h("p", { class: "faint" }, why));
}
