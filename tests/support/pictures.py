"""Makes a picture of each view and state of the page, for docs/page: `python -m tests.support.pictures`.

With `--demo` only README's two, of what `make demo` has left.
"""

import argparse
import asyncio
import io
import re
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from urllib.parse import quote

from PIL import Image
from playwright.async_api import Page, ViewportSize, expect

from local.azurite import Azurite
from local.stack import DATA, Stack, StackOptions
from recording import app as bootstrap
from recording.api.page import Page as Files
from recording.app import App
from recording.config.settings import read_settings
from recording.model.surroundings import Surroundings
from tests.support.browser import NARROW, WIDE, Visit, chromium, visiting
from tests.support.emulator import Control
from tests.support.exhibits import CASE, PHONE, erased, furnish, unusual
from tests.support.played import furnish_media, readable
from tests.support.v1 import ROOT, running

FOLDER = ROOT / "docs" / "page"
type Prepare = Callable[[Visit], Awaitable[None]]


@dataclass(frozen=True)
class Picture:
    """One picture: who looks at which place, how, and what is done before; `wait` is what must be seen."""

    name: str
    who: str | None
    place: str
    wait: str
    before: Prepare | None = None
    then: Callable[[Page], Awaitable[Any]] | None = None
    scheme: Literal["light", "dark"] = "light"
    size: ViewportSize | None = None


async def _no_settings(visit: Visit) -> None:
    body = Files().write(Surroundings(authority="https://login.microsoftonline.com")).body
    await visit.page.route(
        f"{visit.url}/", lambda route: route.fulfill(body=body, content_type="text/html; charset=utf-8")
    )


async def _broken(visit: Visit) -> None:
    body = {"code": "IndexUnavailable", "message": "the search index can't be reached; recordings are not affected"}
    headers = {"x-ms-request-id": "5d3f6b1e-0000-4000-8000-000000000001"}
    await visit.page.route("**/v1/recordings?*", lambda route: route.fulfill(status=503, json=body, headers=headers))


async def _endless(visit: Visit) -> None:
    async def never(route: Any) -> None:
        await asyncio.sleep(600)

    await visit.page.route("**/v1/recordings?*", never)


async def _empty(visit: Visit) -> None:
    await visit.page.route("**/v1/recordings?*", lambda route: route.fulfill(json={"recordings": []}))


async def _down(visit: Visit) -> None:
    await _broken(visit)
    body = {"status": "failed", "checks": [{"name": "blob", "ok": False}, {"name": "acs", "ok": False}]}
    await visit.page.route("**/health", lambda route: route.fulfill(status=503, json=body))


async def _joining(visit: Visit) -> None:
    body = {"state": "making", "bytesDone": 180_000_000, "bytesTotal": 441_000_000}
    await visit.page.route("**/v1/recordings/*/file?*", lambda route: route.fulfill(status=202, json=body))


async def _join(page: Page) -> None:
    await page.get_by_role("button", name="Make one file").click()
    await page.get_by_text("Joining, 180 MB").scroll_into_view_if_needed()


async def _stop(page: Page) -> None:
    await page.get_by_role("button", name="Stop the recording").or_(page.get_by_text("Stop…")).first.click()


async def _play(page: Page) -> None:
    await page.get_by_role("button", name="Play", exact=True).click()
    # There is a picture by then.
    await expect(page.locator(".clock")).to_have_text(re.compile("^0:00:0[2-9]"))


async def _play_refused(page: Page) -> None:
    await page.get_by_role("button", name="Play", exact=True).click()
    await page.locator(".trouble .problem").wait_for()


async def _play_unmixed(page: Page) -> None:
    await page.get_by_role("button", name="Play", exact=True).click()
    await page.locator(".people button:enabled").first.wait_for()


def _press(name: str) -> Callable[[Page], Awaitable[None]]:
    """Return what presses a button."""

    async def press(page: Page) -> None:
        await page.get_by_role("button", name=name, exact=True).click()

    return press


def _seen(part: str) -> Callable[[Page], Awaitable[None]]:
    """Return what scrolls to a part."""

    async def scroll(page: Page) -> None:
        await page.locator(part).scroll_into_view_if_needed()

    return scroll


async def _refusing(visit: Visit) -> None:
    await visit.page.route("**/archive-*/**", lambda route: route.fulfill(status=403))


