// The files of a recording: one by one, all of them, what they can be checked with, and all of it as one file.
import * as api from "./api.js";
import { alarm, fill, h, icon, say } from "./dom.js";
import { ask, badge, copy, needs, plural, problem, save } from "./parts.js";
import { filesOf } from "./timeline.js";
import { length, roughly, size, when } from "./time.js";

// Browsers take several downloads one after the other; faster, some are lost.
const PAUSE = 1200;
const AGAIN = 3_000;
const VERDICTS = { truncated: "breaks off", empty: "empty", "error page": "an error page", "not media": "no media" };

// Save what a link leads to: it says itself that it is to be saved, so the page stays.
function follow(url) {
  h("a", { href: url, rel: "noreferrer" }).click();
}

// The panel. `changed` is called after something was changed.
export function files(place, recording, changed) {
  const { recordingKey: key, chunks, archivedAt, nextTries } = recording;
  const may = place.may("v1_create_links");
  const status = h("p", { class: "faint", role: "status" });
  const failed = h("div", {});
  const there = [...filesOf(chunks)].filter(([index, one]) => index === one.index).map(([, one]) => one);
  const missing = chunks.filter((one) => !there.includes(one));
  const tell = (text) => fill(status, text);

  async function attempt(work) {
    fill(failed);
    try {
      await work();
    } catch (error) {
      tell("");
      if (!place.signal.aborted) fill(failed, problem(error, () => attempt(work)));
    }
  }
  async function download(indexes) {
    const { links } = await api.post(api.path`recordings/${key}/links`, { indexes, purpose: "download" });
    for (const link of links) follow(link.url);
  }
  const fetchFile = async (path) => {
    const { name, blob } = await api.file(api.path`recordings/${key}/${path}`);
    // Without a type: to a text the browser would add .txt.
    save({ name, blob: new Blob([blob], { type: "application/octet-stream" }) });
  };
  // One link at a time: the last of many would have run out before its turn.
  const all = () => attempt(async () => {
    for (const [at, one] of there.entries()) {
      tell(`Downloading ${at + 1} of ${there.length}…`);
      await download([one.index]);
      await api.pause(PAUSE, place.signal);
    }
    if (archivedAt) await fetchFile("sha256sums");
    tell(`${there.length} of ${chunks.length} chunks${archivedAt ? " and SHA256SUMS" : ""} handed to the browser.`);
    say("Download begun");
  });

  const row = (one) => {
    const has = there.includes(one);
    return h("tr", {},
      h("td", {}, `Chunk ${one.index + 1}`),
      h("td", {}, one.startTime ? when(one.startTime, "clock") : "—"),
      h("td", {}, outcome(one, nextTries?.[one.index])),
      h("td", { class: "number" }, one.content ? size(one.content.bytes) : "—"),
      h("td", { class: "sum" }, one.content?.sha256 ? [h("code", {}, `${one.content.sha256.slice(0, 12)}…`), copy(one.content.sha256, `Copy the SHA-256 of chunk ${one.index + 1}`)] : h("span", { class: "faint" }, archivedAt ? "—" : "when archived")),
      h("td", { class: "number" },
        has && may ? h("button", { type: "button", class: "quiet", "aria-label": `Download chunk ${one.index + 1}`, onclick: () => attempt(() => download([one.index])) }, icon("download"), "Download") : null,
        one.outcome === "waiting" && place.may("v1_requeue_chunk") ? h("button", { type: "button", onclick: () => requeue(one) }, "Queue again") : null));
  };
  async function requeue(one) {
    const said = await ask({ title: `Queue chunk ${one.index + 1} again`, action: "Queue again", reason: "optional" });
    if (said) await attempt(async () => {
      const { state } = await api.post(api.path`recordings/${key}/chunks/${one.index}/requeue`, said);
      tell(state === "queued" ? "Queued." : `Not queued: it is ${state}.`);
      changed();
    });
  }

  return h("section", { class: "panel files" },
    h("div", { class: "row" }, h("h2", { class: "grow" }, "Files"),
      may && there.length ? h("button", { type: "button", onclick: all }, icon("download"), missing.length ? `Download the ${there.length} that are there` : "Download all") : null,
      may && archivedAt ? ["sha256sums", "manifest"].map((name) => h("button", { type: "button", class: "quiet", onclick: () => attempt(() => fetchFile(name)) }, name === "manifest" ? "Manifest" : "SHA256SUMS")) : null),
    missing.length && archivedAt ? h("p", { class: "wrong" }, `Incomplete: ${missing.map((one) => `chunk ${one.index + 1}`).join(", ")} ${missing.length === 1 ? "is" : "are"} missing. Chunks that are there are complete in themselves; the name of SHA256SUMS says “incomplete”.`) : null,
    may ? null : h("p", { class: "faint" }, needs(place.me, "v1_create_links", "A download")),
    failed,
    chunks.length ? h("table", {},
      h("thead", {}, h("tr", {}, ["Chunk", "Started", "State", "Size", "SHA-256", ""].map((name, at) => h("th", { scope: "col", class: at === 3 ? "number" : null }, name || h("span", { class: "unseen" }, "Actions"))))),
      h("tbody", {}, chunks.map(row))) : h("p", { class: "faint" }, "There are none."),
    status);
}

