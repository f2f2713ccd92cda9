// The page: its frame, and which view is open.
//
// Conventions, for everybody who adds to it:
//
// * No build, no library: what is in this folder is served as it is. Every file is named once, `ui/{digest}/{file}`, so
//   the folder is flat, and imports are `./name.js`. All of it together has at most 60 kB compressed
//   (tests/api/test_page.py).
// * A view is a module that exports `open(place)`, and stands in VIEWS below. `place` has
//     main      the empty <main> to fill: begin with <h1 tabindex="-1">, which gets the focus on arrival
//     route     {name, key, query: URLSearchParams}, as in route.js
//     me        the answer of GET /v1/me: {name, roles, operations, allows}
//     may(op)   whether this person may do an operation, by its id ("v1_create_links"); what may not be done isn't offered
//     signal    aborts when the view is left: pass it to api.js, to addEventListener and to `onZone`
//     title(t)  sets the title of the page
//   `open` may return {update(route)}: it is called instead of `open` when only the query changes (#/r/key?t=12).
// * Elements are made by h() and s() of dom.js; nothing ever becomes HTML, and there are no inline styles (the
//   Content-Security-Policy refuses both; element.style.setProperty() works). Text from outside goes through h() too, which
//   shows control characters. An element that needs text in an attribute (title, aria-label) uses visible().
// * Requests go through api.js: get, post, put, remove, file, and path`recordings/${key}` for texts in a path. They throw
//   Problem {status, code, message, requestId, retryAfter}; load() of parts.js shows loading, failure and Try again.
// * What cannot be undone, or is to be on record, goes through ask() of parts.js, which asks for the reason.
// * Times are when(time, form) of time.js; they follow the zone. Lengths are length() and, for screen readers, spoken().
// * Buttons are <button type="button">, links are <a href>. Colours are the variables of style.css, never their own; a
//   state is a word (badge()), the colour only helps. Nothing moves when data arrives: leave room, or append.
// * say() tells a screen reader politely, alarm() at once.
import * as api from "./api.js";
import { fill, h, icon, say } from "./dom.js";
import * as list from "./list.js";
import * as live from "./live.js";
import * as operations from "./operations.js";
import { notAllowed, problem } from "./parts.js";
import * as recording from "./recording.js";
import { here, href } from "./route.js";
import * as session from "./session.js";
import { OWN, setZone, zone } from "./time.js";
import * as trail from "./trail.js";

// By the first part of the route: the operation that somebody needs, what it is called, and how the header counts.
const VIEWS = {
  "": { view: list, operation: "v1_list_recordings", label: "List", what: "The list of recordings" },
  r: { view: recording, operation: "v1_get_recording", label: null, what: "A recording" },
  live: { view: live, operation: "v1_list_live", label: "Live", what: "The list of live recordings" },
  ops: { view: operations, operation: "v1_get_operations", label: "Operations", what: "The view of operations" },
  trail: { view: trail, operation: "v1_get_trail", label: "Trail", what: "The trail" },
};
const COUNT_EVERY = 30_000;
const WELL_EVERY = 60_000;

const header = document.getElementById("header");
const notice = document.getElementById("notice");
const main = document.getElementById("main");
let me = null;
let open = null; // {name, key, leave, shown}

const may = (operation) => me.operations.includes(operation);

async function start() {
  const missing = session.unconfigured();
  if (missing) return showSetup(missing);
  const isOut = sessionStorage.getItem("recordings.out");
  sessionStorage.removeItem("recordings.out");
  try {
    if (!(await session.arrive())) {
      if (isOut) return showSignIn("You are signed out.");
      return await session.signIn();
    }
  } catch (failed) {
    return showSignIn("The sign-in didn't work.", failed);
  }
  return enter();
}

async function enter() {
  try {
    me = await api.get("me");
  } catch (failed) {
    fill(main, h("h1", { tabindex: "-1" }, "Recordings"), problem(failed, enter));
    return;
  }
  drawHeader();
  addEventListener("hashchange", () => show());
  // A person without the list begins where their roles lead.
  if (here().name === "" && !may(VIEWS[""].operation)) {
    const first = Object.entries(VIEWS).find(([, one]) => one.label && may(one.operation));
    if (first) history.replaceState(null, "", href(first[0]));
  }
  show({ isFirst: true });
  if (may("v1_list_live")) every(COUNT_EVERY, countLive);
  if (may("v1_list_waiting")) every(COUNT_EVERY, countWaiting);
}

function show({ isFirst = false } = {}) {
  const route = here();
  const known = Object.hasOwn(VIEWS, route.name) ? VIEWS[route.name] : null;
  if (open && known && open.name === route.name && open.key === route.key && open.shown?.update) {
    open.shown.update(route);
    return;
  }
  open?.leave.abort();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  const leave = new AbortController();
  open = { name: route.name, key: route.key, leave, shown: null };
  fill(main);
  main.className = `view-${route.name || "list"}`;
  mark(route.name);
  const title = (text) => { document.title = `${text} · Recordings`; };
  if (!known) {
    title("Not found");
    fill(main, h("section", { class: "blank" }, h("h1", { tabindex: "-1" }, "There is no such view"), h("p", {}, h("a", { href: href("") }, "Go to the list"))));
  } else if (!may(known.operation)) {
    title("Not with your roles");
    fill(main, notAllowed(me, known.operation, known.what));
  } else {
    title(known.label || known.what);
    open.shown = known.view.open({ main, route, me, may, signal: leave.signal, title }) || null;
  }
  if (!isFirst) {
    scrollTo(0, open.shown?.scroll || 0);
    (main.querySelector("h1") || main).focus({ preventScroll: true });
  }
}

