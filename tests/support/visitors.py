"""People who use the page in a browser, each in a page of their own."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from local.entra.directory import PEOPLE
from tests.support.v1 import Site

FOLDER = Path(__file__).parents[2] / ".local/browser"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Run the browser that `make setup` has unpacked."""
    environ = {**os.environ, "LD_LIBRARY_PATH": str(FOLDER / "lib"), "FONTCONFIG_FILE": str(FOLDER / "fonts.conf")}
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=FOLDER / "chromium", args=list(ARGUMENTS), env=environ)
        yield found
        await found.close()


@dataclass
class Visitors:
    """One page for each person who has signed in, kept for the tests that share it: a sign-in costs a second."""

    site: Site
    context: BrowserContext
    pages: dict[str, Page] = field(default_factory=dict)

    async def visit(self, address: str, login: str = "ada", *, script: str | None = None) -> Page:
        """Go to an address as somebody, who signs in the first time; `script` runs before the page's own then."""
        if page := self.pages.get(login):
            await page.evaluate("address => { location.hash = address; }", address)
        else:
            page = self.pages[login] = await self.context.new_page()
            page.set_default_timeout(60_000)
            if script:
                await page.add_init_script(script)
            await page.goto(f"{self.site.host.url}/#{address}")
            await page.get_by_text(PEOPLE[login].name).click()
        await page.locator("main h1").wait_for()
        return page


@asynccontextmanager
async def visiting(site: Site, **context: Any) -> AsyncIterator[Visitors]:
    """Open the page of an app; `context` is what Playwright's contexts take."""
    async with (
        browsing() as browser,
        await browser.new_context(locale="en-GB", timezone_id="Europe/Berlin", **context) as own,
    ):
        yield Visitors(site, own)
