// The player as it is seen: picture, timeline, controls, keys, and what it says.
import { sentence, signOf, WORDS } from "./chapters.js";
import { alarm, fill, h, icon, s, say, visible } from "./dom.js";
import { keys } from "./keys.js";
import { copy } from "./parts.js";
import { href } from "./route.js";
import { length, spoken, when, write, zoneName } from "./time.js";
import { chapter, place as placeOf, secondsAt, segmentAt, step, wallTime } from "./timeline.js";

const RATES = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 3];
const WHY = {
  link: "The link has run out, or storage refuses it or can't be reached.",
  damaged: "This chunk can't be decoded from here on. Its file can still be downloaded.",
  unplayable: "This chunk can't be opened: its file is damaged, or storage refuses the link.",
};

// Draw the stage of a recording. `player` is undefined for whoever may not play; then the timeline only shows.
// Returns {element, drawTimeline(), drawTime(), drawState(), drawSkip()}.
export function stage({ recording, timeline, player, elements, hasPicture, why }) {
  const line = () => player?.timeline ?? timeline();
  const second = () => player?.seconds ?? 0;

  // The timeline
  const spans = h("div", { class: "spans", "aria-hidden": "true" });
  const head = h("div", { class: "head", "aria-hidden": "true" });
  const tip = h("div", { class: "tip", "aria-hidden": "true" });
  const ends = h("div", { class: "ends", "aria-hidden": "true" });
  const slider = h("div", {
    class: "timeline", role: player ? "slider" : "img", tabindex: player ? "0" : null, "aria-label": "Timeline", "aria-valuemin": player && "0",
  }, spans, player && head, tip);

  const drawTimeline = () => {
    const { segments, seconds } = line();
    fill(spans, segments.map((one) => {
      const word = one.kind === "recorded" ? "" : WORDS[one.kind];
      const long = length((one.to - one.from) * 1000);
      const span = h("div", { class: `span ${signOf(one)}` },
        word ? [word, h("span", {}, long)] : one.chunk + 1);
      span.style.setProperty("left", `${one.left * 100}%`);
      span.style.setProperty("width", `${one.width * 100}%`);
      return span;
    }));
    fill(ends, when(wallTime(line(), 0), "clock"), when(wallTime(line(), seconds), "clock"));
    if (player) slider.setAttribute("aria-valuemax", Math.round(seconds));
    else slider.setAttribute("aria-label", `Timeline: ${segments.map((one) => `${WORDS[one.kind]} ${spoken((one.to - one.from) * 1000)}`).join(", ") || "empty"}`);
    drawTime();
  };

  // The clock, and where the head is
  const clock = h("span", { class: "clock" });
  const wall = h("span", { class: "faint wall" });
  const where = h("span", {});
  const drawTime = () => {
    const now = second(), { seconds } = line(), segment = segmentAt(line(), now);
    head.style.setProperty("left", `${placeOf(line(), now) * 100}%`);
    if (!player) return;
    const time = wallTime(line(), now);
    clock.textContent = `${length(now * 1000)} / ${length(seconds * 1000)}`;
    wall.textContent = write(time, "clock");
    const count = recording().chunks.length;
    const part = !segment ? "" : segment.plays ? `, chunk ${segment.chunk + 1} of ${count}` : `, ${WORDS[segment.kind]}`;
    where.textContent = `${part.slice(2).replace(/^c/, "C")} · ${zoneName(line().begin)}`;
    slider.setAttribute("aria-valuenow", Math.round(now));
    slider.setAttribute("aria-valuetext", `${spoken(now * 1000)}${part}, ${write(time, "clock")}`);
  };

  if (!player) {
    return { element: h("section", { class: "stage", "aria-label": "Timeline" }, slider, ends, why && h("p", { class: "faint" }, why)), drawTimeline, drawTime };
  }

  const at = (event) => {
    const box = slider.getBoundingClientRect();
    return secondsAt(line(), Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
  };
  slider.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    slider.setPointerCapture(event.pointerId);
    player.seek(at(event));
  });
  slider.addEventListener("pointermove", (event) => {
    const seconds = at(event), segment = segmentAt(line(), seconds);
    tip.textContent = [length(seconds * 1000), write(wallTime(line(), seconds), "clock"), segment?.plays ? "" : WORDS[segment?.kind]].filter(Boolean).join(" · ");
    tip.style.setProperty("left", `${placeOf(line(), seconds) * 100}%`);
    if (slider.hasPointerCapture(event.pointerId)) player.seek(seconds);
  });
  slider.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const to = {
      ArrowRight: () => step(line(), second(), 5), ArrowUp: () => step(line(), second(), 5),
      ArrowLeft: () => step(line(), second(), -5), ArrowDown: () => step(line(), second(), -5),
      PageUp: () => chapter(line(), second(), 1), PageDown: () => chapter(line(), second(), -1),
      Home: () => 0, End: () => line().seconds,
    }[event.key];
    if (!to) return;
    event.preventDefault();
    player.seek(to());
  });

  // Controls
  const button = (sign, label, onclick, ...more) => h("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick }, sign, more);
  const jump = (delta) => player.seek(step(line(), second(), delta));
  const play = h("button", { type: "button", class: "primary play", onclick: () => player.toggle() });
  const speed = h("select", { "aria-label": "Speed", onchange: () => player.setRate(Number(speed.value)) }, RATES.map((rate) => h("option", { value: rate }, `${rate}×`)));
  const mute = button(null, "Mute", () => player.setVolume({ muted: !player.element.muted }));
  const volume = h("input", { type: "range", min: "0", max: "1", step: "0.05", "aria-label": "Volume", oninput: () => player.setVolume({ volume: Number(volume.value), muted: false }) });
  const address = () => `${location.origin}${location.pathname}${href("r", recording().recordingKey, { t: Math.floor(second()) })}`;
  const link = copy(address, "Copy a link to this moment", "Link here");
  const full = hasPicture && button(sign("full"), "Full screen", () => toggleFull());
  const rate = (by) => {
    const next = RATES[Math.min(RATES.length - 1, Math.max(0, RATES.indexOf(player.rate) + by))];
    player.setRate(next);
    say(`${next} times`);
  };
  const toggleFull = () => (document.fullscreenElement ? document.exitFullscreen() : region.requestFullscreen?.());
  const actions = [
    [[" ", "k"], "Space or K", "play or pause", () => player.toggle()],
    [["j"], "J", "10 seconds back", () => jump(-10)],
    [["l"], "L", "10 seconds on", () => jump(10)],
    [["<"], "<", "slower", () => rate(-1)],
    [[">"], ">", "faster", () => rate(1)],
    [["m"], "M", "sound off or on", () => mute.click()],
    ...(hasPicture ? [[["f"], "F", "full screen", toggleFull]] : []),
  ];
  const help = keys(actions);
  const controls = h("div", { class: "controls" },
    button("−10", "10 seconds back", () => jump(-10)), play, button("+10", "10 seconds on", () => jump(10)),
    h("span", { class: "grow times" }, clock, " ", wall),
    speed, h("span", { class: "sound" }, mute, volume), link, full, button("?", "Keys of the player", help.open));

  // What it says
  const words = h("span", { class: "grow", role: "status" });
  const trouble = h("div", { class: "trouble" });
  const drawState = () => {
    const { playing, waiting, problem } = player;
    fill(play, icon(playing ? "pause" : "play"), playing ? "Pause" : "Play");
    region.classList.toggle("is-waiting", waiting && playing);
    region.classList.toggle("is-begun", player.chunk !== undefined);
    speed.value = String(player.rate);
    const { muted, volume: loud } = player.element;
    volume.value = muted ? 0 : loud;
    fill(mute, sign(muted || !loud ? "muted" : "loud"));
    mute.setAttribute("aria-pressed", muted);
    if (trouble.problem === problem) return;
    trouble.problem = problem;
    if (!problem) return fill(trouble);
    const said = problem.error?.message || WHY[problem.kind];
    alarm(said);
    const isFile = problem.kind === "damaged" || problem.kind === "unplayable";
    fill(trouble, h("div", { class: "problem" }, icon("warn"),
      h("div", {}, h("p", {}, said), h("p", { class: "faint" }, `Chunk ${problem.chunk + 1}`, problem.error?.requestId ? [", request ", h("code", {}, problem.error.requestId)] : null)),
      h("button", { type: "button", onclick: () => player.play() }, isFile ? "Try again" : "Go on"),
      isFile || problem.error?.status === 404 ? h("button", { type: "button", onclick: () => player.skipChunk() }, "Skip it") : null));
  };
  const drawSkip = () => {
    const said = player.skips.map((one) => `Skipped ${WORDS[one.kind]}, ${length((one.to - one.from) * 1000)}. ${["lost", "damaged", "waiting"].includes(one.kind) ? sentence(one, recording()) : ""}`).join(" ").trim();
    words.textContent = visible(said);
  };

  const picture = h("div", { class: "picture", hidden: !hasPicture, onclick: () => { player.toggle(); slider.focus({ preventScroll: true }); } }, hasPicture ? elements : null, h("span", { class: "big", "aria-hidden": "true" }, icon("play")));
  const region = h("section", { class: `stage ${hasPicture ? "" : "sound-only"}`, "aria-label": "Player", onkeydown: help.press },
    picture, hasPicture ? null : h("div", { hidden: true }, elements), slider, ends, trouble, controls, h("p", { class: "words" }, words, where), help.dialog);
  drawState();
  return { element: region, drawTimeline, drawTime, drawState, drawSkip };
}

const SIGNS = {
  loud: "M2 6v4h2.500L8 13V3L4.500 6zm8-1.500v1.700a2 2 0 0 1 0 3.600v1.700a3.600 3.600 0 0 0 0-7z",
  muted: "M2 6v4h2.500L8 13V3L4.500 6zm8.200-.4-1 1L10.800 8 9.200 9.400l1 1L11.800 9l1.600 1.400 1-1L12.800 8l1.600-1.400-1-1L11.800 7z",
  full: "M2.500 2.500H7V4H4v3H2.500zm6.500 0h4.500V7H12V4H9zM2.500 9H4v3h3v1.500H2.500zM12 9h1.500v4.500H9V12h3z",
};

function sign(name) {
  return s("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: SIGNS[name] }));
}
