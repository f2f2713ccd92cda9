// The whole recording as one file, made when somebody asks for it.
import * as api from "./api.js";
import { alarm, fill, h, icon, say } from "./dom.js";
import { follow } from "./files.js";
import { problem } from "./parts.js";
import { length, size } from "./time.js";

const AGAIN = 3;

export function joined(place, recording) {
  const area = h("div", {});
  const bar = h("progress", { "aria-label": "Joined", max: "1", value: "0" });
  const status = h("p", { class: "faint", role: "status" });
  const button = h("button", { type: "button", onclick: make }, "Make one file");

  async function make() {
    button.disabled = true;
    fill(area, bar, status);
    try {
      let answer;
      for (;;) {
        answer = await api.get(api.path`recordings/${recording.recordingKey}/file`, { signal: place.signal });
        if (answer.state === "ready") break;
        bar.value = answer.bytesTotal ? answer.bytesDone / answer.bytesTotal : 0;
        fill(status, answer.bytesTotal ? `Joining, ${size(answer.bytesDone)} of ${size(answer.bytesTotal)}` : "Joining…");
        await api.pause(AGAIN * 1000, place.signal);
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
      h("button", { type: "button", onclick: () => download(one.part) }, icon("download"), "Download")))));
  }

  // With a link of now: the one that was answered first may have run out.
  async function download(part) {
    try {
      const { parts } = await api.get(api.path`recordings/${recording.recordingKey}/file`, { signal: place.signal });
      follow(parts.find((one) => one.part === part).url);
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
