// What several views show: that something is loading, failed or isn't allowed; dialogs; copying.
import { alarm, fill, h, icon, say, visible } from "./dom.js";
import { settings, SignedOut } from "./session.js";

const SKELETON_AFTER = 200;
const STILL_AFTER = 5_000;
const AGAIN_AFTER = 30_000;

// Do some work for an area of a view, and show how it goes. `show` gets the result and fills the area. What was there
// stays until then, and also when it fails: the problem stands above it. Returns whether it succeeded.
export async function load(area, work, show, { signal, rows = 8, retry = null } = {}) {
  const again = retry || (() => load(area, work, show, { signal, rows }));
  const isEmpty = !area.childElementCount;
  area.setAttribute("aria-busy", "true");
  area.querySelector(":scope > .problem, :scope > .waiting")?.remove();
  const waiting = h("p", { class: "waiting" });
  const timers = [
    setTimeout(() => { if (isEmpty) area.append(skeleton(rows)); }, SKELETON_AFTER),
    setTimeout(() => { area.prepend(fill(waiting, "Still loading…")); say("Still loading"); }, STILL_AFTER),
    setTimeout(() => fill(waiting, "Still loading. ", h("button", { type: "button", onclick: again }, "Try again")), AGAIN_AFTER),
  ];
  try {
    const result = await work();
    if (signal?.aborted) return false;
    waiting.remove();
    area.querySelector(":scope > .skeleton")?.remove();
    show(result);
    return true;
  } catch (failed) {
    if (signal?.aborted || failed.name === "AbortError") return false;
    waiting.remove();
    area.querySelector(":scope > .skeleton")?.remove();
    // Whoever is signed out is told at the top of the page.
    if (!(failed instanceof SignedOut)) area.prepend(problem(failed, again));
    return false;
  } finally {
    for (const timer of timers) clearTimeout(timer);
    area.removeAttribute("aria-busy");
  }
}

function skeleton(rows) {
  return h("div", { class: "skeleton", "aria-hidden": "true" }, Array.from({ length: rows }, () => h("div", {})));
}

// What failed, its code, the id of its request to copy, and a way to try again.
export function problem(failed, again = null) {
  const said = failed.message || String(failed);
  alarm(said);
  return h("div", { class: "problem", role: "group", "aria-label": "What failed" },
    icon("warn"),
    h("div", {},
      h("p", {}, said),
      h("p", { class: "faint" },
        failed.code ? h("span", {}, `${failed.code}${failed.status ? ` (${failed.status})` : ""} `) : null,
        failed.retryAfter ? h("span", {}, `Try again in ${failed.retryAfter} s. `) : null,
        failed.requestId ? ["Request ", h("code", {}, failed.requestId), " ", copy(failed.requestId, "Copy the request's id")] : null)),
    again ? h("button", { type: "button", onclick: (event) => { event.target.closest(".problem").remove(); again(); } }, "Try again") : null);
}

// A view that somebody's roles don't allow: which role is missing, and whom to ask.
export function notAllowed(me, operation, what) {
  return h("section", { class: "blank" },
    h("h1", { tabindex: "-1" }, "Not with your roles"),
    h("p", {}, needs(me, operation, what)),
    h("p", { class: "faint" }, me.roles.length ? ["You have ", join(me.roles.map((role) => h("code", {}, role)), ", "), ". "] : "You have no role yet. ",
      "Whoever manages the enterprise application ", h("code", {}, settings.api), " in Entra ID gives it to you; a new role counts after the next sign-in."));
}

// The sentence that names the roles for something.
export function needs(me, operation, what) {
  const roles = me.allows.filter((one) => one.operations.includes(operation)).map((one) => one.role);
  return [`${what} needs the role `, join(roles.map((role) => h("code", {}, role)), " or "), "."];
}

function join(nodes, between) {
  return nodes.flatMap((node, index) => (index ? [between, node] : [node]));
}

// A button that copies a text, or what a function answers when it is pressed.
export function copy(text, label, shown = null) {
  return h("button", {
    type: "button", class: shown ? "quiet" : "quiet only-icon", "aria-label": shown ? null : label, title: label,
    onclick: async (event) => {
      const button = event.currentTarget;
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text).then(() => {
        say("Copied");
        button.classList.add("done");
        setTimeout(() => button.classList.remove("done"), 1500);
      }, () => alarm("The browser didn't let this page copy."));
    },
  }, icon("copy"), shown);
}

// Ask before something is done: answers with {reason} or, if it is called off, with null. Options: {title, body (nodes),
// action (label of the button), danger, reason ("required", "optional" or none), typed (a word that must be typed),
// fields ([{name, label, options}]: texts that must be given, or chosen among {value: label}; the answer has them too)}.
export function ask({ title, body = [], action, danger = false, reason = null, typed = null, fields = [] }) {
  return new Promise((done) => {
    const given = fields.map(({ name, label, options }) => {
      const id = `ask-${name}`;
      const field = options ? h("select", { id }, Object.entries(options).map(([value, text]) => h("option", { value }, text)))
        : h("input", { id, type: "text", autocomplete: "off", maxlength: "200" });
      return { name, field, element: h("label", { for: id }, label, field) };
    });
    const text = reason ? h("textarea", { id: "ask-reason", rows: "2", maxlength: "1000", required: reason === "required" }) : null;
    const word = typed ? h("input", { id: "ask-word", type: "text", autocomplete: "off", required: true, spellcheck: "false" }) : null;
    const wrong = h("p", { class: "wrong", id: "ask-wrong", role: "alert" });
    let answer = null;
    const dialog = h("dialog", { "aria-labelledby": "ask-title", onclose: () => { dialog.remove(); done(answer); } },
      h("form", {
        method: "dialog", novalidate: true,
        onsubmit: (event) => {
          event.preventDefault();
          const empty = given.find(({ field }) => !field.value.trim());
          if (empty) return refuse(empty.field, "This is needed, too.");
          if (text?.required && !text.value.trim()) return refuse(text, "Say why: it stands in the trail.");
          if (word && word.value.trim() !== typed) return refuse(word, `Type ${typed} to go on.`);
          answer = { reason: text?.value.trim() || undefined, ...Object.fromEntries(given.map(({ name, field }) => [name, field.value.trim()])) };
          return dialog.close();
        },
      },
      h("h2", { id: "ask-title" }, title),
      ...[body].flat().map((one) => (one instanceof Node ? one : h("p", {}, one))),
      given.map(({ element }) => element),
      text ? h("label", { for: "ask-reason" }, reason === "required" ? "Reason" : "Reason (optional)", text) : null,
      word ? h("label", { for: "ask-word" }, `Type “${visible(typed)}”`, word) : null,
      wrong,
      h("div", { class: "row end" },
        h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
        h("button", { type: "submit", class: danger ? "danger" : "primary" }, action))));
    const refuse = (field, why) => {
      fill(wrong, why);
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", "ask-wrong");
      field.focus();
    };
    document.body.append(dialog);
    // The browser gives the focus back to where it was.
    dialog.showModal();
    (given[0]?.field || text || word)?.focus();
  });
}

// A state with its sign: "good", "busy", "bad", "off" or "warn". The word says it, the colour only helps.
export function badge(kind, text, title = null) {
  return h("span", { class: `badge ${kind}`, title }, text);
}

// Save a blob under a name.
export function save({ name, blob }) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// "1 chunk", "2 chunks".
export const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
