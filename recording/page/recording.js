// One recording: its player, what is proved, its files, how long it is kept, and who did what with it.
import * as api from "./api.js";
import { chapters } from "./chapters.js";
import { fill, h, icon, refill } from "./dom.js";
import { files, joined } from "./files.js";
import { erased, erasureOf, keeping } from "./keeping.js";
import { Lanes } from "./lanes.js";
import { Links } from "./links.js";
import { copy, load, needs, plural } from "./parts.js";
import { past } from "./past.js";
import { people } from "./people.js";
import { Player } from "./player.js";
import { proof, stateOf } from "./proof.js";
import { href } from "./route.js";
import { stage } from "./stage.js";
import { momentOf, segmentAt, timelineOf, wallTime } from "./timeline.js";
import { length, onZone, size, when, write } from "./time.js";

// A recording in flight is asked for again.
const EVERY = 15_000;

export function open(place) {
  const { key, query } = place.route;
  const head = top(key);
  const area = h("div", { class: "recording" });
  const body = h("div", { class: "recording" });
  fill(place.main, head.elements, area);
  place.title(titleOf({ recordingKey: key }));
  let shown = null;
  let timer;
  place.signal.addEventListener("abort", () => { clearTimeout(timer); shown?.close(); });
  const ask = async () => {
    const [recording, erasure] = await Promise.all([api.get(api.path`recordings/${key}`, { signal: place.signal }), erasureOf(place, key)]);
    return { erasure, ...recording };
  };
  const show = (recording, how) => {
    head.draw(recording);
    if (!shown?.fits(recording)) {
      shown?.close();
      shown = view(place, body, recording, query);
    }
    const isLast = recording.state !== "ingesting" && recording.state !== "staged";
    shown.update(recording, { isForced: isLast, ...how });
    clearTimeout(timer);
    if (!isLast) later();
  };
  const later = () => {
    if (place.signal.aborted) return;
    timer = setTimeout(() => (document.hidden || isAsking() ? later() : ask().then((recording) => show(recording), later)), EVERY);
  };
  const first = () => ask().catch(async (failed) => {
    if (failed.code === "Erased") return { gone: erased(place, await erasureOf(place, key)) };
    if (failed.status === 404 || failed.status === 400) return { gone: nothing(failed) };
    throw failed;
  });
  load(area, first, (found) => {
    // Another element, because one that the head pushes down would be seen to move.
    area.replaceWith(body);
    if (found.gone) fill(body, found.gone, found.gone.className === "panel" && place.may("v1_get_recording_trail") ? past(place, key) : null);
    else show(found);
  }, { signal: place.signal, rows: 10 });
  // Called by what changes the recording.
  place.changed = (how) => ask().then((recording) => show(recording, how));
  return { update: (route) => shown?.seek(route.query) };
}

// The parts that a recording has, in their places.
function view(place, body, first, query) {
  let recording = first;
  const timeline = timelineOf(first);
  const plays = place.may("v1_create_links");
  const hasPicture = hasVideo(first), isUnmixed = hasLanes(first);
  const elements = plays ? [0, 1].map(() => h("video", { playsinline: true, preload: "none" })) : [];
  const links = new Links(async (index) => {
    const answer = await api.post(api.path`recordings/${first.recordingKey}/links`, { indexes: [index], purpose: "play" }, { signal: place.signal });
    return answer.links[0];
  });
  const player = plays && timeline.segments.length ? new Player(elements, links, timeline, { separate: isUnmixed }) : undefined;
  const lanes = isUnmixed && player ? new Lanes(elements) : null;
  const why = !plays ? needs(place.me, "v1_create_links", "Playing") : "There is nothing to play.";
  const seen = stage({ recording: () => recording, timeline: () => timelineOf(recording), player, elements, hasPicture, why });
  const listed = chapters(player && ((seconds) => player.seek(seconds)));

  // Each part is drawn again when what it shows has changed: not under somebody's hands, but when they have left it.
  const part = Object.fromEntries(["people", "proof", "joined", "keeping", "files"].map((name) =>
    [name, h("div", { class: `part ${name}`, onfocusout: () => setTimeout(() => isAsking() || drawParts()) })]));
  const drawn = {};
  const draw = (name, shows, make, { isForced = false } = {}) => {
    const text = JSON.stringify(shows), element = part[name];
    if (text === drawn[name] || (!isForced && element.contains(document.activeElement))) return;
    drawn[name] = text;
    refill(element, make());
  };
  let heard;
  const drawPeople = () => draw("people", [recording.participants, recording.chunks.map((one) => one.channels), heard?.state], () => people(place, recording, heard), { isForced: true });
  const drawParts = (how) => {
    const { chunks, archivedAt, complete, nextTries, holds, keptUntil, retentionClass, erasure } = recording;
    if (recording.state !== "absent") {
      drawPeople();
      draw("proof", [chunks, archivedAt, complete], () => proof(place, recording), how);
      draw("files", [chunks, archivedAt, nextTries], () => files(place, recording, place.changed), how);
    }
    draw("keeping", [holds, keptUntil, retentionClass, erasure], () => keeping(place, recording), how);
    if (archivedAt && chunks.length && place.may("v1_get_recording_file")) draw("joined", [chunks, archivedAt], () => joined(place, recording), how);
  };
  const drawLine = () => {
    seen.drawTimeline();
    listed.draw(player?.timeline ?? timelineOf(recording), recording);
    mark();
  };
  const mark = () => player && listed.mark(segmentAt(player.timeline, player.seconds));

  if (player) {
    const on = (name, run) => player.addEventListener(name, run, { signal: place.signal });
    on("time", () => { seen.drawTime(); mark(); });
    on("change", () => { seen.drawState(); lanes?.apply(); });
    on("timeline", drawLine);
    on("skip", seen.drawSkip);
    on("lanes", () => {
      const channels = (element, id) => recording.chunks.find((one) => one.index === player.chunkOf(element))?.channels?.[id];
      const ids = recording.participants.map((one) => one.id);
      heard = {
        state: player.separable,
        set: (isHeard) => lanes.set((element, channel) => ids.every((id) => channels(element, id) !== channel || isHeard(id))),
      };
      drawPeople();
    });
  }
  onZone(drawLine, place.signal);
  drawParts();
  fill(body, h("div", { class: "columns" },
    first.state === "absent" ? absent(first) : seen.element,
    h("div", { class: "beside" }, first.state === "absent" ? null : listed.element, part.people, part.proof, part.joined, part.keeping),
    h("div", { class: "below" }, part.files, place.may("v1_get_recording_trail") ? h("div", { class: "part" }, past(place, first.recordingKey)) : null)));
  drawLine();

  const seek = (asked) => {
    const seconds = momentOf(player?.timeline ?? timeline, asked);
    if (seconds !== undefined) player?.seek(seconds);
  };
  seek(query);
  return {
    seek,
    // In flight, what it is may be known only later.
    fits: (found) => hasVideo(found) === hasPicture && hasLanes(found) === isUnmixed,
    close: () => { player?.close(); lanes?.close(); },
    update: (found, how) => {
      if (found === recording) return;
      recording = found;
      if (player) player.update(timelineOf(found));
      else drawLine();
      drawParts(how);
    },
  };
}

