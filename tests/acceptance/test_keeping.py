"""Holds, retention, erasures, events, replays and kills in many orders."""

import pytest

from local.azurite import Azurite
from tests.keeping.any_order import try_orders


@pytest.mark.timeout(1800)
def test_nothing_on_hold_is_deleted_and_nothing_erased_returns(azurite: Azurite) -> None:
    """In the orders that hypothesis thinks of, other ones in each run."""
    try_orders(azurite, examples=12, steps=20)
