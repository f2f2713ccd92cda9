"""How the view of a recording plays and moves, measured in a browser."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Request, ViewportSize, expect

from local.acs import tone
from local.azurite import Azurite
from recording.config.settings import read_settings
from recording.model.manifest import Participant
from tests.support.browser import NARROW, WIDE, Visit, visiting
from tests.support.played import VOICES, Part, put_recording, readable
from tests.support.v1 import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Everything that is sent to the loudspeakers also goes through a meter: `strongest()` is [frequency in Hz, level in
# dB], `silences` has the length in ms of each silence between two sounds, `heard` the seconds of sound. Silence is what
# no element plays: even a voice that fades out isn't exactly zero.
METER = """
(() => {
  const connect = AudioNode.prototype.connect;
  window.silences = [];
  window.heard = 0;
  AudioNode.prototype.connect = function (to, ...more) {
    if (to instanceof AudioDestinationNode) {
      const { context } = this;
      context.meter ??= (() => {
        const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
        const counter = context.createScriptProcessor(256, 1, 1);
        let quiet = 0, isBegun = false;
        counter.onaudioprocess = ({ inputBuffer }) => {
          for (const sample of inputBuffer.getChannelData(0)) {
            if (sample !== 0) {
              heard += 1 / context.sampleRate;
              if (isBegun && quiet > context.sampleRate / 200) silences.push(1000 * quiet / context.sampleRate);
              isBegun = true;
              quiet = 0;
            } else quiet += 1;
          }
        };
        connect.call(analyser, counter);
        connect.call(counter, context.destination);
        window.strongest = () => {
          const found = new Float32Array(analyser.frequencyBinCount);
          analyser.getFloatFrequencyData(found);
          const level = Math.max(...found);
          return [found.indexOf(level) * context.sampleRate / analyser.fftSize, level];
        };
        return analyser;
      })();
      connect.call(this, context.meter);
    }
    return connect.call(this, to, ...more);
  };
})()
"""
# Both media elements are heard through the meter.
TAP = """
() => {
  const context = new AudioContext();
  for (const element of document.querySelectorAll('video')) {
    element.crossOrigin = 'anonymous';
    context.createMediaElementSource(element).connect(context.destination);
  }
  return context.resume();
}
"""
# In dB; a voice has about -25 at its loudest.
AUDIBLE = -45
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  const moved = list.getEntries().filter((one) => !one.hadRecentInput);
  for (const one of moved) shifts.push([one.value, one.sources.map(({node}) => node?.className)]);
}).observe({type: 'layout-shift', buffered: true});
"""


@pytest_asyncio.fixture(loop_scope="session")
async def cors(azurite: Azurite) -> AsyncIterator[None]:
    """Pages of any origin may read media while a test runs."""
    async with readable(azurite):
        yield


async def test_a_chunk_change_is_silent_for_less_than_50_ms(visit: Visit, site: Site, cors: None) -> None:
    """Four chunks without a pause: every silence that the loudspeakers have between the first sound and the last."""
    parts = [Part(number * 4.0, 4) for number in range(4)]
    made = await put_recording(read_settings(site.environ), 1, parts)
    await visit.page.add_init_script(METER)
    page = await visit.open(f"#/r/{made.recording_key}")
    play = page.get_by_role("button", name="Play", exact=True)
    await play.wait_for()
    await page.evaluate(TAP)
    await play.click()
    await page.get_by_role("button", name="Pause", exact=True).wait_for()
    await play.wait_for()

    silences: list[float] = await page.evaluate("silences")
    assert await page.evaluate("heard") > 12
    print(f"\nsilences between chunks, in ms: {', '.join(f'{one:.0f}' for one in silences)}")
    assert max(silences, default=0) < 50
    # Beside the three changes there are at most short ones, such as the decoder's when it begins.
    assert sum(silences) < 3 * 50


