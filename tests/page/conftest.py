"""One app, with recordings of all kinds, and one browser for all tests of the page."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from local.azurite import Azurite
from recording import app as bootstrap
from recording.config.settings import read_settings
from recording.model.manifest import Manifest
from tests.support.browser import Visit, chromium, visiting
from tests.support.emulator import Control
from tests.support.exhibits import furnish
from tests.support.played import Part, put_recording
from tests.support.v1 import Site, running

RUNBOOK = "https://wiki.example.com/runbook.md"
# Two chunks with one lost between; the first has a pause of a minute after a second and a half.
THREE = (Part(0, 3, pause=(1.5, 60)), Part(63, outcome="lost"), Part(70, 3))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all of them in one worker: each would start an app and a browser of its own."""
    for item in items:
        if "tests/page/" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group("page"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The browser; media play without a click."""
    async with chromium(plays_by_itself=True) as running_browser:
        yield running_browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def azurite() -> AsyncIterator[Azurite]:
    """Storage of their own: the queues have fixed names, and this app would take the messages of other tests' apps."""
    async with Azurite() as running_azurite:
        yield running_azurite


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(azurite: Azurite) -> AsyncIterator[Site]:
    """The app."""
    async with running(azurite, RUNBOOK_URL=RUNBOOK) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, site: Site) -> AsyncIterator[Visit]:
    """A tab of its own; whatever the policy refuses in it fails the test."""
    async with visiting(browser, site.host.url) as one:
        yield one


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def keys(site: Site) -> dict[str, str]:
    """The keys of some recordings, by name; all of exhibits.py are there."""
    app = await bootstrap.open_app(read_settings(site.environ))
    try:
        return await furnish(app, Control(site.acs.endpoint, site.session))
    finally:
        await app.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def three(site: Site) -> Manifest:
    """A recording of three chunks in a row, with a pause and a lost one."""
    return await put_recording(read_settings(site.environ), 1, THREE)
