"""Progress for tests that take minutes."""

import time
from collections.abc import Callable

import pytest

from tests.page.conftest import browser as browser
from tests.page.conftest import site as site
from tests.page.conftest import visit as visit

type Say = Callable[[str], None]


@pytest.fixture
def say() -> Say:
    """Print a line with the time since the test began; `make acceptance` shows it at once."""
    began = time.monotonic()
    print(flush=True)
    return lambda text: print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)