function outcome(one, nextTry) {
  const broken = VERDICTS[one.verdict];
  if (one.outcome === "archived") return broken ? badge("warn", `archived, ${broken}`) : badge("good", "archived");
  if (one.outcome === "staged") return badge("good", "safe");
  if (one.outcome === "unproved") return badge("warn", "not proved");
  if (one.outcome === "lost") return badge("bad", "lost", one.reason);
  const left = Date.parse(one.deadline) - Date.now();
  return [badge(left < 6 * 3_600_000 ? "warn" : "busy", "waiting"),
    h("span", { class: "faint" }, [one.attempts ? ` ${plural(one.attempts, "attempt")}` : "", one.failures?.at(-1)?.code && ` ${one.failures.at(-1).code}`, ` ${left > 0 ? `${roughly(left)} left` : "past its deadline"}`].filter(Boolean).join(","), nextTry ? [", next try ", when(nextTry, "clock")] : "")];
}

// The whole recording as one file, made when somebody asks for it.
export function joined(place, recording) {
  const area = h("div", {});
  const bar = h("progress", { "aria-label": "Joined", max: "1", value: "0" });
  const status = h("p", { class: "faint", role: "status" });
  const button = h("button", { type: "button", onclick: make }, "Make one file");

  const ask = () => api.get(api.path`recordings/${recording.recordingKey}/file`, { query: { purpose: "download" }, signal: place.signal });

  async function make() {
    button.disabled = true;
    fill(area, bar, status);
    try {
      let answer;
      for (;;) {
        answer = await ask();
        if (answer.state === "ready") break;
        bar.value = answer.bytesTotal ? answer.bytesDone / answer.bytesTotal : 0;
        fill(status, answer.bytesTotal ? `Joining, ${size(answer.bytesDone)} of ${size(answer.bytesTotal)}` : "Joining…");
        await api.pause(AGAIN, place.signal);
      }
      show(answer.parts);
    } catch (failed) {
      if (!place.signal.aborted) refuse(failed);
    } finally {
      button.disabled = false;
    }
  }

  function show(parts) {
    say("The file is ready");
    fill(area, h("ul", { class: "parts" }, parts.map((one) => h("li", { class: "row" },
      h("span", { class: "grow" }, h("code", {}, one.fileName), " ", h("span", { class: "faint" }, [
        size(one.bytes),
        parts.length > 1 ? `part ${one.part} of ${one.of}` : null,
        one.missing?.length ? `without ${one.missing.map((missing) => `chunk ${(missing.index ?? missing) + 1}`).join(", ")}` : null,
        one.chapters?.length ? `chapters at ${one.chapters.slice(0, 4).map((mark) => length(mark.at * 1000)).join(", ")}${one.chapters.length > 4 ? " …" : ""}` : null,
      ].filter(Boolean).join(" · "))),
      h("button", { type: "button", onclick: () => download(one) }, icon("download"), "Download")))));
  }

  async function download(part) {
    try {
      // The link that was answered first may have run out.
      const isOld = Date.parse(part.expiresAt) - Date.now() < 20_000;
      follow((isOld ? (await ask()).parts.find((one) => one.part === part.part) : part).url);
    } catch (failed) {
      if (!place.signal.aborted) refuse(failed);
    }
  }

  function refuse(failed) {
    if (failed.code !== "NotJoinable" && failed.status !== 404) return fill(area, problem(failed, make));
    const said = failed.status === 404 ? "This deployment has no storage for joined files (DERIVED_STORAGE)." : `It can't be joined: ${failed.message}`;
    alarm(said);
    return fill(area, h("p", { class: "faint" }, said));
  }

  return h("section", { class: "panel" },
    h("div", { class: "row" }, h("h2", { class: "grow" }, "One file"), button),
    h("p", { class: "faint" }, "All chunks joined without encoding them again, with chapters. The chunks stay as they are."), area);
}