// The header

function drawHeader() {
  const links = Object.entries(VIEWS).filter(([, one]) => one.label && may(one.operation));
  fill(header,
    h("a", { class: "brand", href: href("") }, "Recordings"),
    h("nav", { "aria-label": "Views" }, links.map(([name, one]) => h("a", { href: href(name), "data-view": name }, one.label, h("span", { class: "count", "data-count": name })))),
    h("label", { class: "zone" }, h("span", { class: "unseen" }, "Time zone"),
      h("select", { onchange: (event) => { setZone(event.target.value); say(`Times are in ${event.target.value}`); } },
        [...new Set([OWN, "UTC"])].map((name) => h("option", { value: name, selected: name === zone() }, name)))),
    personMenu());
}

function personMenu() {
  const menu = h("div", { id: "person", popover: "auto", class: "menu" },
    h("p", {}, h("strong", {}, me.name || "Somebody"), h("br", {}), me.roles.length ? me.roles.map((role) => h("code", {}, role.replace("Recordings.", ""))) : "no role"),
    h("button", { type: "button", class: "quiet", onclick: () => session.signIn({ another: true }) }, "Sign in as somebody else"),
    h("button", { type: "button", class: "quiet", onclick: () => { sessionStorage.setItem("recordings.out", "1"); session.signOut(); } }, "Sign out"),
    h("a", { href: "openapi.json", target: "_blank", rel: "noreferrer" }, "HTTP API"));
  return h("div", { class: "person" }, h("button", { type: "button", class: "quiet", popovertarget: "person" }, me.name || "Signed in", icon("down")), menu);
}

function mark(name) {
  for (const link of header.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

// Set a count in the header; a change of it is read out.
export function count(name, number, words) {
  const place = header.querySelector(`[data-count="${name}"]`);
  if (!place || place.dataset.number === String(number)) return;
  const isKnown = "number" in place.dataset;
  place.dataset.number = number;
  fill(place, number ? [String(number), h("span", { class: "unseen" }, ` ${words}`)] : null);
  if (isKnown) say(`${number} ${words}`);
}

async function countLive() {
  const found = await api.get("live", { query: { limit: 1000 } });
  count("live", found.recordings.length, "live recordings");
}

async function countWaiting() {
  const found = await api.get("operations/waiting", { query: { limit: 200 } });
  count("ops", found.chunks.filter((one) => one.atRisk).length, "chunks at risk");
}

// Do something now and then, while the tab is seen; what fails is tried again the next time.
function every(milliseconds, work) {
  const run = () => { if (!document.hidden && me) work().catch(() => {}); };
  setInterval(run, milliseconds);
  document.addEventListener("visibilitychange", run);
  run();
}

// What stands at the top: signed out, or something that the app needs is down

function showNotice(kind, ...children) {
  // Whoever is signed out must sign in first, whatever else there is.
  if (notice.className === "warn") return;
  notice.className = kind;
  fill(notice, children.length ? h("p", {}, icon("warn"), ...children) : null);
}

session.onEnd(() => showNotice("warn", "You are signed out. This place is kept. ", h("button", { type: "button", class: "primary", onclick: () => session.signIn() }, "Sign in")));

let looking = null;
api.onTrouble(() => { looking ||= look(); });

// Ask /health until everything is well again.
async function look() {
  for (;;) {
    try {
      const answer = await fetch("health", { cache: "no-store" });
      const health = await answer.json();
      if (health.status === "ok") break;
      const down = health.checks.filter((one) => !one.ok).map((one) => ({ blob: "Storage", queue: "The queue", acs: "Azure Communication Services" }[one.name] || one.name));
      showNotice("bad", `${down.join(" and ")} can't be reached now. Recordings are not lost by that; what needs it here fails until it is back.`);
    } catch {
      showNotice("bad", "The app can't be reached now.");
    }
    await new Promise((done) => { setTimeout(done, WELL_EVERY); });
  }
  looking = null;
  if (notice.classList.contains("bad")) showNotice("");
}

// Before anybody is signed in

function showSignIn(said, failed = null) {
  document.title = "Sign in · Recordings";
  fill(main, h("section", { class: "blank" },
    h("h1", { tabindex: "-1" }, said),
    failed ? h("p", { class: "wrong" }, failed.message) : null,
    h("button", { type: "button", class: "primary", onclick: () => session.signIn({ another: true }) }, "Sign in")));
}

function showSetup(missing) {
  document.title = "Set up · Recordings";
  const steps = missing.length ? [
    h("p", {}, "Nobody can sign in yet: this app doesn't know its tenant in Entra ID. Missing app settings: ", missing.map((name) => [h("code", {}, name), " "])),
    h("p", {}, "Somebody with the role ", h("em", {}, "Application Administrator"), " registers the two applications, once, from a clone of the repository:"),
    h("pre", { tabindex: "0" }, 'eval "$(azd env get-values)"\nsh infra/register.sh\nazd provision'),
    h("p", {}, "The script sets all of them; docs/entra.md explains each step, and how people get their roles. Recording goes on without it."),
  ] : [h("p", {}, "The app's settings are wrong, so it can't serve anybody. Its ", h("a", { href: "health" }, "health"), " says which, and what to do.")];
  fill(main, h("section", { class: "blank" }, h("h1", { tabindex: "-1" }, missing.length ? "Set up the sign-in" : "The app needs its settings"), steps));
}

start();
