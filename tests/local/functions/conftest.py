"""A real Azurite for the tests of the host."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from local.azurite import Azurite


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all of them in one worker: each would start a storage and hosts of its own."""
    for item in items:
        if "tests/local/functions/" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group("functions"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def storage() -> AsyncIterator[str]:
    """Return the connection string of an Azurite that runs as long as the tests."""
    async with Azurite() as azurite:
        yield azurite.connection_string


@pytest.fixture(scope="session")
def apps() -> Path:
    """Return the folder of the sample apps."""
    return Path(__file__).parent / "apps"