async def test_each_of_five_speakers_is_heard_alone(visit: Visit, site: Site, cors: None) -> None:
    """While all of them take their turns, every pitch that is heard is that of the one speaker who isn't muted."""
    made = await put_recording(read_settings(site.environ), 2, [Part(0, 90, kind="wav")])
    await visit.page.add_init_script(METER)
    page = await visit.open(f"#/r/{made.recording_key}")
    await page.get_by_role("button", name="Play", exact=True).click()
    found = {}
    for voice in VOICES:
        await page.get_by_role("button", name=f"Only {voice}").click()
        await asyncio.sleep(0.5)
        levels = [await _listen(page) for _ in range(110)]
        found[voice] = {pitch for pitch, level in levels if level > AUDIBLE}

    for voice in VOICES:
        assert found[voice]
        assert all(abs(one - tone.pitch(voice)) < 12 for one in found[voice]), found


async def _listen(page: Page) -> tuple[float, float]:
    """Wait a tenth of a second; return the strongest frequency in Hz and its level in dB."""
    await asyncio.sleep(0.1)
    pitch, level = await page.evaluate("strongest()")
    return float(pitch), float(level)


async def test_without_a_cors_rule_five_channels_play_together(visit: Visit, site: Site) -> None:
    """The page says why nobody can be muted, and doesn't ask for another link."""
    made = await put_recording(read_settings(site.environ), 3, [Part(0, 10, kind="wav")])
    page = await visit.open(f"#/r/{made.recording_key}")
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/links"):
            asked.append(request.url)

    page.on("request", note)
    await page.get_by_role("button", name="Play", exact=True).click()
    await page.get_by_text("storage has no CORS rule for this page").wait_for()
    await expect(page.locator(".clock")).to_have_text(re.compile("^0:00:0[2-9]"), timeout=20_000)

    assert 1 == len(asked)
    assert 0 == await page.get_by_role("button", name="Mute 8:acs").count()
    # What the browser says of the attempt.
    visit.faults[:] = [one for one in visit.faults if "CORS" not in one]


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_nothing_moves_when_data_arrives(browser: Browser, site: Site, size: ViewportSize) -> None:
    """From the first picture on, with answers that take a while; and while it plays over a lost chunk."""
    parts = [Part(0, 3, pause=(1.5, 60)), Part(63, outcome="lost"), Part(70, 3)]
    made = await put_recording(read_settings(site.environ), 4, parts)
    async with visiting(browser, site.host.url, viewport=size) as visit:
        await visit.page.add_init_script(SHIFTS)
        page = await visit.open("#/", "grace")

        async def late(route: Any) -> None:
            await asyncio.sleep(0.6)
            await route.continue_()

        await page.route("**/v1/**", late)
        await page.evaluate("shifts.length = 0")
        await visit.go(f"#/r/{made.recording_key}")
        await page.locator(".past li").first.wait_for()
        await page.get_by_role("button", name="Play", exact=True).click()
        await expect(page.locator(".clock")).to_have_text(re.compile("^0:01:1[1-9]"), timeout=30_000)

        shifts = await page.evaluate("shifts")
        print(f"\nlayout shifts at {size['width']} px: {shifts}")
        assert sum(value for value, _ in shifts) < 0.01
        await page.unroute_all(behavior="ignoreErrors")


async def test_a_recording_of_18_chunks_and_3_hours_has_two_elements(visit: Visit, site: Site) -> None:
    """Only the present and the next chunk are loaded, and asked for."""
    parts = [Part(number * 600.0, 3) for number in range(18)]
    people = (Participant(id="8:acs:ada", kind="acs", chunks=tuple(range(18))),)
    made = await put_recording(read_settings(site.environ), 5, parts, participants=people)
    page = await visit.open(f"#/r/{made.recording_key}")
    asked: list[Any] = []

    def note(request: Request) -> None:
        if request.url.endswith("/links"):
            asked.append(json.loads(request.post_data or "{}")["indexes"])

    page.on("request", note)
    await page.get_by_role("slider", name="Timeline").press("PageUp")
    await page.keyboard.press("k")
    await expect(page.locator(".clock")).to_have_text(re.compile("^0:[2-9]0:0[1-9]"), timeout=30_000)

    assert 2 == await page.locator("video").count()
    assert [[1], [2], [3]] == asked
