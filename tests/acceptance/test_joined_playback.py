"""A joined file played in a browser: each flash against its beep, and a seek to every chapter.

What is measured is what is shown and heard, with the clocks of the browser: the moment at which a picture is displayed,
and that at which a block of sound leaves the page. Displays refresh every 16.7 ms, and a busy machine is late with a
picture now and then, so the file is played several times, and of each flash the median counts. What ffmpeg's concat
makes of the same chunks is measured as well: its sound is late after each boundary, so the measurement must find that.
"""

import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import imageio_ffmpeg
import pytest
from aiohttp import web
from playwright.async_api import Page

from tests.acceptance.conftest import Say
from tests.support.browser import chromium
from tests.support.joining import BEEP, Chunk, joined

# The sound of the third one is 1.3 s short, so that silence follows it.
CHUNKS = (Chunk(0, 40, 5.0), Chunk(40, 43, 5.375), Chunk(83, 29, 2.325), Chunk(112, 24, 3.0))
FPS = CHUNKS[0].fps
NEAR = 30.0
# Of a boundary, in which flashes are compared.
SECONDS_AROUND = 2.0
PLAYS, CONCAT_PLAYS = 5, 2
# A beep belongs to the flash that it is nearest to; both come once a second.
_BELONGS = 450.0
_LOUD = 0.08
_PAGE = """<!doctype html><video id="video" playsinline></video>
<canvas id="canvas" width="160" height="96"></canvas>"""

_NUMBER = """const picture = document.getElementById('canvas').getContext('2d', {willReadFrequently: true});
  const number = () => {
    picture.drawImage(video, 0, 0);
    const row = picture.getImageData(0, 20, 160, 1).data;
    let found = 0;
    for (let bit = 0; bit < 16; bit++) {
      if (row[(bit * 10 + 5) * 4] > 128) { found |= 1 << bit; }
    }
    return found;
  };"""

# Of each picture its number and when it is displayed, in milliseconds of the page; of each block of 128 samples when it
# is heard, in seconds of the audio context, and how loud the beep is in it; and what time of the page is what time of
# the context, several times a second: a device that is late lets the context stand still.
_PLAY = f"""async source => {{
  const video = document.getElementById('video');
  {_NUMBER}
  const audio = window.audio ??= new AudioContext({{sampleRate: 16000}});
  await audio.resume();
  if (!window.meter) {{
    const code = `registerProcessor('meter', class extends AudioWorkletProcessor {{
      process([[samples]]) {{
        if (samples) {{
          let re = 0, im = 0;
          for (let n = 0; n < samples.length; n++) {{
            const angle = 2 * Math.PI * 1500 * n / sampleRate;
            re += samples[n] * Math.cos(angle); im += samples[n] * Math.sin(angle);
          }}
          this.port.postMessage([currentTime, Math.hypot(re, im) / samples.length]);
        }}
        return true;
      }}
    }})`;
    await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([code], {{type: 'text/javascript'}})));
    window.meter = new AudioWorkletNode(audio, 'meter');
    audio.createMediaElementSource(video).connect(window.meter);
    window.meter.connect(audio.destination);
  }}
  const pictures = [], sounds = [], clocks = [];
  window.meter.port.onmessage = ({{data}}) => sounds.push(data);
  const seen = (_, frame) => {{
    const {{contextTime, performanceTime}} = audio.getOutputTimestamp();
    clocks.push([performanceTime, contextTime]);
    pictures.push([number(), frame.expectedDisplayTime]);
    video.requestVideoFrameCallback(seen);
  }};
  video.requestVideoFrameCallback(seen);
  const ended = new Promise((done, failed) => {{
    video.onended = done;
    video.onerror = () => failed(video.error.message);
  }});
  video.src = source;
  await video.play();
  await ended;
  return {{pictures, sounds, clocks}};
}}"""

