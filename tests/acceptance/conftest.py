"""Progress for tests that take minutes."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.page.conftest import browser as browser
from tests.page.conftest import site as site
from tests.page.conftest import visit as visit

type Say = Callable[[str], None]

# A full range on a slow machine.
SECONDS = 1800


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each of these tests take minutes; a test may say otherwise."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture
def say() -> Say:
    """Print a line with the time since the test began; `make acceptance` shows it at once."""
    began = time.monotonic()
    print(flush=True)
    return lambda text: print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)
