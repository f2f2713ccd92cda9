"""Real servers for every test: Azurite for the session, the ACS emulator for each test."""

import gc
import itertools
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from local.acs.server import Emulator, Options
from local.azurite import Azurite
from recording.app import App
from recording.config.settings import Settings, read_settings
from tests.infra import compiler
from tests.support.emulator import Control
from tests.support.source import close, open_app

_numbers = itertools.count()

# What is imported and collected stays until the end. Looked through again and again, it cost a tenth of the time.
gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage from here on, without what stays."""
    gc.freeze()
    gc.enable()


def pytest_report_header() -> str:
    """Return whether there is a Bicep compiler: without one some tests are skipped."""
    return compiler.state()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def azurite() -> AsyncIterator[Azurite]:
    """Blob and Queue Storage in memory; a missing Azurite fails, it doesn't skip."""
    async with Azurite() as running:
        yield running


@pytest_asyncio.fixture
async def acs() -> AsyncIterator[Emulator]:
    """The ACS emulator, with nothing in it."""
    async with Emulator(Options(announce_delay_seconds=0.0)) as running:
        yield running


@pytest.fixture
def environment(azurite: Azurite, acs: Emulator, request: pytest.FixtureRequest) -> dict[str, str]:
    """The app settings, with containers of the test's own; a mark `settings` has others on top.

    Without the mark `derived` there is no place for derived files.
    """
    number = next(_numbers)
    environment = {
        "AzureWebJobsStorage": azurite.connection_string,
        "ACS_CONNECTION_STRING": acs.connection_string,
        "ACS_API_VERSION": "2021-04-15-preview1",
        "STAGING_CONTAINER": f"staging-{number}",
        "ARCHIVE_CONTAINER": f"archive-{number}",
        "QUARANTINE_CONTAINER": f"quarantine-{number}",
        "DERIVED_CONTAINER": f"derived-{number}",
        "DEAD_LETTER_CONTAINER": f"dead-letter-{number}",
    }
    if request.node.get_closest_marker("derived"):
        environment["DERIVED_STORAGE"] = azurite.connection_string
    for mark in request.node.iter_markers("settings"):
        environment |= mark.kwargs
    return environment


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    """The settings, read."""
    return read_settings(environment)


@pytest_asyncio.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    """The app's clients, as the functions get them."""
    built = await open_app(settings)
    yield built
    await close(built)


@pytest_asyncio.fixture
async def control(acs: Emulator) -> AsyncIterator[Control]:
    """The emulator's control plane."""
    async with aiohttp.ClientSession() as http:
        yield Control(acs.endpoint, http)