_SEEK = f"""async at => {{
  const video = document.getElementById('video');
  {_NUMBER}
  const shown = new Promise(done => video.requestVideoFrameCallback(done));
  video.currentTime = at;
  await shown;
  return number();
}}"""


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    """Serve a page and the files of a folder, with ranges."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_static("/files", folder)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def lateness(played: dict[str, Any]) -> dict[int, float]:
    """Return for each flash by how many milliseconds its beep is heard after it is shown; flashes by picture number."""
    beeps, last = list[float](), -1.0
    for time, loud in played["sounds"]:
        if loud > _LOUD:
            if time - last > 2 * BEEP:
                beeps.append(time * 1000)
            last = time
    found = {}
    for number, shown in played["pictures"]:
        if number % FPS == 0 and number not in found:
            near = sorted(played["clocks"], key=lambda clock: abs(clock[0] - shown))[: FPS // 2]
            offset = median(page - context * 1000 for page, context in near)
            late = min((beep + offset - shown for beep in beeps), key=abs)
            if abs(late) < _BELONGS:
                found[number] = late
    return found


async def measured(page: Page, name: str, plays: int) -> dict[int, float]:
    """Play a file several times, and return of each flash how late its beep is, less what it is in the first chunk.

    A flash that was not shown in half of the plays is missing: a busy machine leaves out pictures.
    """
    each = defaultdict[int, list[float]](list)
    for _ in range(plays):
        for number, late in lateness(await page.evaluate(_PLAY, f"/files/{name}")).items():
            each[number].append(late)
    medians = {number: median(some) for number, some in each.items() if len(some) >= plays / 2}
    # Nothing is known of the first picture: it is shown before anything is heard.
    zero = median(late for number, late in medians.items() if 0 < number < CHUNKS[1].first)
    return {number: late - zero for number, late in sorted(medians.items()) if number}


def with_beeps(chunk: Chunk, begin: float = 0, end: float = 1e9) -> set[int]:
    """Return the flashes of a chunk that have a beep, between two seconds of it; the first picture of all has none."""
    there = range(chunk.first, chunk.first + chunk.pictures)
    after = {number: (number - chunk.first) / FPS for number in there if number and number % FPS == 0}
    return {number for number, time in after.items() if begin <= time <= min(end, chunk.seconds - BEEP)}


def around(boundary: int) -> set[int]:
    """Return the flashes near a boundary, which is that in front of the chunk of this number."""
    before, behind = CHUNKS[boundary - 1 : boundary + 1]
    length = before.pictures / FPS
    return with_beeps(before, length - SECONDS_AROUND) | with_beeps(behind, end=SECONDS_AROUND)


def said(found: dict[int, float]) -> str:
    """Return the figures of one file, in seconds of the call and milliseconds."""
    return ", ".join(f"{number / FPS:g} s {late:+.0f}" for number, late in found.items())


@pytest.mark.timeout(600)
async def test_pictures_and_sound_stay_together_in_playback(say: Say, tmp_path: Path) -> None:
    """Within 30 ms for two seconds around each boundary; and each chapter can be sought."""
    files = [chunk.make() for chunk in CHUNKS]
    part, file = joined("mp4", *files)
    (tmp_path / "joined.mp4").write_bytes(file)
    for number, one in enumerate(files):
        (tmp_path / f"{number}.mp4").write_bytes(one)
    (tmp_path / "list.txt").write_text("".join(f"file '{number}.mp4'\n" for number in range(len(files))))
    concat = ["-v", "error", "-f", "concat", "-i", str(tmp_path / "list.txt"), "-c", "copy", "-movflags", "faststart"]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *concat, str(tmp_path / "concat.mp4")], check=True, timeout=60)

    async with served(tmp_path) as url, chromium(plays_by_itself=True) as browser:
        page = await browser.new_page()
        await page.goto(url)
        theirs = await measured(page, "concat.mp4", CONCAT_PLAYS)
        ours = await measured(page, "joined.mp4", PLAYS)
        sought = [await page.evaluate(_SEEK, one.at + 0.01) for one in part.chapters]

    say(f"beep after flash, less that of chunk 0, in ms: joined {said(ours)};")
    say(f"concatenated by ffmpeg {said(theirs)}")
    assert [chunk.first for chunk in CHUNKS] == sought
    for boundary in range(1, len(CHUNKS)):
        due = around(boundary)
        assert len(due) >= 3
        assert due <= set(ours), "too many pictures were left out: is the machine busy?"
        assert all(abs(ours[number]) < NEAR for number in due), f"boundary {boundary}"
    # An encoder that was started again puts 64 ms or more in front of each chunk, which concat hides from the tables.
    late = [median(theirs[number] for number in with_beeps(chunk) if number in theirs) for chunk in CHUNKS[1:3]]
    assert late[0] > 2 * NEAR, "the measurement doesn't find what is late"
    assert late[1] > late[0] + NEAR
