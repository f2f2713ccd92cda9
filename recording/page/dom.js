// Elements without HTML: text is set as text, so nothing that a recording says can become markup.

const SVG = "http://www.w3.org/2000/svg";

// h("button", {type: "button", class: "quiet", onclick: f, "aria-label": "…", disabled: true}, "text", child, [more], null)
// Attributes: a function is a listener (onclick), true is an empty attribute, null, undefined and false leave it out;
// `value`, `checked`, `selected`, `indeterminate` and `open` are set as properties. Children: nodes, texts, numbers,
// lists of them; null, undefined and false are left out.
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...flat(children));
  return element;
}

// The same for SVG: s("path", {d: "…"}).
export function s(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  set(element, attributes);
  element.append(...flat(children));
  return element;
}

const PROPERTIES = new Set(["value", "checked", "selected", "indeterminate", "open", "muted"]);

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  return element;
}

// Put these children in place of what is there; elements that stay keep focus and scroll.
export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

// The same, with the focus where it was: on the control that is called the same in the same row, else on the first one.
export function refill(element, ...children) {
  const called = (one) => `${one.closest("tr, li")?.querySelector("code, time")?.textContent} ${one.ariaLabel || one.textContent}`;
  const held = element.contains(document.activeElement) && called(document.activeElement);
  fill(element, ...children);
  if (!held) return;
  const all = [...element.querySelectorAll("a, button, summary")];
  (all.find((one) => called(one) === held) ?? all[0])?.focus({ preventScroll: true });
}

function flat(children) {
  return children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false)
    .map((one) => (one instanceof Node ? one : text(one)));
}

// A text as it is shown: control characters, and those that turn the direction of what follows, become visible.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

export function visible(value) {
  return String(value).replace(UNSEEN, (one) => `\u2423${one.codePointAt(0).toString(16).padStart(4, "0")}`);
}

function text(value) {
  return document.createTextNode(visible(value));
}

// Drawn here: fonts lack such signs. 16 × 16, in the colour of the text.
const ICONS = {
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z",
  stop: "M3.5 3.5h9v9h-9z",
  back: "M10.5 3 5.5 8l5 5-1 1-6-6 6-6z",
  next: "M5.5 3l5 5-5 5 1 1 6-6-6-6z",
  down: "M3 6l5 5 5-5-1-1-4 4-4-4z",
  download: "M7.2 1.5h1.6v7.2l2.6-2.6 1.1 1.1L8 11.7 3.5 7.2l1.1-1.1 2.6 2.6zM2.5 13h11v1.5h-11z",
  copy: "M5 1.5h8.5V12H11v2.5H2.5V4H5zM6.5 4H11v6.5h1v-7.500H6.500zM4 5.500V13h5.500V5.500z",
  search: "M6.800 1.500a5.300 5.300 0 1 0 3.100 9.600l3.500 3.500 1.100-1.100-3.500-3.500A5.300 5.300 0 0 0 6.800 1.500zm0 1.600a3.700 3.700 0 1 1 0 7.400 3.700 3.700 0 0 1 0-7.400z",
  warn: "M8 1.500 15 14H1zM7.200 6v4h1.600V6zm0 5.200v1.500h1.600v-1.500z",
  done: "M6.300 12.300 2.200 8.200l1.200-1.200 2.900 2.900 6.300-6.300 1.200 1.200z",
  close: "M3.600 2.500 8 6.900l4.400-4.400 1.100 1.100L9.100 8l4.400 4.400-1.100 1.100L8 9.100l-4.400 4.400-1.100-1.100L6.900 8 2.500 3.600z",
  lock: "M4.500 7V5a3.500 3.500 0 0 1 7 0v2H13v7H3V7zM6 7h4V5a2 2 0 0 0-4 0z",
};

export function icon(name) {
  return s("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", "fill-rule": "evenodd" }, s("path", { d: ICONS[name] }));
}

// What a screen reader says, now or when it has finished.
export function say(message) {
  announce("polite", message);
}

export function alarm(message) {
  announce("assertive", message);
}

function announce(region, message) {
  const place = document.getElementById(region);
  // The same text twice is said twice only if it changes in between.
  place.textContent = "";
  setTimeout(() => { place.textContent = visible(message); }, 50);
}
