// Single keys of the player: they work while it has the focus, never where somebody types, and can be switched off.
import { h } from "./dom.js";

const KEPT = "recordings.keys";
const FIXED = [["Left, Right", "on the timeline: 5 seconds"], ["Page Up, Page Down", "on the timeline: next and previous chapter"], ["Home, End", "on the timeline: begin and end"], ["?", "this list"]];

// `actions`: [keys, how they are written, what they do, run]. Returns {press, open, dialog}.
export function keys(actions) {
  let isOn = localStorage.getItem(KEPT) !== "off";
  const row = (key, what) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)];
  const dialog = h("dialog", { "aria-labelledby": "keys-title" },
    h("form", { method: "dialog" },
      h("h2", { id: "keys-title" }, "Keys of the player"),
      h("dl", { class: "keys" }, actions.map(([, key, what]) => row(key, what)), FIXED.map(([key, what]) => row(key, what))),
      h("label", { class: "row" }, h("input", {
        type: "checkbox", checked: isOn,
        onchange: (event) => {
          isOn = event.target.checked;
          localStorage.setItem(KEPT, isOn ? "on" : "off");
        },
      }), "Use single keys"),
      h("p", { class: "faint" }, "There are no captions: ACS makes none."),
      h("div", { class: "row end" }, h("button", { type: "submit", class: "primary" }, "Close"))));
  const press = (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.altKey || event.metaKey || dialog.open) return;
    if (target.closest("input, select, textarea")) return;
    // A button that has the focus is pressed by the space bar.
    if (key === " " && target.closest("button, a")) return;
    if (!isOn && key !== "?") return;
    const run = key === "?" ? () => dialog.showModal() : actions.find(([names]) => names.includes(key.toLowerCase()))?.[3];
    if (!run) return;
    event.preventDefault();
    run();
  };
  return { press, open: () => dialog.showModal(), dialog };
}
