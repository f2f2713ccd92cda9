"""An erasure is killed at every write that it has, and comes in many orders with holds, events and other kills."""

import pytest

from recording.app import App
from tests.erasing.any_order import ends_well
from tests.erasing.worlds import ends_after_kills
from tests.support.emulator import Control

# An erasure of one chunk has fewer writes.
MOST = 30
AT_ONCE = 6


async def test_a_kill_at_any_write_ends_the_same(app: App, control: Control) -> None:
    """The next try finds what is done, and goes on; the last kills come too late, so every write was one."""
    killed: list[bool] = []
    for first in range(1, MOST + 1, AT_ONCE):
        killed += await ends_after_kills(app, control, range(first, first + AT_ONCE))

    writes = killed.index(False)
    assert 16 <= writes < MOST
    assert [True] * writes + [False] * (MOST - writes) == killed


@pytest.mark.parametrize("seed", range(20))
async def test_holds_and_erasures_in_whatever_order(environment: dict[str, str], seed: int) -> None:
    """Nothing on hold is deleted, nothing erased returns, every deletion has its record, and every record is true."""
    await ends_well(environment, seed)
