"""/v1, over HTTP on the local host: who gets in with which token, and who may do what."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.azurite import Azurite
from local.entra.directory import PEOPLE
from tests.support.v1 import Site, running

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(azurite: Azurite) -> AsyncIterator[Site]:
    """The app, once for all tests of this module."""
    async with running(azurite) as one:
        yield one


async def test_a_person_with_a_role_lists_recordings(site: Site) -> None:
    """The first slice: a token of the stand-in opens the list."""
    answer = await site.ask("GET", "v1/recordings", "ada")

    assert (200, {"recordings": []}) == (answer.status, answer.body)
    assert "Ada Lovelace" == PEOPLE["ada"].name
