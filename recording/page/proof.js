// What is proved of a recording, and reading it again while somebody watches.
import * as api from "./api.js";
import { fill, h, icon } from "./dom.js";
import { badge, plural, problem } from "./parts.js";
import { size, when } from "./time.js";

const join = (nodes) => nodes.flatMap((node, at) => (at ? [" ", node] : [node]));

// What the facts say, as sentences.
function sentences({ chunks, archivedAt }) {
  const read = chunks.filter((one) => one.copyProvedAt && one.outcome === "archived");
  const count = (outcome) => chunks.filter((one) => one.outcome === outcome).length;
  const said = [];
  if (read.length) {
    const last = read.map((one) => one.copyProvedAt).sort().at(-1);
    const words = read.length < chunks.length ? `${read.length} of ${plural(chunks.length, "chunk")} were` : read.length === 1 ? "The chunk was" : `All ${read.length} chunks were`;
    said.push(h("span", {}, `${words} read back in the archive and compared with what the source sent, `, when(last, "full"), "."));
  }
  const early = count("archived") - read.length;
  if (early) said.push(`${plural(early, "chunk")} compared on the way only, by an older version.`);
  if (count("staged")) said.push(`${plural(count("staged"), "chunk")} safe in storage, compared on the way.`);
  if (count("waiting")) said.push(`${plural(count("waiting"), "chunk")} not here yet.`);
  if (count("unproved")) said.push(`${plural(count("unproved"), "chunk")} not proved.`);
  for (const one of chunks.filter(({ outcome }) => outcome === "lost")) {
    said.push(h("span", { class: "wrong" }, `Chunk ${one.index + 1} is lost: ${one.reason || "it was deleted at the source before it could be fetched"}`, one.evidence ? [", last asked for ", when(one.evidence.at, "full")] : "", "."));
  }
  for (const one of chunks.filter(({ outcome, metadata }) => archivedAt && outcome !== "lost" && !metadata)) {
    said.push(`The metadata file of chunk ${one.index + 1} is missing${one.reason ? `: ${one.reason}` : ""}.`);
  }
  return said;
}

export function proof(place, recording) {
  const { chunks, recordingKey, archivedAt } = recording;
  const listed = [...new Map(chunks.filter((one) => one.content || one.metadata).map((one) => [one.index, one])).values()];
  const bytes = (some) => some.reduce((sum, one) => sum + (one.content?.bytes ?? 0), 0);
  const status = h("p", { class: "verify", role: "status" });
  const bar = h("progress", { "aria-label": "Verified", max: "1", value: "0" });
  const results = h("div", {});
  const run = h("button", { type: "button", onclick: () => (stop ? stop.abort() : verify()) }, "Verify now");
  let stop = null;

  async function verify() {
    stop = new AbortController();
    place.signal.addEventListener("abort", () => stop?.abort());
    fill(run, "Stop");
    fill(results, bar);
    const found = [];
    try {
      for (const [at, one] of listed.entries()) {
        const done = listed.slice(0, at);
        bar.value = bytes(listed) ? bytes(done) / bytes(listed) : at / listed.length;
        fill(status, `Chunk ${at + 1} of ${listed.length}, ${size(bytes(done))} of ${size(bytes(listed))}`);
        found.push(await api.post(api.path`recordings/${recordingKey}/chunks/${one.index}/verify`, {}, { signal: stop.signal }));
      }
      conclude(found);
    } catch (failed) {
      if (failed.name === "AbortError") fill(status, found.length ? `Stopped after ${plural(found.length, "chunk")}.` : "Stopped.");
      else {
        fill(status);
        fill(results, problem(failed, verify));
      }
      if (failed.name === "AbortError") fill(results);
    } finally {
      stop = null;
      fill(run, "Verify again");
    }
  }

  function conclude(found) {
    const bad = found.filter((one) => !one.ok);
    const all = chunks.some(({ outcome }) => outcome === "lost") ? `What is there, ${plural(found.length, "chunk")}, is` : found.length === 1 ? "The chunk is" : `All ${found.length} chunks are`;
    const text = bad.length ? `${plural(bad.length, "chunk")} of ${found.length} not intact` : `${all} intact`;
    fill(status, icon(bad.length ? "warn" : "done"), ` ${text}, `, when(found.at(-1).verifiedAt, "full"));
    status.className = `verify ${bad.length ? "wrong" : "well"}`;
    fill(results, bad.length ? h("ul", {}, bad.flatMap((one) => one.problems.map((text) => h("li", {}, `Chunk ${one.index + 1}: ${text}`)))) : null);
  }

  return h("section", { class: "panel proof" },
    h("div", { class: "row" }, h("h2", { class: "grow" }, "Proof"), archivedAt && listed.length && place.may("v1_verify_chunk") ? run : null),
    h("p", {}, join(sentences(recording))),
    chunks.some((one) => one.remarks?.length) ? h("ul", { class: "faint" }, chunks.flatMap((one) => (one.remarks ?? []).map((text) => h("li", {}, `Chunk ${one.index + 1}: ${text}`)))) : null,
    status, results);
}

// What the recording's state is called, with its sign.
export function stateOf(recording, now = Date.now()) {
  const { state, chunks, archivedAt, erasure } = recording;
  if (state === "absent") return badge("bad", "not announced");
  if (erasure && ["asked", "erasing", undefined].includes(erasure.state)) return badge("warn", "to be erased");
  const lost = chunks.filter((one) => one.outcome === "lost").length;
  if (lost) return badge("bad", archivedAt ? `incomplete, ${lost} lost` : `${lost} lost`);
  if (state === "incomplete") return badge("bad", "incomplete");
  const broken = chunks.filter((one) => one.verdict && !["complete", "undecided"].includes(one.verdict)).length;
  if (state === "archived") return broken ? badge("warn", `archived, ${broken} damaged`) : badge("good", "archived, complete");
  const safe = chunks.filter((one) => one.outcome === "staged").length;
  const least = Math.min(...chunks.filter((one) => one.outcome === "waiting").map((one) => Date.parse(one.deadline)));
  return badge(least - now < 6 * 3_600_000 ? "warn" : "busy", `${safe} of ${chunks.length} safe`);
}
