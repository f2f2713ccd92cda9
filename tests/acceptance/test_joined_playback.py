"""A joined file played in a browser: each flash against its beep, and a seek to every chapter.

What is measured is what is shown and heard, with the clocks of the browser, so it needs an idle machine. What ffmpeg's
concat makes of the same chunks is measured beside it: its sound runs later with each, which a demuxer doesn't show.
"""

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import imageio_ffmpeg
from aiohttp import web
from playwright.async_api import Page

from tests.acceptance.conftest import Say
from tests.support.browser import chromium
from tests.support.joining import BEEP, Chunk, joined

# In the first chunk is nothing to be late; each boundary is two seconds away from the next flash but one.
CHUNKS = (Chunk(0, 72, 9.0), Chunk(72, 75, 9.375), Chunk(147, 72, 9.0))
NEAR = 30.0
# Of the nine flashes of a chunk.
_ENOUGH = 5
_PAGE = """<!doctype html><video id="video" playsinline></video>
<canvas id="canvas" width="160" height="96"></canvas>"""

# Of each picture when it is shown and how white its lower half is; of each block of 128 samples when it is heard and
# how loud the beep is in it. Both in milliseconds of the browser's clock.
_PLAY = """async ({source, from, until}) => {
  const video = document.getElementById('video'), context2d = document.getElementById('canvas').getContext('2d');
  video.src = source;
  await new Promise((done, failed) => {
    video.onloadeddata = done;
    video.onerror = () => failed(video.error.message);
  });
  const audio = window.audio ??= new AudioContext({sampleRate: 16000});
  await audio.resume();
  if (!window.meter) {
    const code = `registerProcessor('meter', class extends AudioWorkletProcessor {
      process([[samples]]) {
        if (samples) {
          let re = 0, im = 0;
          for (let n = 0; n < samples.length; n++) {
            const angle = 2 * Math.PI * 1500 * n / sampleRate;
            re += samples[n] * Math.cos(angle); im += samples[n] * Math.sin(angle);
          }
          this.port.postMessage([currentTime, Math.hypot(re, im) / samples.length]);
        }
        return true;
      }
    })`;
    await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([code], {type: 'text/javascript'})));
    window.meter = new AudioWorkletNode(audio, 'meter');
    audio.createMediaElementSource(video).connect(window.meter);
    window.meter.connect(audio.destination);
  }
  const pictures = [], sounds = [];
  window.meter.port.onmessage = ({data}) => sounds.push(data);
  const seen = (now, frame) => {
    context2d.drawImage(video, 0, 0);
    const [red] = context2d.getImageData(80, 80, 1, 1).data;
    pictures.push([frame.expectedDisplayTime, frame.mediaTime, red]);
    video.requestVideoFrameCallback(seen);
  };
  video.requestVideoFrameCallback(seen);
  video.currentTime = from;
  await video.play();
  await new Promise(done => {
    const wait = () => video.currentTime >= until || video.ended ? done() : setTimeout(wait, 20);
    wait();
  });
  video.pause();
  const {contextTime, performanceTime} = audio.getOutputTimestamp();
  return {pictures, sounds: sounds.map(([time, loud]) => [(time - contextTime) * 1000 + performanceTime, loud])};
}"""

_SEEK = """async ({source, at}) => {
  const video = document.getElementById('video'), context2d = document.getElementById('canvas').getContext('2d');
  if (!video.src.endsWith(source)) { video.src = source; }
  const sought = new Promise(done => { video.onseeked = done; });
  video.currentTime = at;
  await sought;
  await new Promise(done => setTimeout(done, 100));
  context2d.drawImage(video, 0, 0);
  let number = 0;
  for (let bit = 0; bit < 16; bit++) {
    if (context2d.getImageData(bit * 10 + 5, 20, 1, 1).data[0] > 128) { number |= 1 << bit; }
  }
  return number;
}"""


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


def differences(played: dict[str, Any], places: list[float], ends: list[float]) -> list[list[float]]:
    """Return for each chunk by how many milliseconds each of its beeps is heard after its flash is shown."""
    flashes = [
        (time, at)
        for (_, _, before), (time, at, white) in zip(played["pictures"], played["pictures"][1:], strict=False)
        if white > 128 > before
    ]
    beeps, last = list[float](), -1000.0
    for time, loud in played["sounds"]:
        if loud > 0.08:
            if time - last > 2000 * BEEP:
                beeps.append(time)
            last = time
    found: list[list[float]] = [[] for _ in places]
    for time, at in flashes:
        nearest = min((beep - time for beep in beeps), key=abs)
        for number, (begin, end) in enumerate(zip(places, ends, strict=True)):
            if begin - 0.01 <= at < end - 0.01 and abs(nearest) < 450:
                found[number].append(nearest)
    return found


async def measured(page: Page, name: str, places: list[float], seconds: float) -> list[float]:
    """Play a file, and return the median of the differences of each chunk, less that of the first.

    It is empty if too few flashes were shown: a busy machine leaves out pictures.
    """
    played = await page.evaluate(_PLAY, {"source": f"/files/{name}", "from": 0, "until": seconds - 0.3})
    each = differences(played, places, [*places[1:], seconds])
    if any(len(one) < _ENOUGH for one in each):
        return []
    medians = [median(one) for one in each]
    return [one - medians[0] for one in medians]


async def test_pictures_and_sound_stay_together_in_playback(say: Say, tmp_path: Path) -> None:
    """Within 30 ms in each chunk; and a seek to each chapter shows the first picture of its chunk."""
    files = [chunk.make() for chunk in CHUNKS]
    part, file = joined("mp4", *files)
    (tmp_path / "joined.mp4").write_bytes(file)
    for number, one in enumerate(files):
        (tmp_path / f"{number}.mp4").write_bytes(one)
    (tmp_path / "list.txt").write_text("".join(f"file '{number}.mp4'\n" for number in range(len(files))))
    concat = ["-v", "error", "-f", "concat", "-i", str(tmp_path / "list.txt"), "-c", "copy", "-movflags", "faststart"]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *concat, str(tmp_path / "concat.mp4")], check=True, timeout=60)
    places = [place.begins_at for place in part.chunks]
    nominal = [chunk.first / chunk.fps for chunk in CHUNKS]
    end = (CHUNKS[-1].first + CHUNKS[-1].pictures) / CHUNKS[-1].fps

    async with served(tmp_path) as url, chromium(plays_by_itself=True) as browser:
        page = await browser.new_page()
        await page.goto(url)
        ours = await measured(page, "joined.mp4", places, part.seconds or 0)
        theirs = await measured(page, "concat.mp4", nominal, end)
        sought = [
            await page.evaluate(_SEEK, {"source": "/files/joined.mp4", "at": one.at + 0.01}) for one in part.chapters
        ]

    say(f"beep after flash, less that of chunk 0: joined {json.dumps([round(one) for one in ours])} ms,")
    say(f"concatenated by ffmpeg {json.dumps([round(one) for one in theirs])} ms")
    assert len(CHUNKS) == len(ours), "too many pictures were left out: is the machine busy?"
    assert all(abs(one) < NEAR for one in ours)
    assert [chunk.first for chunk in CHUNKS] == sought