def pictures(keys: dict[str, str]) -> list[Picture]:
    """List the pictures, by the keys of the recordings that are there."""
    row = "table.list tbody tr"
    return [
        Picture("list", "ada", "#/", row),
        Picture("list-dark", "ada", "#/", row, scheme="dark"),
        Picture("list-narrow", "ada", "#/", row, size=NARROW),
        Picture("list-search", "grace", f"#/?q={CASE}", row),
        Picture("list-person", "grace", f"#/?q={quote(PHONE)}", row),
        Picture("list-nothing", "ada", "#/?state=staged&missing=true", ".empty"),
        Picture("list-loading", "ada", "#/", ".skeleton", before=_endless),
        Picture("list-failed", "ada", "#/", ".problem", before=_broken),
        Picture("list-empty", "ada", "#/", ".empty", before=_empty),
        Picture("list-down", "ada", "#/", "#notice p", before=_down),
        Picture("list-without-people", "edsger", "#/", row),
        Picture("recording", "ada", f"#/r/{keys['played']}", ".timeline", then=_play),
        Picture("recording-dark", "ada", f"#/r/{keys['played']}", ".timeline", then=_play, scheme="dark"),
        Picture("recording-narrow", "ada", f"#/r/{keys['played']}", ".timeline", size=NARROW),
        Picture("recording-keys", "ada", f"#/r/{keys['played']}", ".timeline", then=_press("Keys of the player")),
        Picture("recording-lost", "grace", f"#/r/{keys['broken']}", ".past li"),
        Picture(
            "recording-expired", "grace", f"#/r/{keys['broken']}", ".past li", before=_refusing, then=_play_refused
        ),
        Picture("recording-unmixed", "ada", f"#/r/{keys['unmixed']}", ".people", then=_play_unmixed),
        Picture("recording-hold", "grace", f"#/r/{keys['played']}", ".past li", then=_press("Hold…")),
        Picture("recording-joining", "ada", f"#/r/{keys['played']}", ".joined", before=_joining, then=_join),
        Picture("recording-not-proved", "ada", f"#/r/{keys['unproved']}", ".timeline"),
        Picture("recording-not-announced", "ada", f"#/r/{keys['absent']}", ".columns"),
        Picture("recording-erasure", "alan", f"#/r/{keys['asked']}", ".keeping .wrong", then=_seen(".keeping")),
        Picture("recording-erase", "alan", f"#/r/{keys['case']}", ".keeping .panel", then=_press("Erase…")),
        Picture("recording-erased", "alan", f"#/r/{keys['erased']}", "dl.keys"),
        Picture("recording-without-player", "alan", f"#/r/{keys['broken']}", ".timeline"),
        Picture("recording-unknown", "ada", "#/r/20260301T000000000000Z-x", ".blank"),
        Picture("recording-in-flight", "edsger", f"#/r/{keys['waiting']}", "h1"),
        Picture("recording-hostile", "ada", f"#/r/{keys['hostile']}", "h1"),
        Picture("live", "barbara", "#/live", "table.live tbody tr"),
        Picture("live-stop", "barbara", "#/live", "table.live tbody tr", then=_stop),
        Picture("operations", "edsger", "#/ops", ".panels section"),
        Picture("operations-dark", "edsger", "#/ops", ".panels section", scheme="dark"),
        Picture("trail", "grace", "#/trail", "table.trail tbody tr"),
        Picture("not-allowed", "alan", "#/ops", ".blank"),
        Picture("set-up", None, "#/", ".blank", before=_no_settings),
        Picture("signed-out", None, "#code=x&state=x", ".blank"),
    ]


async def furnish_all(app: App, control: Control) -> dict[str, str]:
    """Make what the pictures show; return the keys of recordings by name."""
    gone = {"erased": await erased(app)}
    return gone | await furnish(app, control) | await furnish_media(app.settings) | await unusual(app)


async def draw(folder: Path) -> None:
    """Run the app with recordings of all kinds, and make the pictures."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with (
        Azurite() as azurite,
        readable(azurite),
        running(azurite) as site,
        chromium(plays_by_itself=True) as browser,
    ):
        app = await bootstrap.open_app(read_settings(site.environ))
        keys = await furnish_all(app, Control(site.acs.endpoint, site.session))
        await app.aclose()
        for one in pictures(keys):
            options = {"color_scheme": one.scheme, "timezone_id": "Europe/Berlin", "viewport": one.size or WIDE}
            async with visiting(browser, site.host.url, **options) as visit:
                page = await prepare(visit, one)
                await asyncio.to_thread(_keep, await page.screenshot(), folder / f"{one.name}.png")
            print(one.name, flush=True)


async def draw_demo(folder: Path) -> None:
    """Run the stack on a copy of what the demo has left, and make README's pictures."""
    if not DATA.exists():
        raise SystemExit("there is nothing of the demo: run `make demo` first")
    with TemporaryDirectory() as temporary:
        data, logs = Path(temporary) / "storage", Path(temporary) / "logs"
        await asyncio.to_thread(shutil.copytree, DATA, data)
        logs.mkdir()
        async with (
            Stack(StackOptions(data=data, logs=logs)) as stack,
            chromium(plays_by_itself=True) as browser,
            visiting(browser, stack.app_url, timezone_id="Europe/Berlin", viewport=WIDE) as visit,
        ):
            page = await visit.open("#/", "ada")
            first = page.locator("table.list tbody a").first
            await first.wait_for()
            await page.set_viewport_size({"width": WIDE["width"], "height": 360})
            await asyncio.to_thread(_keep, await page.screenshot(), folder / "demo-list.png")
            await first.click()
            await page.set_viewport_size(WIDE)
            await _play(page)
            await page.wait_for_load_state("networkidle")
            await asyncio.to_thread(_keep, await page.screenshot(), folder / "demo-recording.png")


def _keep(shot: bytes, file: Path) -> None:
    """Write a picture with 256 colours: a third of its bytes, and text as sharp as before."""
    with Image.open(io.BytesIO(shot)) as picture:
        picture.convert("RGB").quantize(256).save(file, optimize=True)


async def prepare(visit: Visit, one: Picture) -> Page:
    """Bring a tab to where a picture is made."""
    if one.before:
        await one.before(visit)
    page = await visit.open(one.place, one.who)
    await page.wait_for_selector(one.wait)
    if one.then:
        await one.then(page)
    # What arrives after the first; the one that waits for ever shows what it has.
    if one.before is not _endless:
        await page.wait_for_load_state("networkidle")
    return page


def main() -> None:
    """Make the pictures that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.pictures", description=__doc__)
    parser.add_argument("--demo", action="store_true", help="only README's, from what `make demo` has left")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER, help="where (default: docs/page)")
    arguments = parser.parse_args()
    asyncio.run(draw_demo(arguments.folder) if arguments.demo else draw(arguments.folder))


if __name__ == "__main__":
    main()
