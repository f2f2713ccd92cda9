"""A browser on the page: Chromium from npm, which `make setup` unpacks, or this machine's own.

Nothing here skips: without a browser the tests of the page fail, and say how to get one.
"""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, async_playwright, expect

from local.entra.directory import PEOPLE
from tests.support.v1 import ROOT

UNPACKED = ROOT / "node_modules" / ".browser"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WIDE, NARROW = ViewportSize(width=1280, height=800), ViewportSize(width=320, height=640)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server", "--disable-background-networking"]
# Milliseconds for what is waited for: a machine may be busy.
PATIENCE = 20_000
# WCAG 2.2, level AA.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def program() -> tuple[str, dict[str, str]]:
    """Return a Chromium and the environment it needs; raises RuntimeError if there is none."""
    if own := os.environ.get("CHROMIUM"):
        return own, {}
    if (UNPACKED / "chromium").exists():
        # Libraries and fonts of its own: a bare machine has neither, and without fonts a page has no text.
        more = {"LD_LIBRARY_PATH": str(UNPACKED / "lib"), "FONTCONFIG_FILE": str(UNPACKED / "fonts.conf")}
        return str(UNPACKED / "chromium"), more
    if found := next(filter(None, map(shutil.which, _NAMES)), None):
        return found, {}
    raise RuntimeError("there is no browser: `make setup` unpacks one on Linux x64; elsewhere set CHROMIUM to yours")


@asynccontextmanager
async def chromium(*, plays_by_itself: bool = False) -> AsyncIterator[Browser]:
    """Run the browser; one that plays by itself needs no click for it."""
    path, more = program()
    flags = [*_FLAGS, *(["--autoplay-policy=no-user-gesture-required"] if plays_by_itself else [])]
    # Its sandbox doesn't work as root.
    flags += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    async with async_playwright() as driver:
        running = await driver.chromium.launch(executable_path=path, args=flags, env={**os.environ, **more})
        try:
            yield running
        finally:
            await running.close()


@dataclass
class Visit:
    """Somebody's tab on the page of an app; `faults` are what went wrong in it: errors, and what the policy refused."""

    page: Page
    context: BrowserContext
    url: str
    faults: list[str] = field(default_factory=list)

    async def open(self, place: str = "#/", who: str | None = "ada") -> Page:
        """Open a place of the page, signing in as a person of the stand-in where it asks."""
        await self.page.goto(f"{self.url}/{place}")
        if who is not None:
            await self.page.get_by_role("link", name=PEOPLE[who].name).click()
            await self.page.wait_for_selector("#header nav")
        return self.page

    async def go(self, place: str) -> None:
        """Go to another place, as a link there would."""
        await self.page.evaluate("place => { location.hash = place; }", place)

    async def axe(self) -> list[str]:
        """Return what axe-core finds: each rule that is violated, with the elements."""
        # By evaluate: the policy refuses a script that is added to the page.
        await self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = await self.page.evaluate(
            "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", _RULES
        )
        return [
            f"{one['id']}: {', '.join(str(node['target']) + ' ' + node['failureSummary'] for node in one['nodes'])}"
            for one in found["violations"]
        ]


@asynccontextmanager
async def visiting(browser: Browser, url: str, **options: Any) -> AsyncIterator[Visit]:
    """Open a tab of its own, with its own cookies; raises AssertionError at the end if anything went wrong in it.

    `options` are those of Playwright's new_context.
    """
    context = await browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    try:
        page = await context.new_page()
        visit = Visit(page, context, url)
        await context.expose_function("refusedByPolicy", lambda text: visit.faults.append(text))
        await context.add_init_script(
            "addEventListener('securitypolicyviolation', "
            "event => refusedByPolicy(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`))"
        )
        page.on("pageerror", lambda error: visit.faults.append(f"error: {error}"))
        page.on("console", lambda message: _note(visit, message))
        yield visit
        assert [] == visit.faults
    finally:
        await context.close()


def _note(visit: Visit, message: ConsoleMessage) -> None:
    # A request that is answered 4xx or 5xx is no fault of the page.
    if message.type == "error" and not message.text.startswith("Failed to load resource"):
        visit.faults.append(f"console: {message.text}")