// Whether a dialog is open: it gives the focus back to where it was, which must be there then.
const isAsking = () => document.querySelector("dialog[open]");

// A recording that was stopped and never announced.
function absent({ absent: known, recordingId }) {
  return h("section", { class: "panel" }, h("h2", {}, "Not announced"),
    h("p", {}, "It was stopped", known?.stoppedAt ? [", ", when(known.stoppedAt, "full")] : "", known?.stoppedBy ? ` by ${known.stoppedBy}` : "", ", and no event has announced its files since: there is nothing to fetch. An operator can ask Azure support for it."),
    known?.evidence ? h("p", { class: "faint" }, known.evidence) : null,
    recordingId ? h("p", {}, "Recording id ", copy(recordingId, "Copy the recording id")) : null);
}

function nothing(failed) {
  return h("section", { class: "blank" },
    h("h2", {}, failed.status === 400 ? "This is not the key of a recording" : "There is no recording of this key"),
    h("p", {}, failed.status === 400 ? failed.message : "It is neither in flight nor in the archive. Perhaps the link was cut off."),
    h("p", {}, h("a", { href: href("") }, "Go to the list")));
}

const isVideo = (chunk) => /video/i.test(chunk.contentType ?? "") || (chunk.format === "mp4" && !/^audio$/i.test(chunk.contentType ?? ""));

const hasVideo = (recording) => recording.chunks.some(isVideo);
const hasLanes = (recording) => recording.chunks.some((one) => Object.keys(one.channels ?? {}).length > 1);

// The beginning of a recording: its key has it, so that the head stands before the answer is there.
function beginOf(recording) {
  if (recording.recordingStartTime) return recording.recordingStartTime;
  const read = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)/.exec(recording.recordingKey);
  return read ? `${read[1]}-${read[2]}-${read[3]}T${read[4]}:${read[5]}:${read[6]}Z` : null;
}

const titleOf = (recording) => `Recording ${write(beginOf(recording), "full")}`;

// The head: when, how long, which state, which ids. Its heading stays, because it has the focus on arrival.
function top(key) {
  const heading = h("h1", { tabindex: "-1" });
  const states = h("span", { class: "row" });
  const facts = h("p", { class: "facts" });
  const draw = (recording) => {
    const { recordingKey, chunks, holds } = recording;
    const begin = beginOf(recording);
    fill(heading, begin ? when(begin, "full") : "A recording");
    if (!chunks) return;
    const line = timelineOf(recording);
    if (line.seconds) heading.append(h("span", { class: "faint" }, " – ", when(wallTime(line, line.seconds), "clock"), ` · ${length(line.seconds * 1000)}`));
    fill(states, stateOf(recording), holds?.length ? h("span", { class: "tag" }, "on hold") : null);
    const kinds = new Set(chunks.filter((one) => one.contentType || one.format).map((one) => (isVideo(one) ? "video" : "audio")));
    const channels = new Set(chunks.map((one) => one.channelType).filter(Boolean));
    fill(facts, [
      recording.reference && ["Reference ", h("strong", {}, recording.reference)],
      ["Call ", h("code", {}, recording.callId.slice(0, 8), "…"), copy(recording.callId, "Copy the call's id")],
      [...kinds, ...channels].join(", "),
      plural(chunks.length, "chunk"),
      size(chunks.reduce((sum, one) => sum + (one.content?.bytes ?? 0), 0)),
      ["Key", copy(recordingKey, "Copy the recording's key")],
    ].filter((one) => one?.length).map((one) => h("span", {}, one)));
  };
  draw({ recordingKey: key });
  return { draw, elements: h("div", { class: "top" }, h("div", { class: "row" }, h("a", { class: "back", href: href("") }, icon("back"), "List"), heading, states), facts) };
}
