// Times and lengths as people read them, in one zone for all views: the browser's at first, or UTC.
import { h } from "./dom.js";

const KEPT = "recordings.zone";
export const OWN = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
let chosen = localStorage.getItem(KEPT) === "UTC" ? "UTC" : OWN;
let formats = new Map();
const listening = new Set();

export const zone = () => chosen;

// Change the zone of every time that is shown.
export function setZone(name) {
  chosen = name;
  formats = new Map();
  localStorage.setItem(KEPT, name);
  for (const one of document.querySelectorAll("time[data-form]")) one.textContent = write(one.dateTime, one.dataset.form);
  for (const listen of listening) listen();
}

// Be told of another zone until the signal aborts; `when` elements change by themselves.
export function onZone(listen, signal) {
  listening.add(listen);
  signal?.addEventListener("abort", () => listening.delete(listen));
}

// full: Tue 24 Nov 2026, 14:02:11 CET · short: Tue 24 Nov 14:02 · day: Tue 24 Nov 2026 · clock: 14:02:11 · minute: 14:02
const FORMS = {
  full: { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" },
  short: { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  far: { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" },
  day: { weekday: "short", day: "numeric", month: "short", year: "numeric" },
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
  minute: { hour: "2-digit", minute: "2-digit" },
  zone: { timeZoneName: "short" },
  parts: { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" },
};

function format(form) {
  if (!formats.has(form)) formats.set(form, new Intl.DateTimeFormat("en-GB", { ...FORMS[form], hourCycle: "h23", timeZone: chosen }));
  return formats.get(form);
}

// A time as text, in one of FORMS; a short one of another year names its year.
export function write(time, form = "short") {
  const moment = new Date(time);
  if (Number.isNaN(moment.getTime())) return "—";
  const isFar = form === "short" && moment.getUTCFullYear() !== new Date().getUTCFullYear();
  return format(isFar ? "far" : form).format(moment);
}

// A time as an element: UTC for machines, the chosen zone for people.
export function when(time, form = "short") {
  if (!time) return "—";
  return h("time", { datetime: new Date(time).toISOString(), "data-form": form, title: form === "full" ? null : write(time, "full") }, write(time, form));
}

// A length: 0:12:40.
export function length(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "—";
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

// A length as it is said: 1 hour 12 minutes 40 seconds.
export function spoken(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const parts = [[Math.floor(seconds / 3600), "hour"], [Math.floor(seconds / 60) % 60, "minute"], [seconds % 60, "second"]];
  const said = parts.filter(([number]) => number).map(([number, unit]) => `${number} ${unit}${number === 1 ? "" : "s"}`);
  return said.join(" ") || "0 seconds";
}

// How long ago or how long until, in the largest unit that says enough: 4 min, 3 h 10 min, 2 days.
export function roughly(milliseconds) {
  const minutes = Math.round(Math.abs(milliseconds) / 60_000);
  if (minutes < 1) return "less than a minute";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

// The day of a time in the chosen zone, as an input of type date has it.
export function dayOf(time) {
  if (!time) return "";
  const part = Object.fromEntries(format("parts").formatToParts(new Date(time)).map((one) => [one.type, one.value]));
  return `${part.year}-${part.month}-${part.day}`;
}

// When a day begins in the chosen zone, in UTC: 2026-11-24 in Berlin is 2026-11-23T23:00:00Z. `days` later, if given.
export function dayBegins(day, days = 0) {
  const [year, month, date] = day.split("-").map(Number);
  const wanted = Date.UTC(year, month - 1, date + days);
  let guess = wanted;
  // Twice: an offset may change between the guess and the day.
  for (let round = 0; round < 2; round += 1) {
    const part = Object.fromEntries(format("parts").formatToParts(new Date(guess)).map((one) => [one.type, Number(one.value)]));
    guess += wanted - Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second);
  }
  return new Date(guess).toISOString().replace(".000", "");
}

export const zoneName = (time = Date.now()) => format("zone").formatToParts(new Date(time)).find((one) => one.type === "timeZoneName").value;

// Bytes: 441 MB.
export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let [number, unit] = [bytes, 0];
  while (number >= 1000 && unit < units.length - 1) [number, unit] = [number / 1000, unit + 1];
  return `${number >= 100 || unit === 0 ? Math.round(number) : number.toFixed(1)} ${units[unit]}`;
}
