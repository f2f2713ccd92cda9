"""Holds, retention, erasures, events, replays and kills in any order, looked at from outside after each step.

Nothing on hold is ever deleted, nothing erased ever returns, every deletion has a record, and every record is true.
Two short examples here, and more in the acceptance tests. Most: KEEPING_EXAMPLES=200 KEEPING_STEPS=40.
"""

import os

from local.azurite import Azurite
from tests.keeping.any_order import try_orders

EXAMPLES = int(os.environ.get("KEEPING_EXAMPLES", "2"))
STEPS = int(os.environ.get("KEEPING_STEPS", "12"))


def test_nothing_on_hold_is_deleted_and_nothing_erased_returns(azurite: Azurite) -> None:
    """In any order that hypothesis thinks of."""
    try_orders(azurite, EXAMPLES, STEPS)
