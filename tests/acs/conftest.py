"""A server that does as a test says, for what the emulator doesn't do."""

from collections.abc import AsyncIterator

import pytest_asyncio

from local.acs.server import Emulator
from recording.acs.content import Content
from recording.acs.preview_2021 import Preview2021
from recording.config.resource import Resource, parse_connection_string
from tests.support.origin import KEY, Origin, record


@pytest_asyncio.fixture
async def origin() -> AsyncIterator[Origin]:
    """The server in the place of ACS."""
    async with record() as running:
        yield running


@pytest_asyncio.fixture
async def elsewhere() -> AsyncIterator[Origin]:
    """Another server, as the storage host is another."""
    async with record() as running:
        yield running


@pytest_asyncio.fixture
async def service(origin: Origin) -> AsyncIterator[Preview2021]:
    """The client, with a server behind it that does as the test says."""
    client = Preview2021(Resource(origin.url, KEY))
    yield client
    await client.aclose()


@pytest_asyncio.fixture
async def content(origin: Origin) -> AsyncIterator[Content]:
    """The client, with a server behind it that does as the test says."""
    client = Content(Resource(origin.url, KEY))
    yield client
    await client.aclose()


@pytest_asyncio.fixture
async def emulated_content(acs: Emulator) -> AsyncIterator[Content]:
    """The client, with the emulator behind it."""
    client = Content(parse_connection_string(acs.connection_string))
    yield client
    await client.aclose()
